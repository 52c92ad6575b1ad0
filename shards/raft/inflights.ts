/** Appends on their way to one peer: a sliding window bounded in messages and in bytes. */
import type { LogIndex } from "./types.ts";
import { invariant } from "./invariant.ts";

export class Inflights {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  /** Last index and size of each message, oldest first; live from `#head` on. */
  #lasts: LogIndex[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;

  constructor(maxMessages: number, maxBytes: number) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#lasts.length - this.#head;
  }

  /** A window of bytes may be overrun by its last message: one that is larger than the window must still go. */
  isFull(): boolean {
    return this.count >= this.#maxMessages || this.#bytes >= this.#maxBytes;
  }

  add(last: LogIndex, bytes: number): void {
    invariant(!this.isFull(), () => `a window of ${this.#maxMessages} messages has room for index ${last}`);
    this.#lasts.push(last);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** Forgets messages whose last index is at or below `match`: the peer has them. */
  freeUpTo(match: LogIndex): void {
    const end = this.#lasts.length;
    let head = this.#head;
    while (head < end && (this.#lasts[head] as LogIndex) <= match) {
      this.#bytes -= this.#sizes[head] as number;
      head++;
    }
    if (head === end) this.reset();
    else if (head >= 64 && head * 2 > end) {
      this.#lasts = this.#lasts.slice(head);
      this.#sizes = this.#sizes.slice(head);
      this.#head = 0;
    } else this.#head = head;
  }

  reset(): void {
    this.#lasts.length = 0;
    this.#sizes.length = 0;
    this.#head = 0;
    this.#bytes = 0;
  }
}
