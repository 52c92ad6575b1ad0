import type { Entry, GroupId, GroupWrite, HardState, SnapshotMeta } from "../../shards/ports.ts";
import { LogIndex } from "../../shards/raft/types.ts";
import type { Term } from "../../shards/raft/types.ts";
import { invariant } from "../../shards/raft/invariant.ts";

/** One group's log as it lies on the platter: what a crash leaves. */
export class GroupImage {
  readonly group: GroupId;
  boundary: SnapshotMeta;
  entries: Entry[] = [];
  hardState: HardState;

  constructor(group: GroupId, boundary: SnapshotMeta, hardState: HardState) {
    this.group = group;
    this.boundary = boundary;
    this.hardState = hardState;
  }

  get firstIndex(): LogIndex {
    return LogIndex(this.boundary.index + 1);
  }

  get lastIndex(): LogIndex {
    return LogIndex(this.boundary.index + this.entries.length);
  }

  at(index: number): Entry | undefined {
    return this.entries[index - this.boundary.index - 1];
  }

  term(index: number): Term | "compacted" | "unavailable" {
    if (index === this.boundary.index) return this.boundary.term;
    if (index < this.boundary.index) return "compacted";
    return this.at(index)?.term ?? "unavailable";
  }

  /** In the order {@link GroupWrite} promises. */
  apply(write: GroupWrite): void {
    if (write.snapshot !== undefined) {
      this.boundary = write.snapshot;
      this.entries = [];
    }
    const first = write.entries?.[0];
    if (write.entries !== undefined && first !== undefined) {
      invariant(
        first.index > this.boundary.index && first.index <= this.lastIndex + 1,
        () =>
          `entries written from ${first.index} follow or overlap the log, which holds ` +
          `${this.firstIndex} to ${this.lastIndex}`,
      );
      this.entries.splice(first.index - this.firstIndex, Infinity, ...write.entries);
    }
    if (write.hardState !== undefined) this.hardState = write.hardState;
    const cut = write.compactTo;
    if (cut !== undefined && cut.index > this.boundary.index) {
      this.entries.splice(0, cut.index - this.boundary.index);
      this.boundary = cut;
    }
  }
}
