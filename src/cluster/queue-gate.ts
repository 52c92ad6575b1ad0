/**
 * Whether a queue takes another read. It takes all while it is calm. Once so many wait that no usual number of clients
 * explains it, more is asked than is served, and whatever is let in stands in line behind the rest: from then on only
 * so many are let in as keep who answers them busy.
 *
 *            waiting reaches `max`
 *     calm ------------------------> overloaded: refuses from `overloaded` on
 *          <------------------------
 *            nothing was refused for CALM_MS, or ASK_ANEW_MS are over
 *
 * Clients that each wait for their answer before they ask again never come to more than they are, however slow the
 * answers: so the measure is how many wait, not for how long.
 */

export interface QueueLimits {
  /** Reads waiting at which the queue is overloaded. */
  readonly max: number;
  /** Reads waiting from which on it refuses while it is; no more than `max` counts. */
  readonly overloaded: number;
}

/** So long without a refusal, all that comes can be served. */
const CALM_MS = 1_000;
/**
 * Refused clients that come back at once keep a queue overloaded that could hold them all: after this it is found out.
 * When it is too much still, some twice `max` wait for long before that shows: few against those served meanwhile.
 */
const ASK_ANEW_MS = 30_000;

export class QueueGate {
  readonly #limits: QueueLimits;
  #calls = 0;
  #waiting = 0;
  /** null: calm. */
  #overloaded: { readonly sinceMs: number; refusedAtMs: number } | null = null;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /** In reads: one that is `n` calls to the same queue is in it with `1 / n` each. */
  get waiting(): number {
    return this.#waiting;
  }
  get overloaded(): boolean {
    return this.#overloaded !== null;
  }

  join(weight: number): void {
    this.#calls++;
    this.#waiting += weight;
  }
  leave(weight: number): void {
    // Sums of fractions are not exact; an empty queue is.
    this.#waiting = --this.#calls === 0 ? 0 : this.#waiting - weight;
  }

  /** Whether a read that comes now is to be refused; that it was is remembered. */
  refuses(nowMs: number): boolean {
    const { max, overloaded } = this.#limits;
    const state = this.#overloaded;
    if (state !== null && (nowMs - state.refusedAtMs >= CALM_MS || nowMs - state.sinceMs >= ASK_ANEW_MS))
      this.#overloaded = null;
    if (this.#overloaded === null) {
      if (this.#waiting < max) return false;
      this.#overloaded = { sinceMs: nowMs, refusedAtMs: nowMs };
      return true;
    }
    if (this.#waiting < Math.min(overloaded, max)) return false;
    this.#overloaded.refusedAtMs = nowMs;
    return true;
  }
}
