import type { GroupId } from "../ports.ts";
import type { Entry, LogIndex } from "../raft/types.ts";
import { sizeOf } from "./record.ts";

/** A queue whose front is cut off now and then; what left it is not referenced any more. */
interface Tail {
  /** Contiguous up to the log's last entry; holes where entries were evicted. */
  entries: (Entry | undefined)[];
  evicted: number;
}

const CUT_AT = 64;

/**
 * The most recent entries of all groups, as they were handed in, so that what was just written is not read back: to
 * send it to followers and to apply it. The oldest written goes first, whichever group it belongs to.
 */
export class TailCache {
  readonly #maxBytes: number;
  readonly #tails = new Map<GroupId, Tail>();
  /** In order of writing; names entries, some of which were truncated since, without holding them. */
  #order: { readonly group: GroupId; readonly index: LogIndex }[] = [];
  #oldest = 0;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#bytes;
  }

  append(group: GroupId, entries: readonly Entry[]): void {
    let tail = this.#tails.get(group);
    if (tail === undefined) this.#tails.set(group, (tail = { entries: [], evicted: 0 }));
    for (const entry of entries) {
      tail.entries.push(entry);
      this.#order.push({ group, index: entry.index });
      this.#bytes += sizeOf(entry);
    }
    while (this.#bytes > this.#maxBytes && this.#oldest < this.#order.length) this.#evictOldest();
  }

  truncateFrom(group: GroupId, index: LogIndex): void {
    const tail = this.#tails.get(group);
    if (tail === undefined) return;
    let last = tail.entries.at(-1);
    while (last !== undefined && last.index >= index) {
      tail.entries.pop();
      this.#bytes -= sizeOf(last);
      last = tail.entries.at(-1);
    }
    if (last === undefined) this.#tails.delete(group);
  }

  forget(group: GroupId): void {
    for (const entry of this.#tails.get(group)?.entries ?? [])
      if (entry !== undefined) this.#bytes -= sizeOf(entry);
    this.#tails.delete(group);
  }

  /** The entry, or undefined when it is not here. */
  get(group: GroupId, index: LogIndex): Entry | undefined {
    const tail = this.#tails.get(group);
    const first = tail?.entries[tail.evicted];
    if (tail === undefined || first === undefined || index < first.index) return undefined;
    return tail.entries[tail.evicted + index - first.index];
  }

  #evictOldest(): void {
    const oldest = this.#order[this.#oldest++];
    if (this.#oldest > CUT_AT && this.#oldest * 2 > this.#order.length) {
      this.#order = this.#order.slice(this.#oldest);
      this.#oldest = 0;
    }
    const tail = oldest === undefined ? undefined : this.#tails.get(oldest.group);
    const front = tail?.entries[tail.evicted];
    // Otherwise it was truncated since, and what was written in its place stands further back.
    if (tail === undefined || front === undefined || front.index !== oldest?.index) return;
    this.#bytes -= sizeOf(front);
    tail.entries[tail.evicted++] = undefined;
    if (tail.evicted > CUT_AT && tail.evicted * 2 > tail.entries.length) {
      tail.entries = tail.entries.slice(tail.evicted);
      tail.evicted = 0;
    }
  }
}
