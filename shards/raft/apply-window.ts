/** How much may be in the state machine's hands at once: committed entries handed out and not yet applied, in bytes. */
import { higher } from "./index-math.ts";
import { violated } from "./invariant.ts";
import { entriesBytes, payloadBytes } from "./sizes.ts";
import type { Entry, LogIndex } from "./types.ts";

interface Batch {
  readonly last: LogIndex;
  readonly bytes: number;
  readonly payload: number;
}

export class ApplyWindow {
  readonly #maxBytes: number;
  readonly #batches: Batch[] = [];
  #bytes = 0;
  #paused = false;
  #applying: LogIndex;
  #applied: LogIndex;

  constructor(applied: LogIndex, maxBytes: number) {
    this.#applied = applied;
    this.#applying = applied;
    this.#maxBytes = maxBytes;
  }

  /** The state machine has applied everything up to here. */
  get applied(): LogIndex {
    return this.#applied;
  }
  /** Everything up to here was handed out. */
  get applying(): LogIndex {
    return this.#applying;
  }

  startAt(applied: LogIndex): void {
    this.#applied = applied;
    this.#applying = applied;
  }

  isPaused(): boolean {
    return this.#paused;
  }

  room(): number {
    return this.#maxBytes - this.#bytes;
  }

  /** `appliable` is how far it could have gone: a batch that stops short of it was cut by the limit. */
  handedOut(entries: readonly Entry[], appliable: LogIndex): void {
    const last = entries[entries.length - 1];
    if (last === undefined) return;
    if (entries[0]?.index !== this.#applying + 1)
      violated(`entries are applied in order: ${entries[0]?.index} after ${this.#applying}`);
    const bytes = entriesBytes(entries);
    this.#batches.push({ last: last.index, bytes, payload: payloadBytes(entries) });
    this.#bytes += bytes;
    this.#applying = last.index;
    this.#paused = this.#bytes >= this.#maxBytes || last.index < appliable;
  }

  /** Returns the payload bytes of the batches that are finished. */
  appliedTo(index: LogIndex): number {
    // A report on entries that a snapshot has overtaken meanwhile comes late, and is of no more use.
    this.#applied = higher(this.#applied, index);
    this.#applying = higher(this.#applying, index);
    let payload = 0;
    for (let batch = this.#batches[0]; batch !== undefined && batch.last <= index; batch = this.#batches[0]) {
      this.#bytes -= batch.bytes;
      payload += batch.payload;
      this.#batches.shift();
    }
    this.#paused = this.#bytes >= this.#maxBytes;
    return payload;
  }
}
