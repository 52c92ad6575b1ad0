import { createHash } from "node:crypto";
import { ApiError } from "../api/errors.ts";

/** Far more keys than are retried at a time, at some hundred bytes each. */
const KEYS_MAX = 100_000;

/**
 * What each Idempotency-Key was first used for, so that a key that is used again for something else is refused instead
 * of being answered with the first outcome. Kept while the process lives; that an entry is applied at most once does
 * not depend on it: that is the state machine's memory, which is durable.
 */
export class KeyLedger {
  readonly #max: number;
  readonly #digests = new Map<string, string>();

  constructor(max = KEYS_MAX) {
    this.#max = max;
  }

  /** CONFLICT when the key stands for other entries. */
  claim(collection: number, key: string, entries: readonly Uint8Array[]): void {
    const hash = createHash("sha256");
    for (const entry of entries) hash.update(entry);
    const digest = hash.digest("base64");
    const name = `${collection}/${key}`;
    const known = this.#digests.get(name);
    if (known !== undefined && known !== digest) {
      throw new ApiError("CONFLICT", "Conflict: this Idempotency-Key was used for another request");
    }
    // Put last again: a key in use stays.
    this.#digests.delete(name);
    this.#digests.set(name, digest);
    if (this.#digests.size > this.#max) {
      const [oldest] = this.#digests.keys();
      if (oldest !== undefined) this.#digests.delete(oldest);
    }
  }
}
