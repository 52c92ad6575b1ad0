/**
 * Applies entries to the point store: deterministic and total. What an entry does depends on the entries before it
 * and on nothing else; it happens as a whole or not at all; only a failing disk throws.
 */
import { EngineError } from "./errors.ts";
import { canonicalJson, mergePayload, parsePayload, withoutKey } from "./json.ts";
import { LABEL_MAX } from "./labels.ts";
import { decodeEntry } from "./ops-codec.ts";
import { STATE_LIMITS } from "./options.ts";
import type { PointRow, PointStore } from "./point-store.ts";
import { StateHash, pointDigest, vectorDigest } from "./state-hash.ts";
import type { EngineEntry } from "./surface.ts";
import type {
  HashMark,
  Payload,
  PointId,
  RejectionCode,
  VectorSpec,
  WriteOp,
  WriteOutcome,
} from "./types.ts";
import { ELEMENT_RULE, vectorFault } from "./vectors.ts";

/** What memory has to follow once the entry is written. */
export type Change =
  | {
      readonly kind: "put";
      readonly label: number;
      readonly id: PointId;
      readonly version: number;
      readonly vector: Float32Array;
      /** Label of the vector it takes the place of. */
      readonly replaced: number | null;
    }
  | { readonly kind: "versioned"; readonly label: number; readonly id: PointId; readonly version: number }
  | { readonly kind: "removed"; readonly label: number };

export interface Written {
  /** One per entry that was done; `null` as in `Engine.applyEntries`. */
  readonly outcomes: readonly (WriteOutcome | null)[];
  readonly changes: readonly Change[];
}

/** The entry that comes next, read before its turn. */
interface Ahead {
  readonly index: number;
  readonly decoded: ReturnType<typeof decodeEntry>;
  /** Those whose digest is still to be taken. */
  readonly vectors: Float32Array[];
}

function vectorsOf(decoded: Ahead["decoded"]): Float32Array[] {
  if (decoded.kind === "unreadable") return [];
  return decoded.content.operations.flatMap((operation) =>
    operation.kind === "upsert" || operation.kind === "updateVectors"
      ? operation.points.map(({ vector }) => vector)
      : [],
  );
}

/** Entries between two marks: replicas are rarely at the same index at the same time, but all of them pass these. */
const MARK_EVERY = 256;
/** Enough for a replica that is a few seconds behind the others. */
const MARKS_KEPT = 16;

class Rejection {
  readonly code: RejectionCode;
  readonly message: string;
  constructor(code: RejectionCode, message: string) {
    this.code = code;
    this.message = message;
  }
}

export class Writer {
  readonly #spec: VectorSpec;
  readonly #store: PointStore;
  readonly hash = new StateHash();
  #applied: number;
  /** Indexes beyond those in the store, of entries without content. */
  #unwritten = false;
  #nextLabel: number;
  #points: number;
  #changes: Change[] = [];
  #marks: readonly HashMark[] = [];
  #ahead: Ahead | null = null;
  readonly #digests = new WeakMap<Float32Array, Buffer>();

  constructor(spec: VectorSpec, store: PointStore) {
    this.#spec = spec;
    this.#store = store;
    const state = store.state();
    this.#applied = state.applied;
    this.#nextLabel = state.nextLabel;
    this.#points = state.points;
    this.hash.copyFrom(state.hash);
  }

  get applied(): number {
    return this.#applied;
  }

  get points(): number {
    return this.#points;
  }

  get nextLabel(): number {
    return this.#nextLabel;
  }

  /** The hash at the last few indexes at which every replica takes note of it, oldest first. */
  get marks(): readonly HashMark[] {
    return this.#marks;
  }

