import type { Clock, Scheduler } from "../../shards/ports.ts";
import type { Timeline } from "./timeline.ts";

/** How a node's clock differs from true time: both stay the same for one life of the process. */
export interface ClockDrift {
  readonly offsetMs: number;
  /** Its milliseconds per true second: 1000 is exact. */
  readonly perMille: number;
}

/** Between asking for a turn and getting it. */
const TURN_LATENCY_US = 15;

/**
 * One life of a node's process. Everything that reaches production code from outside comes through `enter`: a dead
 * process hears nothing any more, a paused one hears it all at once when it goes on. Promises given to a dead process
 * never settle, which is what a crash looks like from inside.
 */
export class SimProcess implements Clock, Scheduler {
  readonly #timeline: Timeline;
  readonly #drift: ClockDrift;
  readonly #startedUs: number;
  readonly #touched: () => void;
  #alive = true;
  #backlog: (() => void)[] | null = null;

  constructor(timeline: Timeline, drift: ClockDrift, touched: () => void) {
    this.#timeline = timeline;
    this.#drift = drift;
    this.#startedUs = timeline.nowUs;
    this.#touched = touched;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#backlog !== null;
  }

  kill(): void {
    this.#alive = false;
    this.#backlog = null;
  }

  pause(): void {
    if (this.#alive) this.#backlog ??= [];
  }

  /** What came in the meantime is delivered at once, in order. */
  resume(): void {
    const backlog = this.#backlog;
    this.#backlog = null;
    for (const action of backlog ?? []) this.enter(action);
  }

  /** Lets something happen to the process now. */
  enter(action: () => void): void {
    if (!this.#alive) return;
    if (this.#backlog !== null) {
      this.#backlog.push(action);
      return;
    }
    this.#touched();
    action();
  }

  after(delayUs: number, action: () => void): void {
    this.#timeline.after(delayUs, () => {
      this.enter(action);
    });
  }

  /** Resolves in `delayUs`, never in a dead process. */
  sleep(delayUs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayUs, resolve);
    });
  }

  nowMs(): number {
    const lived = (this.#timeline.nowUs - this.#startedUs) / 1000;
    return this.#drift.offsetMs + (lived * this.#drift.perMille) / 1000;
  }

  /** As the platform's intervals do: one that became due several times during a pause fires once after it. */
  every(intervalMs: number, callback: () => void): () => void {
    let stopped = false;
    let due = false;
    const fire = (): void => {
      due = false;
      if (!stopped) callback();
    };
    const intervalUs = (intervalMs * 1000 * 1000) / this.#drift.perMille;
    const schedule = (): void => {
      this.#timeline.after(intervalUs, () => {
        if (stopped || !this.#alive) return;
        if (!due) {
          due = true;
          this.enter(fire);
        }
        schedule();
      });
    };
    schedule();
    return () => {
      stopped = true;
    };
  }

  soon(turn: () => void): void {
    this.after(TURN_LATENCY_US, turn);
  }
}
