import type { WaitOptions } from "./surface.ts";

/** Why waiting ended before the thing waited for came. */
export type GaveUp = "deadline" | "aborted";

/** One caller's patience: a deadline in ticks and an AbortSignal. */
export class Patience {
  /** The tick from which on it is over. */
  readonly deadline: number;
  readonly #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;

  constructor(options: WaitOptions, now: { readonly tick: number; readonly tickMs: number }) {
    // One more tick, because the current one is already running.
    this.deadline =
      options.timeoutMs === undefined ? Infinity : now.tick + Math.ceil(options.timeoutMs / now.tickMs) + 1;
    this.#signal = options.signal;
  }

  /** Calls back at most once, when the signal aborts; never during this call. */
  whenAborted(callback: () => void): void {
    this.#onAbort = callback;
    this.#signal?.addEventListener("abort", callback, { once: true });
  }

  get aborted(): boolean {
    return this.#signal?.aborted ?? false;
  }

  /** It ended: the signal is let go of. */
  done(): void {
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}
