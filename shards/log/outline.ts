import { invariant } from "../raft/invariant.ts";
import { LogIndex } from "../raft/types.ts";
import type { Entry, HardState, SnapshotMeta, Term } from "../raft/types.ts";
import type { GroupWrite } from "../ports.ts";
import { sizeOf } from "./record.ts";
import type { GroupState } from "./record.ts";

/** Compacted entries are cut off the arrays once there are this many, so that a cut costs little on average. */
const CUT_AT = 4_096;

/**
 * What a store knows of one group's log without reading it: bounds, terms and sizes of its entries.
 *
 * Always: entries run from `boundary.index + 1` to `last` without a gap, and terms never fall.
 */
export class LogOutline {
  #hardState: HardState;
  #boundary: SnapshotMeta;
  #last: LogIndex;
  /** The index before `#ends[0]`: at most the boundary. */
  #base: number;
  /** Bytes of all entries up to and including each index since an arbitrary start. */
  #ends: number[] = [];
  /** Bytes before `#ends[0]`. */
  #start = 0;
  /** Where each term begins; entries of one term lie together. */
  #terms: { readonly from: number; readonly term: Term }[] = [];

  constructor(hardState: HardState, boundary: SnapshotMeta) {
    this.#hardState = hardState;
    this.#boundary = boundary;
    this.#last = boundary.index;
    this.#base = boundary.index;
  }

  get hardState(): HardState {
    return this.#hardState;
  }
  get boundary(): SnapshotMeta {
    return this.#boundary;
  }
  get first(): LogIndex {
    return LogIndex(this.#boundary.index + 1);
  }
  get last(): LogIndex {
    return this.#last;
  }
  get state(): GroupState {
    return { hardState: this.#hardState, boundary: this.#boundary, last: this.#last };
  }
  get bytes(): number {
    return this.#endAt(this.#last) - this.#endAt(this.#boundary.index);
  }

  term(index: LogIndex): Term | "compacted" | "unavailable" {
    if (index < this.#boundary.index) return "compacted";
    if (index === this.#boundary.index) return this.#boundary.term;
    if (index > this.#last) return "unavailable";
    return this.#terms.findLast((run) => run.from <= index)?.term ?? this.#boundary.term;
  }

  /** Size of one entry, with its overhead. */
  size(index: LogIndex): number {
    return this.#endAt(index) - this.#endAt(index - 1);
  }

  /** The highest index at or above the boundary that leaves at least `keepBytes` behind it. */
  cutKeeping(keepBytes: number): LogIndex {
    const limit = this.#endAt(this.#last) - keepBytes;
    let low = this.#boundary.index as number;
    let high = this.#last as number;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#endAt(middle) <= limit) low = middle;
      else high = middle - 1;
    }
    return LogIndex(low);
  }

  /** Takes over a write that the store is about to make durable; an illegal one is a bug of the caller. */
  take(write: GroupWrite): void {
    if (write.snapshot !== undefined) this.#reset(write.snapshot);
    const first = write.entries?.[0];
    if (first !== undefined) {
      this.truncateFrom(first.index);
      for (const entry of write.entries ?? []) this.append(entry);
    }
    if (write.hardState !== undefined) this.#setHardState(write.hardState);
    if (write.compactTo !== undefined) this.#compactTo(write.compactTo);
    invariant(
      this.#hardState.commit <= this.#last,
      () => `commit ${this.#hardState.commit} lies within the log, which ends at ${this.#last}`,
    );
  }

  append(entry: Pick<Entry, "index" | "term" | "data">): void {
    this.appendSized(entry.index, entry.term, sizeOf(entry as Entry));
  }

  appendSized(index: LogIndex, term: Term, size: number): void {
    invariant(index === this.#last + 1, () => `entry ${index} follows ${this.#last}`);
    const before = this.#terms.at(-1)?.term ?? this.#boundary.term;
    invariant(term >= before, () => `entry ${index} of term ${term} follows one of term ${before}`);
    if (this.#terms.length === 0 || term !== before) this.#terms.push({ from: index, term });
    this.#ends.push(this.#endAt(this.#last) + size);
    this.#last = index;
  }

  truncateFrom(index: LogIndex): void {
    invariant(
      index > this.#boundary.index && index <= this.#last + 1,
      () => `entries from ${index} on fit a log of ${this.first} to ${this.#last}`,
    );
    this.#ends.length = index - 1 - this.#base;
    this.#last = LogIndex(index - 1);
    while ((this.#terms.at(-1)?.from ?? 0) >= index) this.#terms.pop();
  }

  #setHardState(next: HardState): void {
    const { term, vote, commit } = this.#hardState;
    invariant(next.term >= term, () => `the term never falls, from ${term} to ${next.term}`);
    invariant(next.commit >= commit, () => `the commit index never falls, from ${commit} to ${next.commit}`);
    invariant(
      next.term > term || vote === 0 || next.vote === vote,
      () => `the vote for ${vote} in term ${term} stands, and is not changed to ${next.vote}`,
    );
    this.#hardState = next;
  }

  #reset(snapshot: SnapshotMeta): void {
    invariant(
      snapshot.index > this.#boundary.index,
      () => `a snapshot at ${snapshot.index} is newer than the boundary ${this.#boundary.index}`,
    );
    this.#boundary = snapshot;
    this.#last = snapshot.index;
    this.#base = snapshot.index;
    this.#ends = [];
    this.#start = 0;
    this.#terms = [];
  }

  #compactTo(to: SnapshotMeta): void {
    invariant(
      to.index >= this.#boundary.index && to.index <= this.#hardState.commit,
      () =>
        `a log from ${this.#boundary.index} is compacted up to its commit ${this.#hardState.commit} at most, not ${to.index}`,
    );
    invariant(
      this.term(to.index) === to.term,
      () => `the boundary at ${to.index} has term ${this.term(to.index)}, not ${to.term}`,
    );
    this.#boundary = to;
    if (to.index - this.#base >= CUT_AT) {
      this.#start = this.#endAt(to.index);
      this.#ends = this.#ends.slice(to.index - this.#base);
      this.#base = to.index;
    }
    // The run the boundary lies in stays: entries right after it may belong to it.
    while ((this.#terms[1]?.from ?? Infinity) <= to.index + 1) this.#terms.shift();
  }

  #endAt(index: number): number {
    return index === this.#base ? this.#start : (this.#ends[index - this.#base - 1] ?? 0);
  }
}
