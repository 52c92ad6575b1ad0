import type { ApplyOp, ApplyResult, CapturedSnapshot, CommittedEntry, Entry, SnapshotMeta } from "./ports.ts";
import type { LogIndex } from "./raft/types.ts";
import { sizeOf } from "./log/record.ts";

const NO_DATA = new Uint8Array(0);

/** What the state machine finished, for the group's loop to take note of. */
export type ApplyDone =
  | {
      readonly kind: "applied";
      readonly entries: readonly Entry[];
      readonly results: readonly ApplyResult[];
      readonly durationMs: number;
    }
  | { readonly kind: "restored"; readonly meta: SnapshotMeta }
  | { readonly kind: "applyFailed"; readonly error: Error };

type Work =
  | { readonly kind: "entries"; readonly entries: readonly Entry[] }
  | { readonly kind: "restore"; readonly meta: SnapshotMeta; readonly snapshot: CapturedSnapshot };

export interface ApplierParts {
  readonly applyOp: ApplyOp;
  readonly applied: LogIndex;
  /** Entry data per call; the first entry always fits. */
  readonly batchBytesMax: number;
  readonly nowMs: () => number;
  /** Called once per finished call, never inside {@link Applier.entries} or {@link Applier.restore}. */
  readonly done: (done: ApplyDone) => void;
}

/**
 * Feeds a group's state machine in order, one call at a time, and knows how far it lags behind. What nobody waits for is
 * gathered: a stream of small writes is one call per tick instead of one per write (adr/0014).
 */
export class Applier {
  readonly #parts: ApplierParts;
  #work: Work[] = [];
  #running = false;
  /** Nobody waits for what is queued. */
  #mayWait = true;
  #calledInTick = false;
  #stopped = false;
  /** What the state machine holds. May be ahead of the log after a crash in the middle of a restore. */
  #applied: LogIndex;
  #lagEntries = 0;
  #lagBytes = 0;

  constructor(parts: ApplierParts) {
    this.#parts = parts;
    this.#applied = parts.applied;
  }

  get applied(): LogIndex {
    return this.#applied;
  }
  get lagEntries(): number {
    return this.#lagEntries;
  }
  get lagBytes(): number {
    return this.#lagBytes;
  }

  /** `mayWait`: until the next tick, when this tick had its call. */
  entries(entries: readonly Entry[], mayWait: boolean): void {
    if (entries.length === 0) return;
    this.#mayWait &&= mayWait;
    this.#lagEntries += entries.length;
    for (const entry of entries) this.#lagBytes += sizeOf(entry);
    this.#work.push({ kind: "entries", entries });
    this.#run();
  }

  /** After what was handed in before. The snapshot is disposed of when it is done. */
  restore(meta: SnapshotMeta, snapshot: CapturedSnapshot): void {
    this.#mayWait = false;
    this.#work.push({ kind: "restore", meta, snapshot });
    this.#run();
  }

  /** Somebody waits for what is queued. */
  hurry(): void {
    if (this.#work.length === 0) return;
    this.#mayWait = false;
    this.#run();
  }

  tick(): void {
    this.#calledInTick = false;
    this.#run();
  }

  /** A call that runs goes on, but nobody hears of it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const left = this.#work;
    this.#work = [];
    for (const work of left) if (work.kind === "restore") await work.snapshot[Symbol.asyncDispose]();
  }

  #run(): void {
    if (this.#running || this.#stopped) return;
    const next = this.#work[0];
    if (next === undefined) {
      this.#mayWait = true;
      return;
    }
    if (this.#mayWait && this.#calledInTick && this.#lagBytes < this.#parts.batchBytesMax) return;
    this.#running = true;
    this.#calledInTick = true;
    void this.#call(next).then(
      (done) => this.#finish(done),
      (error: unknown) =>
        this.#finish({
          kind: "applyFailed",
          error: error instanceof Error ? error : new Error(String(error)),
        }),
    );
  }

  #finish(done: ApplyDone): void {
    this.#running = false;
    if (this.#stopped) return;
    if (done.kind === "applied") {
      this.#lagEntries -= done.entries.length;
      for (const entry of done.entries) this.#lagBytes -= sizeOf(entry);
      this.#advance(done.entries.at(-1)?.index ?? this.#applied);
    } else if (done.kind === "restored") this.#advance(done.meta.index);
    else this.#stopped = true;
    this.#run();
    this.#parts.done(done);
  }

  #advance(to: LogIndex): void {
    if (to > this.#applied) this.#applied = to;
  }

  async #call(next: Work): Promise<ApplyDone> {
    if (next.kind === "restore") {
      this.#work.shift();
      await using snapshot = next.snapshot;
      // A state machine that is ahead holds all the snapshot holds: it is not taken back.
      if (next.meta.index > this.#applied) await this.#parts.applyOp.restore(snapshot);
      return { kind: "restored", meta: next.meta };
    }
    const entries = this.#takeBatch();
    const startedMs = this.#parts.nowMs();
    const results = await this.#parts.applyOp.apply(entries.map(committed));
    return { kind: "applied", entries, results, durationMs: this.#parts.nowMs() - startedMs };
  }

  /** As much as fits in one call from the front of the queue, across turns. */
  #takeBatch(): readonly Entry[] {
    const batch: Entry[] = [];
    let bytes = 0;
    for (let work = this.#work[0]; work?.kind === "entries"; work = this.#work[0]) {
      let taken = 0;
      for (const entry of work.entries) {
        bytes += entry.data.length;
        if (batch.length > 0 && bytes > this.#parts.batchBytesMax) break;
        batch.push(entry);
        taken++;
      }
      if (taken === work.entries.length) {
        this.#work.shift();
        continue;
      }
      this.#work[0] = { kind: "entries", entries: work.entries.slice(taken) };
      break;
    }
    return batch;
  }
}

/** Membership changes are the group's own business: the state machine sees an index that changes nothing. */
function committed(entry: Entry): CommittedEntry {
  return { term: entry.term, index: entry.index, data: entry.kind === "normal" ? entry.data : NO_DATA };
}
