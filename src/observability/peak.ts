/** The highest value of the last few seconds: a spike stays visible until a scraper had a chance to see it. */
export class Peak {
  readonly #windowMs: number;
  readonly #nowMs: () => number;
  #values: { readonly atMs: number; readonly value: number }[] = [];

  constructor(windowMs: number, nowMs: () => number = () => performance.now()) {
    this.#windowMs = windowMs;
    this.#nowMs = nowMs;
  }

  add(value: number): void {
    // Falling values only: what a later, higher one hides can never be the peak again.
    while (this.#values.length > 0 && (this.#values.at(-1)?.value ?? 0) <= value) this.#values.pop();
    this.#values.push({ atMs: this.#nowMs(), value });
  }
  get value(): number {
    const since = this.#nowMs() - this.#windowMs;
    this.#values = this.#values.filter(({ atMs }) => atMs >= since);
    return this.#values[0]?.value ?? 0;
  }
}
