import type { GroupId, NodeId } from "../../../shards/ports.ts";
import type { ConfState } from "../../../shards/ports.ts";

/** What a group is known to have committed: filled from what nodes say, read by several invariants. */
export class CommitRecord {
  /** Terms by index. */
  readonly terms: (number | undefined)[] = [];
  highest = 0;
}

export class CommitRecords {
  readonly #byGroup = new Map<GroupId, CommitRecord>();

  of(group: GroupId): CommitRecord {
    const found = this.#byGroup.get(group) ?? new CommitRecord();
    this.#byGroup.set(group, found);
    return found;
  }
}

/** Whether `holders` hold a majority of each half of the configuration. */
export function isQuorum(conf: ConfState, holders: (node: NodeId) => boolean): boolean {
  return [conf.voters, conf.votersOutgoing].every(
    (half) => half.length === 0 || half.filter(holders).length * 2 > half.length,
  );
}
