/**
 * Requests per second for each of many, as one number each: the time at which all it was granted would have been
 * paid off (the generic cell rate algorithm). Nobody is remembered who has nothing to pay off.
 */
export interface RateOptions {
  readonly perSecond: number;
  /** Requests at once after a pause; 0: those of one second. */
  readonly burst: number;
}

/** Remembered at once. Beyond, whoever came longest ago is forgotten, and so may have another burst. */
const NAMES_MAX = 16_384;

export class RateLimit {
  readonly #costMs: number;
  readonly #creditMs: number;
  readonly #nowMs: () => number;
  readonly #paidAtMs = new Map<string, number>();

  constructor({ perSecond, burst }: RateOptions, parts: { readonly nowMs: () => number }) {
    this.#costMs = 1_000 / perSecond;
    this.#creditMs = (burst === 0 ? perSecond : burst) * this.#costMs;
    this.#nowMs = parts.nowMs;
  }

  /** Those remembered. */
  get names(): number {
    return this.#paidAtMs.size;
  }

  /** 0: granted. Otherwise the milliseconds after which a request would be; nothing is counted. */
  take(name: string): number {
    const now = this.#nowMs();
    const paidAt = Math.max(now, this.#paidAtMs.get(name) ?? 0) + this.#costMs;
    // Sums of costs are not exact: a thousandth of a millisecond is no request.
    const early = paidAt - now - this.#creditMs;
    if (early > 0.001) return early;
    // Put at the end, so that the map is in the order of last use.
    this.#paidAtMs.delete(name);
    this.#paidAtMs.set(name, paidAt);
    if (this.#paidAtMs.size > NAMES_MAX) this.#forget(now);
    return 0;
  }

  #forget(now: number): void {
    for (const [name, paidAt] of this.#paidAtMs) if (paidAt <= now) this.#paidAtMs.delete(name);
    // An eighth at once, so that a flood of names does not sweep the map with every request.
    for (const name of this.#paidAtMs.keys()) {
      if (this.#paidAtMs.size <= NAMES_MAX - NAMES_MAX / 8) break;
      this.#paidAtMs.delete(name);
    }
  }
}
