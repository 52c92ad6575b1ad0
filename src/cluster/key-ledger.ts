import { createHash } from "node:crypto";
import { ApiError } from "../api/errors.ts";

/** Far more keys than are retried at a time, at some hundred bytes each. */
const KEYS_MAX = 100_000;

/**
 * What each Idempotency-Key was first used for, so that a key that is used again for something else is refused. Kept
 * while the process lives. Elsewhere, or afterwards, such a request is a write of its own: the name under which the
 * state machine remembers a write holds the key and the operations, so that no other write is taken for its repetition.
 */
export class KeyLedger {
  readonly #max: number;
  readonly #digests = new Map<string, string>();

  constructor(max = KEYS_MAX) {
    this.#max = max;
  }

  /**
   * A name for the write: the same one on every node, and for nothing else. `entries` carry the key. CONFLICT when the
   * key stands for other entries here.
   */
  claim(collection: number, key: string, entries: readonly Uint8Array[]): string {
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
    return `key/${digest}`;
  }
}
