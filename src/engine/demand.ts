/** How often it is looked at anew: long against a slice, short against a burst. */
const WINDOW_MS = 200;

/** How much of the thread's time it would take to put points into the graph as fast as they are written. */
export class IndexingDemand {
  #sinceMs: number | null = null;
  #written = 0;
  #indexed = 0;
  #indexingMs = 0;
  #msPerPoint = 0;
  #share = 0;

  wrote(points: number): void {
    this.#written += points;
  }

  indexed(points: number, ms: number): void {
    this.#indexed += points;
    this.#indexingMs += ms;
  }

  /** From 0 on; above 1 nobody could keep up. Of the window before. */
  share(nowMs: number): number {
    const windowMs = nowMs - (this.#sinceMs ??= nowMs);
    if (windowMs < WINDOW_MS) return this.#share;
    if (this.#indexed > 0) this.#msPerPoint = this.#indexingMs / this.#indexed;
    this.#share = (this.#written * this.#msPerPoint) / windowMs;
    this.#sinceMs = nowMs;
    this.#written = this.#indexed = this.#indexingMs = 0;
    return this.#share;
  }
}