  /**
   * Does what needs no state for the entry that is applied next: reads it and takes its vectors' digests, as far as
   * `mayGoOn` allows. True when all of it is done. Without it {@link write} does the same, in one go.
   */
  prepare({ index, data }: EngineEntry, mayGoOn: () => boolean): boolean {
    if (index <= this.#applied || data.length === 0) return true;
    if (this.#ahead?.index !== index) {
      const decoded = decodeEntry(data);
      this.#ahead = { index, decoded, vectors: vectorsOf(decoded) };
    }
    const { vectors } = this.#ahead;
    for (let vector = vectors.pop(); vector !== undefined; vector = vectors.pop()) {
      this.#digests.set(vector, vectorDigest(vector));
      if (!mayGoOn()) return vectors.length === 0;
    }
    return true;
  }

  /** As many entries as `mayGoOn` allows, at least one; in the store's file once that is committed. */
  write(entries: readonly EngineEntry[], mayGoOn: () => boolean): Written {
    const outcomes: (WriteOutcome | null)[] = [];
    this.#changes = [];
    const next = (entry: EngineEntry): void => {
      outcomes.push(this.#entry(entry));
      if (entry.index % MARK_EVERY === 0 && entry.index === this.#applied) this.#mark();
    };
    // Elections and changes of members leave such entries in every shard. Handed in again after a crash they do again
    // nothing, so an idle shard need not open its file for them.
    if (entries.every(({ index, data }) => data.length === 0 && index > this.#applied)) {
      entries.forEach(next);
      this.#unwritten = true;
      return { outcomes, changes: [] };
    }
    this.#store.write(() => {
      for (const entry of entries) {
        next(entry);
        if (!mayGoOn()) break;
      }
      this.#setState();
    });
    this.#unwritten = false;
    return { outcomes, changes: this.#changes };
  }

  /** The store knows every index that was applied, when it returns; in its file with the next commit. */
  flush(): void {
    if (!this.#unwritten) return;
    this.#store.write(() => this.#setState());
    this.#unwritten = false;
  }

  #setState(): void {
    this.#store.setState({
      applied: this.#applied,
      nextLabel: this.#nextLabel,
      points: this.#points,
      hash: this.hash,
    });
  }

  #mark(): void {
    const mark = { index: this.#applied, stateHash: this.hash.toString() };
    this.#marks = [...this.#marks.filter(({ index }) => index < mark.index), mark].slice(-MARKS_KEPT);
  }

  #entry({ index, data }: EngineEntry): WriteOutcome | null {
    if (index <= this.#applied) return remembered(this.#store.rememberedAt(index), false);
    this.#applied = index;
    if (data.length === 0) return null;
    const decoded = this.#ahead?.index === index ? this.#ahead.decoded : decodeEntry(data);
    this.#ahead = null;
    if (decoded.kind === "unreadable") return rejected({ code: "BAD_ENTRY", message: decoded.why }, 0);
    const { origin, sequence, operations } = decoded.content;
    const earlier = remembered(this.#store.remembered(origin, sequence), true);
    if (origin !== "" && earlier !== null) return earlier;
    const outcome = this.#operations(operations, index);
    if (origin !== "") {
      const forgetTo = index - STATE_LIMITS.rememberedEntries;
      this.#store.remember(index, origin, sequence, JSON.stringify(outcome), forgetTo);
    }
    return outcome;
  }

  #operations(operations: readonly WriteOp[], index: number): WriteOutcome {
    const before = { nextLabel: this.#nextLabel, points: this.#points, changes: this.#changes.length };
    const hashBefore = new StateHash();
    hashBefore.copyFrom(this.hash);
    const run = (): WriteOutcome => this.#inOrder(operations, index);
    const outcome = refusedBeforeChanging(operations)
      ? run()
      : this.#store.attempt(run, (answer) => answer.kind === "applied");
    if (outcome.kind === "rejected") {
      this.#nextLabel = before.nextLabel;
      this.#points = before.points;
      this.#changes.length = before.changes;
      this.hash.copyFrom(hashBefore);
    }
    return outcome;
  }

  #inOrder(operations: readonly WriteOp[], index: number): WriteOutcome {
    let touched = 0;
    for (const [at, operation] of operations.entries()) {
      const done = this.#operation(operation, index);
      if (done instanceof Rejection) return rejected(done, at);
      touched += done;
    }
    return { kind: "applied", version: index, touched, duplicate: false };
  }

  #operation(operation: WriteOp, version: number): number | Rejection {
    const ids = "points" in operation ? operation.points.map((point) => point.id) : operation.ids;
    const conflict = operation.ifVersion === undefined ? null : this.#conflict(ids, operation.ifVersion);
    if (conflict !== null) return conflict;
    switch (operation.kind) {
      case "upsert":
      case "updateVectors":
        return this.#vectors(operation, version);
      case "delete":
        return this.#delete(ids);
      case "setPayload": {
        const { payload, key } = operation;
        const levels = key === undefined ? 0 : key.split(".").length;
        if (levels > STATE_LIMITS.payloadDepthMax)
          return new Rejection(
            "LIMIT_EXCEEDED",
            `a payload path has at most ${STATE_LIMITS.payloadDepthMax} levels, not ${levels}`,
          );
        return this.#payloads(ids, version, (old) => mergePayload(old ?? {}, payload, key));
      }
      case "overwritePayload":
        return this.#payloads(ids, version, () => operation.payload);
      case "deletePayload":
        return this.#payloads(ids, version, (old) => old && operation.keys.reduce(withoutKey, old));
      case "clearPayload":
        return this.#payloads(ids, version, () => null);
    }
  }

