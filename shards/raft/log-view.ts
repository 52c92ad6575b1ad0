import type { ConfState, Entry, HardState, LogIndex, SnapshotMeta, Term } from "./types.ts";

/**
 * What the core may read of a group's **persisted** log, synchronously. The core never writes: it hands out work and
 * is told when it is durable.
 *
 * Always: `firstIndex() === snapshot().index + 1` unless fewer entries were compacted than the snapshot covers, and
 * `lastIndex() >= firstIndex() - 1`.
 */
export interface LogView {
  /**
   * State to start from; `conf` is the configuration at the snapshot boundary. At boundary 0 that is the one the group
   * was founded with, on every member, also on one that joins later: the log's changes build on it.
   */
  initialState(): { readonly hardState: HardState; readonly conf: ConfState };
  firstIndex(): LogIndex;
  lastIndex(): LogIndex;
  /** The entry's term; `"compacted"` below firstIndex - 1, `"unavailable"` above lastIndex. */
  term(index: LogIndex): Term | "compacted" | "unavailable";
  /**
   * Entries from `low` up to but not including `high`, at least one, then as many as fit in `maxBytes` of data.
   * A storage fault is thrown, never answered with an empty list (it would look like an empty log).
   */
  entries(low: LogIndex, high: LogIndex, maxBytes: number): readonly Entry[] | "compacted" | "unavailable";
  /** Entries from `low` up to but not including `high` that change the membership, in order. */
  membershipEntries(low: LogIndex, high: LogIndex): readonly Entry[];
  /** The newest snapshot the group could send; `"temporarilyUnavailable"` makes the core ask again later. */
  snapshot(): SnapshotMeta | "temporarilyUnavailable";
}
