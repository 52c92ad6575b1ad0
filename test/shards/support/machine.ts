import type { ApplyOp, CapturedSnapshot, CommittedEntry } from "../../../shards/index.ts";
import { LogIndex } from "../../../shards/index.ts";

const text = new TextDecoder();
const bytes = new TextEncoder();

interface Disk {
  lines: string[];
  applied: number;
}

/** A small state machine: remembers what was applied, in order. Poison is rejected, a fault is thrown. */
export class RecordingMachine implements ApplyOp {
  lines: string[] = [];
  applied = 0;
  /** What a restart of the machine would find. */
  #disk: Disk = { lines: [], applied: 0 };
  /** False: only checkpoint() makes anything durable. */
  durableAtOnce = true;
  calls = 0;
  inFlight = 0;
  checkpoints = 0;
  restores = 0;
  openSnapshots = 0;
  fault: Error | null = null;
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
    this.lines = [...this.#disk.lines];
    this.applied = this.#disk.applied;
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
    this.#disk = { lines: [...this.lines], applied: this.applied };
    return LogIndex(this.applied);
  }

  async apply(entries: readonly CommittedEntry[]): Promise<readonly unknown[]> {
    this.calls++;
    this.inFlight++;
    if (this.inFlight > 1) throw new Error("two apply calls at once");
    await this.#gate;
    this.inFlight--;
    if (this.fault !== null) throw this.fault;
    const results = entries.map((entry) => this.#one(entry));
    if (this.durableAtOnce) this.#disk = { lines: [...this.lines], applied: this.applied };
    return results;
  }

  #one({ index, data }: CommittedEntry): unknown {
    if (index <= this.applied) return null;
    if (index !== this.applied + 1) throw new Error(`entry ${index} does not follow ${this.applied}`);
    this.applied = index;
    if (data.length === 0) return null;
    const line = text.decode(data);
    if (line === "poison") return { rejected: line };
    this.lines.push(line);
    return { applied: line };
  }

  async capture(): Promise<CapturedSnapshot> {
    const body = bytes.encode(JSON.stringify({ lines: this.lines, applied: this.applied }));
    this.openSnapshots++;
    return {
      index: LogIndex(this.applied),
      files: [{ name: "state.json", bytes: body.length, sha256: "" }],
      read: async (_, offset, length) => body.subarray(offset, offset + length),
      [Symbol.asyncDispose]: async () => {
        this.openSnapshots--;
      },
    };
  }

  async restore(snapshot: CapturedSnapshot): Promise<void> {
    this.restores++;
    if (this.fault !== null) throw this.fault;
    const body = await snapshot.read("state.json", 0, snapshot.files[0]?.bytes ?? 0);
    const state = JSON.parse(text.decode(body)) as Disk;
    this.lines = state.lines;
    this.applied = state.applied;
    this.#disk = { lines: [...state.lines], applied: state.applied };
  }
}