  #conflict(ids: readonly PointId[], wanted: number): Rejection | null {
    for (const id of ids) {
      const version = this.#store.find(id)?.version ?? 0;
      if (version !== wanted)
        return new Rejection(
          "VERSION_CONFLICT",
          version === 0
            ? `point ${JSON.stringify(id)} does not exist, version ${wanted} was asked for`
            : `point ${JSON.stringify(id)} has version ${version}, not ${wanted}`,
        );
    }
    return null;
  }

  #vectors(
    operation: Extract<WriteOp, { kind: "upsert" | "updateVectors" }>,
    version: number,
  ): number | Rejection {
    for (const { id, vector } of operation.points) {
      const fault = vectorFault(vector, this.#spec.dimension);
      if (fault === "length")
        return new Rejection(
          "WRONG_DIMENSION",
          `the vector of point ${JSON.stringify(id)} has ${vector.length} elements, not ${this.#spec.dimension}`,
        );
      if (fault !== null)
        return new Rejection(
          "BAD_VECTOR",
          `the vector of point ${JSON.stringify(id)} is not usable: ${ELEMENT_RULE}`,
        );
    }
    for (const point of operation.points) {
      const old = this.#store.find(point.id);
      if (operation.kind === "updateVectors" && old === undefined)
        return new Rejection("POINT_NOT_FOUND", `point ${JSON.stringify(point.id)} does not exist`);
      const payload = "payload" in point ? textOf(point.payload) : (old?.payload ?? null);
      this.#put({ id: point.id, version, payload }, point.vector, old);
    }
    return operation.points.length;
  }

  #put(
    point: Pick<PointRow, "id" | "version" | "payload">,
    vector: Float32Array,
    old: PointRow | undefined,
  ): void {
    if (this.#nextLabel > LABEL_MAX)
      throw new EngineError(
        "LABELS_EXHAUSTED",
        `${this.#store.file}: 2^32 vectors were written; labels are renumbered when the shard is opened`,
      );
    const label = this.#nextLabel++;
    const ofVector = this.#digests.get(vector) ?? vectorDigest(vector);
    const row: PointRow = { ...point, label, vectorDigest: ofVector, digest: pointDigest(point, ofVector) };
    if (old === undefined) {
      this.#store.insert(row, vector);
      this.#points++;
    } else {
      this.#store.replace(old.label, row, vector);
      this.hash.subtract(old.digest);
    }
    this.hash.add(row.digest);
    const { id, version } = point;
    this.#changes.push({ kind: "put", label, id, version, vector, replaced: old?.label ?? null });
  }

  #delete(ids: readonly PointId[]): number {
    let touched = 0;
    for (const id of ids) {
      const old = this.#store.find(id);
      if (old === undefined) continue;
      this.#store.delete(old.label);
      this.hash.subtract(old.digest);
      this.#points--;
      touched++;
      this.#changes.push({ kind: "removed", label: old.label });
    }
    return touched;
  }

  #payloads(
    ids: readonly PointId[],
    version: number,
    change: (old: Payload | null) => Payload | null,
  ): number | Rejection {
    let touched = 0;
    for (const id of ids) {
      const old = this.#store.find(id);
      if (old === undefined) continue;
      const payload = textOf(change(payloadOf(old.payload)));
      if (payload !== null && Buffer.byteLength(payload) > STATE_LIMITS.payloadBytesMax)
        return new Rejection(
          "LIMIT_EXCEEDED",
          `the payload of point ${JSON.stringify(id)} would exceed ${STATE_LIMITS.payloadBytesMax} bytes`,
        );
      const digest = pointDigest({ id, version, payload }, old.vectorDigest);
      this.#store.setPayload({ ...old, version, payload, digest });
      this.hash.subtract(old.digest);
      this.hash.add(digest);
      touched++;
      this.#changes.push({ kind: "versioned", label: old.label, id, version });
    }
    return touched;
  }
}

const textOf = (payload: Payload | null): string | null => (payload === null ? null : canonicalJson(payload));

/** From the store's text, which was checked before it was written; merging may nest it once more as deep. */
export function payloadOf(text: string | null): Payload | null {
  return text === null ? null : parsePayload(text, 2 * STATE_LIMITS.payloadDepthMax);
}

/** What most entries are; nothing of it ever has to be undone. */
function refusedBeforeChanging(operations: readonly WriteOp[]): boolean {
  const kind = operations.length === 1 ? operations[0]?.kind : undefined;
  return kind === "upsert" || kind === "delete";
}

function rejected(why: Pick<Rejection, "code" | "message">, operation: number): WriteOutcome {
  return { kind: "rejected", code: why.code, message: why.message, operation, duplicate: false };
}

function remembered(text: string | undefined, duplicate: boolean): WriteOutcome | null {
  if (text === undefined) return null;
  return { ...(JSON.parse(text) as WriteOutcome), duplicate };
}
