/**
 * Refuses requests while more is asked than can be served, before they wait: what was accepted stays fast, and what
 * was not can be tried elsewhere at once. One for a node: its doors share what is behind them.
 */
import { ApiError } from "../api/errors.ts";

export interface ShedOptions {
  /** Requests in work at once, of each kind: data, and all else. */
  readonly inflightMax: number;
  /** How late turns of the event loop may keep coming. */
  readonly shedDelayMs: number;
}

/**
 * What a request is about. Administration is refused only by its own bound: who has to look into an overloaded node
 * must get at it. Probes do not enter at all.
 */
export type Work = "read" | "write" | "admin";

/** Why requests were refused: too many in work, the front's turns come late, who would answer has enough to do. */
export type ShedReason = "inflight" | "late" | "queue";

export interface ShedParts {
  /** Whether reads of this collection, or of the one behind this alias, wait for long already. */
  readonly isBusy: (collection: string) => boolean;
  /** One was refused. */
  readonly shed: (reason: ShedReason) => void;
}

const SAMPLE_MS = 20;
/** One late turn is a large body; several in a row are a queue that does not empty. */
const LATE_IN_A_ROW = 3;

export class LoadShedder implements Disposable {
  readonly #parts: ShedParts;
  readonly #inflightMax: number;
  readonly #shedDelayMs: number;
  readonly #refusals: Readonly<Record<ShedReason, ApiError>>;
  #data = 0;
  #admin = 0;
  #late = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor({ inflightMax, shedDelayMs }: ShedOptions, parts: ShedParts = ALONE) {
    this.#parts = parts;
    this.#inflightMax = inflightMax;
    this.#shedDelayMs = shedDelayMs;
    // Made once: under overload the trace of each would cost more than all else that a refusal takes.
    this.#refusals = {
      inflight: overloaded(`${inflightMax} requests are in work (option \`http.inflight_max\`)`),
      late: overloaded(`the node is more than ${shedDelayMs} ms behind (option \`http.shed_delay_ms\`)`),
      queue: overloaded(
        "more is asked of this collection's shards than they answer (option `http.read_queue_max`)",
      ),
    };
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
    this.#late = lateMs > this.#shedDelayMs ? this.#late + 1 : 0;
  }

  /** Of reads, writes and administration together. */
  get inflight(): number {
    return this.#data + this.#admin;
  }

  /** OVERLOADED, or one more in work until {@link leave} with the same `work`. `collection`: what a read is about. */
  enter(work: Work, collection = ""): void {
    const reason = this.#reason(work, collection);
    if (reason !== null) {
      this.#parts.shed(reason);
      throw this.#refusals[reason];
    }
    if (work === "admin") this.#admin++;
    else this.#data++;
  }

  leave(work: Work): void {
    if (work === "admin") this.#admin--;
    else this.#data--;
  }

  #reason(work: Work, collection: string): ShedReason | null {
    if (work === "admin") return this.#admin < this.#inflightMax ? null : "inflight";
    if (this.#data >= this.#inflightMax) return "inflight";
    if (this.#late >= LATE_IN_A_ROW) return "late";
    return work === "read" && this.#parts.isBusy(collection) ? "queue" : null;
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

/** For a door without queues behind it. */
const ALONE: ShedParts = { isBusy: () => false, shed: () => undefined };

const overloaded = (why: string): ApiError =>
  new ApiError("OVERLOADED", `Service unavailable: ${why}; nothing was changed`, { retryAfter: 1 });
