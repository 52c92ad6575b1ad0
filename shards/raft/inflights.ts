/** Appends on their way to one peer: a sliding window bounded in messages and in bytes. */
import type { LogIndex } from "./types.ts";
import { violated } from "./invariant.ts";

export class Inflights {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  /** Last index and size of each message, oldest first; live from `#head` on. */
  readonly #lasts: LogIndex[] = [];
  readonly #sizes: number[] = [];
  #head = 0;
  /** Where the next one goes. The lists are reused from the front when nothing is in flight, not shortened. */
  #tail = 0;
  #bytes = 0;

  constructor(maxMessages: number, maxBytes: number) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#tail - this.#head;
  }

  /** A window of bytes may be overrun by its last message: one that is larger than the window must still go. */
  isFull(): boolean {
    return this.count >= this.#maxMessages || this.#bytes >= this.#maxBytes;
  }

  add(last: LogIndex, bytes: number): void {
    if (this.isFull()) violated(`a window of ${this.#maxMessages} messages has room for index ${last}`);
    this.#lasts[this.#tail] = last;
    this.#sizes[this.#tail] = bytes;
    this.#tail++;
    this.#bytes += bytes;
  }

  /** Forgets messages whose last index is at or below `match`: the peer has them. */
  freeUpTo(match: LogIndex): void {
    const tail = this.#tail;
    let head = this.#head;
    while (head < tail && (this.#lasts[head] as LogIndex) <= match) {
      this.#bytes -= this.#sizes[head] as number;
      head++;
    }
    this.#head = head;
    if (head === tail) this.reset();
    else if (head >= 64 && head * 2 > tail) {
      this.#lasts.copyWithin(0, head, tail);
      this.#sizes.copyWithin(0, head, tail);
      this.#tail = tail - head;
      this.#head = 0;
    }
  }

  reset(): void {
    this.#head = 0;
    this.#tail = 0;
    this.#bytes = 0;
  }
}
