import type { ApplyOp, CapturedSnapshot, SnapshotMeta } from "./ports.ts";
import type { LogIndex } from "./raft/types.ts";

interface Held {
  readonly captured: CapturedSnapshot;
  readonly meta: SnapshotMeta;
  users: number;
  lastUsedTick: number;
}

export interface SnapshotSourceParts {
  readonly applyOp: ApplyOp;
  readonly keepTicks: number;
  /** The boundary at an applied index; null while the group's loop has not taken note of that index yet. */
  readonly metaAt: (index: LogIndex) => SnapshotMeta | "compacted" | null;
  readonly onCaptured: (meta: SnapshotMeta, bytes: number) => void;
  readonly onFailed: (error: Error) => void;
}

/**
 * The snapshot this group could send: captured from the state machine when the core first asks for one, shared by all
 * followers that need one, and let go when nobody has used it for a while.
 */
export class SnapshotSource {
  readonly #parts: SnapshotSourceParts;
  #held: Held | null = null;
  /** Captured at an index whose membership is not known yet. */
  #early: CapturedSnapshot | null = null;
  /** Older snapshots are not handed out any more. */
  #neededFrom = 0;
  #capturing = false;
  #stopped = false;

  constructor(parts: SnapshotSourceParts) {
    this.#parts = parts;
  }

  /** What can be sent now, or null, and then one is being captured. */
  newest(tick: number): SnapshotMeta | null {
    this.#adopt(tick);
    const held = this.#held;
    if (held !== null && held.meta.index >= this.#neededFrom) {
      held.lastUsedTick = tick;
      return held.meta;
    }
    if (held !== null && held.users > 0) return null;
    if (held !== null) {
      this.#held = null;
      this.#dispose(held.captured);
    }
    if (!this.#capturing && this.#early === null && !this.#stopped) this.#capture();
    return null;
  }

  /**
   * Older ones are of no use: the membership changed at `index`, and a newcomer ignores what does not name it; or the log
   * begins there, and does not go on from what is older.
   */
  neededFrom(index: LogIndex): void {
    this.#neededFrom = Math.max(this.#neededFrom, index);
  }

  /** Holds no snapshot, and captures none. */
  get isIdle(): boolean {
    return this.#held === null && this.#early === null && !this.#capturing;
  }

  /** Entries above it are needed by whoever receives it: the log is not compacted beyond. */
  get heldIndex(): LogIndex | null {
    return this.#held?.meta.index ?? null;
  }

  /** The snapshot of exactly this boundary, in use until `release`. */
  acquire(index: LogIndex): CapturedSnapshot | null {
    if (this.#held?.meta.index !== index) return null;
    this.#held.users++;
    return this.#held.captured;
  }

  release(index: LogIndex, tick: number): void {
    if (this.#held?.meta.index !== index) return;
    this.#held.users--;
    this.#held.lastUsedTick = tick;
  }

  tick(tick: number): void {
    // Also one that nobody asks for any more, or it would be kept for ever.
    this.#adopt(tick);
    const held = this.#held;
    if (held === null || held.users > 0 || tick - held.lastUsedTick < this.#parts.keepTicks) return;
    this.#held = null;
    this.#dispose(held.captured);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    const open = [this.#held?.captured, this.#early];
    this.#held = null;
    this.#early = null;
    for (const captured of open) await captured?.[Symbol.asyncDispose]();
  }

  #adopt(tick: number): void {
    const early = this.#early;
    const meta = early === null ? null : this.#parts.metaAt(early.index);
    if (early === null || meta === null) return;
    this.#early = null;
    if (meta === "compacted") {
      // The log moved on while it was captured, so nobody could go on from it: another one is captured.
      this.#dispose(early);
      return;
    }
    this.#held = { captured: early, meta, users: 0, lastUsedTick: tick };
    this.#parts.onCaptured(
      meta,
      early.files.reduce((sum, file) => sum + file.bytes, 0),
    );
  }

  #capture(): void {
    this.#capturing = true;
    void this.#parts.applyOp.capture().then(
      (captured) => {
        this.#capturing = false;
        if (this.#stopped) this.#dispose(captured);
        else this.#early = captured;
      },
      (error: unknown) => {
        this.#capturing = false;
        this.#parts.onFailed(error instanceof Error ? error : new Error(String(error)));
      },
    );
  }

  #dispose(captured: CapturedSnapshot): void {
    captured[Symbol.asyncDispose]().then(undefined, (error: unknown) => {
      this.#parts.onFailed(error instanceof Error ? error : new Error(String(error)));
    });
  }
}
