/**
 * The interfaces at the borders of the replication layer and the duties of whoever implements them. Each has a
 * conformance suite in `test/shards/`, which every implementation passes.
 */
import type { ConfState, Entry, HardState, LogIndex, NodeId, SnapshotMeta, Term } from "./raft/types.ts";

declare const brand: unique symbol;
/** One Raft group, unique in the cluster's life: group 0 is the catalogue, the others are minted by it. */
export type GroupId = number & { readonly [brand]: "GroupId" };
export function GroupId(value: number): GroupId {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`a group id is a whole number, not ${value}`);
  return value as GroupId;
}

// ---------------------------------------------------------------------------------------------- the state machine

/**
 * Who sent a proposal, so that the state machine applies it at most once. `origin` is opaque (a process run or an
 * idempotency key), `sequence` grows per origin. Travels in the entry.
 */
export interface ProposalOrigin {
  readonly origin: string;
  readonly sequence: number;
}

/** A committed entry on its way into the state machine. `data` is empty for no-ops and membership changes. */
export interface CommittedEntry {
  readonly term: Term;
  readonly index: LogIndex;
  readonly data: Uint8Array;
}

/** What the state machine said about one entry: opaque to this layer, settled to whoever proposed it. */
export type ApplyResult = unknown;

/**
 * The one seam between replication and a state machine.
 *
 * Always: deterministic and total. The same entries give the same state and results on every replica and on every
 * replay; an entry that cannot be decoded or fails validation has a *rejected* result and changes nothing but the
 * applied index. Only a storage fault throws, and that halts this replica.
 */
export interface ApplyOp {
  /**
   * The highest index whose effects are **on disk** (fsynced), so that the log below it may be compacted. Entries
   * above it are handed in again after a restart, and must then have the same effect.
   */
  durableIndex(): Promise<LogIndex>;
  /**
   * Applies entries in order, at most one call in flight. Indexes are contiguous and follow the last applied one;
   * entries at or below it (after a restart) are skipped and answered with their remembered or an empty result.
   * When it resolves, the effects are visible to reads and survive a crash of the process; see {@link durableIndex}
   * for a crash of the machine.
   */
  apply(entries: readonly CommittedEntry[]): Promise<readonly ApplyResult[]>;
  /** The highest applied index, read once when a group opens. */
  appliedIndex(): Promise<LogIndex>;
  /** Makes everything applied so far durable and answers its index; used before compaction. */
  checkpoint(): Promise<LogIndex>;
  /** A consistent copy at one applied index, without stopping writes or reads. The caller disposes of it. */
  capture(): Promise<CapturedSnapshot>;
  /** Replaces the whole state by a verified snapshot; all or nothing, also across a crash. */
  restore(snapshot: CapturedSnapshot): Promise<void>;
}

/** Files of one snapshot, readable at any offset while it is open; neither side ever holds one in memory. */
export interface CapturedSnapshot extends AsyncDisposable {
  readonly index: LogIndex;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  /** `length` bytes at `offset`, fewer only at the end of the file. */
  read(name: string, offset: number, length: number): Promise<Uint8Array>;
}

// ------------------------------------------------------------------------------------------------------- the log

/**
 * What one turn wants to be durable for one group, in this order: a received snapshot replaces the log up to its
 * boundary, entries replace everything from their first index on, hard state is overwritten, a compaction moves the
 * beginning of the log up. All of it or none of it survives a crash.
 */
export interface GroupWrite {
  readonly group: GroupId;
  /** A snapshot from the leader: the log is emptied and begins after it (§7). */
  readonly snapshot?: SnapshotMeta;
  /** Contiguous; the first one follows or overlaps what is there. */
  readonly entries?: readonly Entry[];
  readonly hardState?: HardState;
  /** The state machine durably holds everything up to here: entries at or below it may be dropped. */
  readonly compactTo?: SnapshotMeta;
}

/** One group's log as it lies in the store. Reads are synchronous and see what the last resolved write wrote. */
export interface GroupLog {
  readonly group: GroupId;
  hardState(): HardState;
  boundary(): SnapshotMeta;
  firstIndex(): LogIndex;
  lastIndex(): LogIndex;
  term(index: LogIndex): Term | "compacted" | "unavailable";
  entries(low: LogIndex, high: LogIndex, maxBytes: number): readonly Entry[] | "compacted" | "unavailable";
  /** Bytes of entry data held, for compaction and metrics. */
  bytes(): number;
}

/**
 * The node's only write-ahead log. Throws {@link LogError}; a corrupt or unreadable log is never answered with an
 * empty one. After a failed write the store refuses all further ones: it never retries into an unknown state.
 */
export interface LogStore extends AsyncDisposable {
  /** Groups with a log here, in order. */
  groups(): readonly GroupId[];
  /** Creates an empty log whose configuration is `conf` (a first start); refuses one that exists. */
  create(group: GroupId, conf: ConfState): Promise<void>;
  open(group: GroupId): GroupLog;
  /** On disk when it resolves: one transaction, one fsync, for all groups of the batch. At most one in flight. */
  write(batch: readonly GroupWrite[]): Promise<void>;
  /** Drops a group's log for good. */
  destroy(group: GroupId): Promise<void>;
}

export type LogErrorCode =
  "LOG_CORRUPT" | "LOG_FULL" | "LOG_IO" | "LOG_EXISTS" | "LOG_MISSING" | "LOG_POISONED";

/** An operational failure of the log: `group` and `index` say where, when known. */
export class LogError extends Error {
  override readonly name = "LogError";
  readonly code: LogErrorCode;
  readonly group: GroupId | null;
  readonly index: number | null;
  constructor(
    code: LogErrorCode,
    message: string,
    at: { readonly group?: GroupId; readonly index?: number } = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = code;
    this.group = at.group ?? null;
    this.index = at.index ?? null;
  }
}

// ------------------------------------------------------------------------------------------------ time and dice

/** Monotonic time and timers, so that tests own them. */
export interface Clock {
  /** Milliseconds from an arbitrary start, never going back. */
  nowMs(): number;
  /** Calls back every `intervalMs` until the returned function is called. */
  every(intervalMs: number, callback: () => void): () => void;
}

/** A source of dice. */
export interface Random {
  /** A whole number from 0 up to but not including `bound`. */
  below(bound: number): number;
}

export type { ConfState, Entry, HardState, LogIndex, NodeId, SnapshotMeta, Term };
