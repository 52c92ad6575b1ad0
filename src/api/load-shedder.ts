/**
 * Refuses requests while more is asked than can be served, before they wait: what was accepted stays fast, and what
 * was not can be tried elsewhere at once.
 */
import { ApiError } from "../api/errors.ts";

export interface ShedOptions {
  /** Requests in work at once. */
  readonly inflightMax: number;
  /** How late turns of the event loop may keep coming. */
  readonly shedDelayMs: number;
}

const SAMPLE_MS = 20;
/** One late turn is a large body; several in a row are a queue that does not empty. */
const LATE_IN_A_ROW = 3;

export class LoadShedder implements Disposable {
  readonly #options: ShedOptions;
  #inflight = 0;
  #late = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ShedOptions) {
    this.#options = options;
  }

  /** Samples the event loop of this thread from now on. */
  start(): void {
    let expected = performance.now() + SAMPLE_MS;
    const look = (): void => {
      const now = performance.now();
      this.sample(now - expected);
      expected = now + SAMPLE_MS;
      this.#timer = setTimeout(look, SAMPLE_MS).unref();
    };
    this.#timer = setTimeout(look, SAMPLE_MS).unref();
  }

  /** One turn came so many milliseconds late. */
  sample(lateMs: number): void {
    this.#late = lateMs > this.#options.shedDelayMs ? this.#late + 1 : 0;
  }

  get inflight(): number {
    return this.#inflight;
  }

  /** OVERLOADED, or one more in work until {@link leave}. */
  enter(): void {
    const { inflightMax, shedDelayMs } = this.#options;
    if (this.#inflight >= inflightMax)
      throw overloaded(`${inflightMax} requests are in work (option \`http.inflight_max\`)`);
    if (this.#late >= LATE_IN_A_ROW)
      throw overloaded(`the node is more than ${shedDelayMs} ms behind (option \`http.shed_delay_ms\`)`);
    this.#inflight++;
  }

  leave(): void {
    this.#inflight--;
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

const overloaded = (why: string): ApiError =>
  new ApiError("OVERLOADED", `Service unavailable: ${why}; nothing was changed`, { retryAfter: 1 });
