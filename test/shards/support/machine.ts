import { createHash } from "node:crypto";
import type { ApplyOp, CapturedSnapshot, CommittedEntry } from "../../../shards/index.ts";
import { LogIndex } from "../../../shards/index.ts";

const text = new TextDecoder();
const bytes = new TextEncoder();

interface State {
  readonly lines: readonly string[];
  /** The index that each line came with. */
  readonly versions: readonly number[];
  /** By origin and sequence, where a line names them: the version it got. */
  readonly remembered: readonly (readonly [string, number])[];
  readonly applied: number;
}

/** `@ORIGIN SEQUENCE TEXT`: a line that changes nothing when it comes again. */
const KEYED = /^@(\S+ \d+) /;
const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

/** A small state machine: remembers what was applied, in order. Poison is rejected, a fault is thrown. */
export class RecordingMachine implements ApplyOp {
  lines: string[] = [];
  applied = 0;
  #versions: number[] = [];
  #remembered = new Map<string, number>();
  /** What a restart of the machine would find. */
  #disk: State = { lines: [], versions: [], remembered: [], applied: 0 };
  /** False: only checkpoint() makes anything durable. */
  durableAtOnce = true;
  calls = 0;
  inFlight = 0;
  checkpoints = 0;
  restores = 0;
  openSnapshots = 0;
  fault: Error | null = null;
  /** Restores begin when it resolves. */
  mayRestore: Promise<void> = Promise.resolve();
  #gate: Promise<void> | null = null;
  #open: (() => void) | null = null;

  /** Apply calls wait until {@link release}. */
  hold(): void {
    this.#gate = new Promise((open) => {
      this.#open = open;
    });
  }
  release(): void {
    this.#gate = null;
    this.#open?.();
  }
  /** Back to what was durable, as after a power cut. */
  powerCut(): void {
    this.#become(this.#disk);
    this.inFlight = 0;
    this.#gate = null;
  }

  async durableIndex(): Promise<LogIndex> {
    return LogIndex(this.#disk.applied);
  }
  async appliedIndex(): Promise<LogIndex> {
    return LogIndex(this.applied);
  }
  async checkpoint(): Promise<LogIndex> {
    this.checkpoints++;
    this.#disk = this.#state();
    return LogIndex(this.applied);
  }
  /** Of what is remembered, not of how far it is. */
  get stateHash(): string {
    const { lines, versions, remembered } = this.#state();
    return sha256(JSON.stringify({ lines, versions, remembered }));
  }

  async apply(entries: readonly CommittedEntry[]): Promise<readonly unknown[]> {
    this.calls++;
    this.inFlight++;
    if (this.inFlight > 1) throw new Error("two apply calls at once");
    await this.#gate;
    this.inFlight--;
    if (this.fault !== null) throw this.fault;
    const results = entries.map((entry) => this.#one(entry));
    if (this.durableAtOnce) this.#disk = this.#state();
    return results;
  }

  #one({ index, data }: CommittedEntry): unknown {
    if (index <= this.applied) return null;
    if (index !== this.applied + 1) throw new Error(`entry ${index} does not follow ${this.applied}`);
    this.applied = index;
    if (data.length === 0) return null;
    const line = text.decode(data);
    if (line === "poison") return { rejected: line };
    const key = KEYED.exec(line)?.[1];
    const earlier = key === undefined ? undefined : this.#remembered.get(key);
    if (earlier !== undefined) return { applied: line, version: earlier };
    if (key !== undefined) this.#remembered.set(key, index);
    this.lines.push(line);
    this.#versions.push(index);
    return { applied: line, version: index };
  }

  #state(): State {
    const [lines, versions, remembered] = [[...this.lines], [...this.#versions], [...this.#remembered]];
    return { lines, versions, remembered, applied: this.applied };
  }
  #become({ lines, versions, remembered, applied }: State): void {
    this.lines = [...lines];
    this.#versions = [...versions];
    this.#remembered = new Map(remembered);
    this.applied = applied;
  }

  async capture(): Promise<CapturedSnapshot> {
    const body = bytes.encode(JSON.stringify(this.#state()));
    this.openSnapshots++;
    return {
      index: LogIndex(this.applied),
      files: [{ name: "state.json", bytes: body.length, sha256: sha256(body) }],
      read: async (_, offset, length) => body.subarray(offset, offset + length),
      [Symbol.asyncDispose]: async () => {
        this.openSnapshots--;
      },
    };
  }

  async restore(snapshot: CapturedSnapshot): Promise<void> {
    this.restores++;
    await this.mayRestore;
    if (this.fault !== null) throw this.fault;
    const body = await snapshot.read("state.json", 0, snapshot.files[0]?.bytes ?? 0);
    if (sha256(body) !== snapshot.files[0]?.sha256) throw new Error("state.json is not what was captured");
    const state = JSON.parse(text.decode(body)) as State;
    this.#become(state);
    this.#disk = state;
  }
}
