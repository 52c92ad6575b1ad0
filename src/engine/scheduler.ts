/**
 * Who may use the engine thread next. Work is cut into slices; between two of them a worker asks for its turn.
 * Searches go before applies, applies before indexing; plain searches need no turn at all, they run when they come.
 */
export type SliceKind = "search" | "apply" | "index";

export interface SliceScheduler {
  /** Resolves when the thread has seen to what came in and nothing more urgent waits. */
  turn(kind: SliceKind): Promise<void>;
}

/** Monotonic time and one-shot timers, so that tests own them. */
export interface EngineClock {
  nowMs(): number;
  /** Calls back once after `ms` unless the returned function is called before; does not keep the process alive. */
  after(ms: number, callback: () => void): () => void;
}

export const SYSTEM_CLOCK: EngineClock = {
  nowMs: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

const ORDER: readonly SliceKind[] = ["search", "apply", "index"];
/** So often the least urgent waiting kind goes first: nothing starves while exact searches never end. */
const EVERY_NTH_FROM_BELOW = 8;

/** Grants one turn per pass of the event loop, so that messages are read between any two slices. One per thread. */
export class TurnScheduler implements SliceScheduler {
  readonly #waiting: Record<SliceKind, (() => void)[]> = { search: [], apply: [], index: [] };
  #armed = false;
  #granted = 0;

  turn(kind: SliceKind): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting[kind].push(resolve);
      this.#arm();
    });
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(() => {
      this.#armed = false;
      const fromBelow = ++this.#granted % EVERY_NTH_FROM_BELOW === 0;
      for (const kind of fromBelow ? [...ORDER].reverse() : ORDER) {
        const next = this.#waiting[kind].shift();
        if (next === undefined) continue;
        next();
        break;
      }
      if (ORDER.some((kind) => this.#waiting[kind].length > 0)) this.#arm();
    });
  }
}
