/**
 * Work that many may ask for and that costs the same for one as for all: who asks while it is under way waits for the
 * next run, which begins after he asked. So there is at most one at a time, and one that follows.
 */
import { within } from "../cluster/within.ts";

type Work = (signal: AbortSignal) => Promise<void>;

export class SharedRun {
  readonly #work: Work;
  #running: Run | null = null;
  #next: Run | null = null;

  /** The signal of `work` aborts once nobody waits for it any more. */
  constructor(work: Work) {
    this.#work = work;
  }

  /** Resolves or rejects as a run that began after the call, or rejects with the signal's reason. */
  async join(signal: AbortSignal): Promise<void> {
    if (this.#running === null) return await this.#begin(new Run()).ended(signal);
    if (this.#next === null || this.#next.abandoned) this.#next = new Run();
    return await this.#next.ended(signal);
  }

  #begin(run: Run): Run {
    this.#running = run;
    void run.carryOut(this.#work).then(() => {
      const next = this.#next;
      this.#running = null;
      this.#next = null;
      if (next !== null && !next.abandoned) this.#begin(next);
    });
    return run;
  }
}

class Run {
  readonly #left = new AbortController();
  readonly #end: Promise<void>;
  #settle: (outcome: Promise<void>) => void = () => undefined;
  #waiting = 0;

  constructor() {
    this.#end = new Promise((resolve) => (this.#settle = resolve));
  }

  /** Whether all who waited have left: it is of no use any more. */
  get abandoned(): boolean {
    return this.#left.signal.aborted;
  }

  async ended(signal: AbortSignal): Promise<void> {
    this.#waiting++;
    try {
      await within(this.#end, signal);
    } finally {
      if (--this.#waiting === 0) this.#left.abort(new Error("nobody waits for it any more"));
    }
  }

  /** Resolves when it is over, however it ended. */
  async carryOut(work: Work): Promise<void> {
    const outcome = work(this.#left.signal);
    this.#settle(outcome);
    await Promise.allSettled([outcome, this.#end]);
  }
}
