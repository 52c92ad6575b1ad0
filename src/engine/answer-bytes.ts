/** How much one call may answer: whatever it reads is copied between threads and written as one text. */
import { EngineError } from "./errors.ts";
import { selectPayload } from "./json.ts";
import type { Payload, PayloadSelector } from "./types.ts";
import { payloadOf } from "./writer.ts";

/** What a point costs beside its payload and vector, by time rather than by size. */
const POINT_BYTES = 256;

/** Throws TOO_LARGE from the point on that would make the answer larger than `most` bytes. */
export class AnswerBytes {
  readonly #most: number;
  #bytes = 0;

  constructor(most: number) {
    this.#most = most;
  }

  point(vector: Float32Array | undefined): void {
    this.#add(POINT_BYTES + (vector?.byteLength ?? 0));
  }

  /** What the selector leaves of a stored payload. */
  payload(text: string | null, selector: PayloadSelector): Payload | null {
    if (text === null || selector.kind === "none") return null;
    const selected = selectPayload(payloadOf(text), selector);
    this.#add(selector.kind === "all" ? text.length : JSON.stringify(selected).length);
    return selected;
  }

  #add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#most)
      throw new EngineError(
        "TOO_LARGE",
        `the answer would have more than ${this.#most} bytes (payloads, vectors, and ${POINT_BYTES} for each point): ask for fewer points at a time, or for less of them`,
      );
  }
}
