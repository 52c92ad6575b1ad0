/**
 * The end of the log that is held in memory.
 *
 *     first ........ unstable ........ inProgress ........ end
 *     cached,        being written,    not yet handed out
 *     durable too    not yet durable
 *
 * Durable entries stay as a cache, so that applying and replicating the newest ones costs no read; the log proper is
 * read only for what fell behind. Always: first <= unstable <= inProgress <= end.
 */
import { after, before, higher, lower, plus } from "./index-math.ts";
import { violated } from "./invariant.ts";
import { entryBytes } from "./sizes.ts";
import type { Entry, LogIndex, Term } from "./types.ts";

/** Data of durable, applied entries kept for peers that are slightly behind; per group, so it is small. */
const CACHED_APPLIED_BYTES = 64 * 1024;
/** Data of durable entries kept while a slow state machine has not applied them. */
const CACHED_BYTES = 1024 * 1024;

export class LogTail {
  #entries: Entry[] = [];
  /** Where the live part of `#entries` begins; dropped entries are cut off in bulk. */
  #head = 0;
  #first: LogIndex;
  #unstable: LogIndex;
  #inProgress: LogIndex;
  #cachedBytes = 0;

  constructor(next: LogIndex) {
    this.#first = next;
    this.#unstable = next;
    this.#inProgress = next;
  }

  /** The oldest index held. */
  get first(): LogIndex {
    return this.#first;
  }
  /** The first index that is not known to be durable. */
  get unstable(): LogIndex {
    return this.#unstable;
  }
  get end(): LogIndex {
    return plus(this.#first, this.#entries.length - this.#head);
  }

  /** Undefined outside of what is held. */
  term(index: LogIndex): Term | undefined {
    return index < this.#first ? undefined : this.#entries[this.#head + index - this.#first]?.term;
  }

  /** Entries from `low` up to but not including `high`; the range is held. */
  slice(low: LogIndex, high: LogIndex): Entry[] {
    if (low < this.#first || high < low || high > this.end)
      violated(`entries ${low} to ${high} are held, which are ${this.#first} to ${this.end}`);
    const shift = this.#head - this.#first;
    return this.#entries.slice(low + shift, high + shift);
  }

  /** As many as fit in `maxBytes`, at least one. */
  sliceWithin(low: LogIndex, high: LogIndex, maxBytes: number): Entry[] {
    if (maxBytes === Infinity) return this.slice(low, high);
    const shift = this.#head - this.#first;
    let bytes = 0;
    let end = low;
    while (end < high) {
      bytes += entryBytes(this.#entries[end + shift] as Entry);
      if (bytes > maxBytes && end > low) break;
      end = after(end);
    }
    return this.slice(low, end);
  }

  /** Entries replace whatever is held from the first one's index on. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const from = (entries[0] as Entry).index;
    if (from > this.end) violated(`entry ${from} follows the last one, which is ${before(this.end)}`);
    if (from < this.end) this.#truncate(from);
    if (this.#entries.length === this.#head) this.#restartAt(from);
    for (const entry of entries) this.#entries.push(entry);
  }

  /** A snapshot replaced the log: it goes on after `boundary`. */
  restore(boundary: LogIndex): void {
    this.#entries.length = 0;
    this.#head = 0;
    this.#cachedBytes = 0;
    this.#first = after(boundary);
    this.#unstable = this.#first;
    this.#inProgress = this.#first;
  }

  hasNext(): boolean {
    return this.#inProgress < this.end;
  }

  hasUnstable(): boolean {
    return this.#unstable < this.end;
  }

  /** What is to be written next. */
  next(): readonly Entry[] {
    return this.hasNext() ? this.slice(this.#inProgress, this.end) : [];
  }

  /** Everything was handed out to be written. */
  accept(): void {
    this.#inProgress = this.end;
  }

  /** Entries up to `index` became durable, unless they were replaced since (the term tells). */
  stableTo(index: LogIndex, term: Term): void {
    if (index < this.#unstable || this.term(index) !== term) return;
    const shift = this.#head - this.#first;
    for (let i: number = this.#unstable; i <= index; i++)
      this.#cachedBytes += entryBytes(this.#entries[i + shift] as Entry);
    this.#unstable = after(index);
    this.#inProgress = higher(this.#inProgress, this.#unstable);
  }

  /** Lets go of the oldest durable entries beyond what is worth keeping. */
  trim(applied: LogIndex): void {
    let first: number = this.#first;
    let head = this.#head;
    while (
      first < this.#unstable &&
      this.#cachedBytes > (first <= applied ? CACHED_APPLIED_BYTES : CACHED_BYTES)
    ) {
      this.#cachedBytes -= entryBytes(this.#entries[head] as Entry);
      head++;
      first++;
    }
    this.#head = head;
    this.#first = first as LogIndex;
    if (head > 64 && head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(head);
      this.#head = 0;
    }
  }

  #truncate(from: LogIndex): void {
    if (from <= this.#first) {
      this.#entries.length = 0;
      this.#head = 0;
      this.#cachedBytes = 0;
    } else {
      const shift = this.#head - this.#first;
      for (let i: number = from; i < this.#unstable; i++)
        this.#cachedBytes -= entryBytes(this.#entries[i + shift] as Entry);
      this.#entries.length = from + shift;
    }
    this.#unstable = lower(this.#unstable, from);
    this.#inProgress = lower(this.#inProgress, from);
  }

  #restartAt(from: LogIndex): void {
    this.#entries.length = 0;
    this.#head = 0;
    this.#first = from;
  }
}
