/**
 * The interfaces at the borders of the replication layer and the duties of whoever implements them. Each has a
 * conformance suite in `test/shards/`, which every implementation passes.
 */
import type { CoreEvent } from "./raft/events.ts";
import type { Envelope, Message } from "./raft/message.ts";
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
   * When it resolves, the effects are visible to reads. What of them survives a crash is a prefix, and holds at least
   * what {@link durableIndex} said.
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
  /**
   * Where the files lie on this machine, when they do, on disk and verified: they may be linked from there, and changed
   * only by the link.
   */
  readonly directory?: string | undefined;
  /** Where the files can be read on this machine without asking; they are nobody's to link or to change. */
  readonly readableIn?: string | undefined;
  /**
   * `length` bytes at `offset`, fewer only at the end of the file. They may lie in `into`, which has room for them and is
   * left alone until this is answered.
   */
  read(name: string, offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
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
  /** Entries from `low` up to but not including `high` that change the membership, in order. */
  membershipEntries(low: LogIndex, high: LogIndex): readonly Entry[];
  /** Bytes of entry data held, for compaction and metrics. */
  bytes(): number;
  /** The highest index up to which entries may go so that at least `keepBytes` of data stay; never below the boundary. */
  cutKeeping(keepBytes: number): LogIndex;
}

/**
 * The node's only write-ahead log. Throws {@link LogError}; a corrupt or unreadable log is never answered with an
 * empty one. After a failed write the store refuses all further ones: it never retries into an unknown state.
 */
export interface LogStore extends AsyncDisposable {
  /** Groups with a log here, in order. */
  groups(): readonly GroupId[];
  /** Creates an empty log that begins after `first`, with its configuration and term; refuses one that exists. */
  create(group: GroupId, first: SnapshotMeta): Promise<void>;
  open(group: GroupId): GroupLog;
  /**
   * On disk when it resolves: one transaction, one fsync, for the whole batch, in its order (a group may occur more
   * than once). At most one in flight. Entry bytes are kept, not copied: nobody writes to them any more.
   */
  write(batch: readonly GroupWrite[]): Promise<void>;
  /** Drops a group's log for good. */
  destroy(group: GroupId): Promise<void>;
}

export type LogErrorCode =
  /** What is stored is not what was written: restore this node from its peers, never from an empty log. */
  | "LOG_CORRUPT"
  /** The disk is full. */
  | "LOG_FULL"
  /** Any other failure to read or write. */
  | "LOG_IO"
  /** Another process has the file open. */
  | "LOG_LOCKED"
  /** Written by another version of the format. */
  | "LOG_VERSION"
  /** A group that is to be created exists. */
  | "LOG_EXISTS"
  /** No such group. */
  | "LOG_MISSING"
  /** An earlier write failed, so nothing may follow it; or the store was closed. */
  | "LOG_POISONED";

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

// ---------------------------------------------------------------------------------------------------- the network

/**
 * Who speaks to whom. A receiver drops and counts what does not match: another cluster, another node, or an earlier
 * incarnation of this one (its data was wiped since). `receiverIncarnation` is null while the sender does not know it.
 */
export interface PeerEnvelope {
  readonly cluster: string;
  readonly sender: NodeId;
  readonly receiver: NodeId;
  readonly receiverIncarnation: string | null;
}

export interface GroupMessage {
  readonly group: GroupId;
  readonly message: Message | RestMessage;
}

/** What drivers and hosts say to each other about groups that rest (adr/0012); no core ever sees it. */
export type RestMessage = Envelope & (Quiesce | Beat);

/** The leader stops ticking this group, whose log ends at `lastIndex` on every member, all of it applied. */
export interface Quiesce {
  readonly kind: "quiesce";
  readonly lastIndex: LogIndex;
  /** Its node's, as in {@link Beat}. */
  readonly epoch: number;
}

/** Of a node, for all its resting groups at once; the group it travels under says nothing, its term is 0. */
export interface Beat {
  readonly kind: "beat";
  /** Another one than before: the node may no longer stand for what rests under it. */
  readonly epoch: number;
  /** Milliseconds to the next one. */
  readonly everyMs: number;
}

/** `lost`: the connection broke. `refused`: nobody listens there, so the process is dead. `unreachable`: no answer. */
export type PeerState = "connected" | "lost" | "refused" | "unreachable";

/** What the host hands to the transport to call. None of it throws; calls come one at a time, never inside a send. */
export interface TransportReceiver {
  messages(envelope: PeerEnvelope, messages: readonly GroupMessage[]): void;
  /** A staged snapshot, all bytes here and verified. The receiver disposes of it. */
  snapshot(envelope: PeerEnvelope, message: GroupMessage, staged: CapturedSnapshot): void;
  peer(node: NodeId, state: PeerState): void;
}

/** Carries messages between nodes: may lose, delay, duplicate and reorder, never alter them. */
export interface Transport {
  /** Called once, before anything else. */
  start(receiver: TransportReceiver): void;
  /** One turn's messages to one peer, from all groups. Never blocks and never throws: what cannot go is lost. */
  send(to: NodeId, messages: readonly GroupMessage[]): void;
  /**
   * Transmits the files and then the message. Resolves true once the receiver holds a verified copy, false when it
   * was given up. The caller keeps the snapshot open meanwhile and disposes of it afterwards.
   */
  sendSnapshot(to: NodeId, message: GroupMessage, snapshot: CapturedSnapshot): Promise<boolean>;
}

// ----------------------------------------------------------------------------------------------- what can be seen

/** What the replication layer tells about itself: one stream for logs, metrics, transcripts and tests. */
export type ShardEvent =
  | {
      readonly kind: "groupOpened";
      readonly group: GroupId;
      readonly applied: LogIndex;
      readonly last: LogIndex;
    }
  | { readonly kind: "groupClosed"; readonly group: GroupId }
  /** The group takes no further part on this node until it is restarted; the others go on. */
  | { readonly kind: "groupStopped"; readonly group: GroupId; readonly why: string; readonly error: Error }
  | { readonly kind: "core"; readonly group: GroupId; readonly event: CoreEvent }
  /** One turn of the loop; `lateMs`: how much later than the tick interval the tick came, 0 in turns without one. */
  | {
      readonly kind: "turn";
      readonly durationMs: number;
      readonly lateMs: number;
      readonly inputs: number;
      readonly groups: number;
      readonly queued: number;
    }
  /** One transaction of the log, with its fsync. */
  | {
      readonly kind: "logWritten";
      readonly durationMs: number;
      readonly groups: number;
      readonly entries: number;
      readonly bytes: number;
    }
  /** How a proposal of this node ended; `ms` from the call to the outcome. */
  | { readonly kind: "proposalEnded"; readonly group: GroupId; readonly outcome: string; readonly ms: number }
  /** From the proposal to its commit, on the proposing leader. */
  | { readonly kind: "committed"; readonly group: GroupId; readonly ms: number }
  | {
      readonly kind: "applied";
      readonly group: GroupId;
      readonly index: LogIndex;
      readonly entries: number;
      readonly durationMs: number;
      /** Committed but not applied yet. */
      readonly lagEntries: number;
      readonly lagBytes: number;
    }
  | { readonly kind: "compacted"; readonly group: GroupId; readonly to: LogIndex; readonly keptBytes: number }
  | {
      readonly kind: "snapshotCaptured";
      readonly group: GroupId;
      readonly index: LogIndex;
      readonly bytes: number;
    }
  | { readonly kind: "snapshotRestored"; readonly group: GroupId; readonly index: LogIndex }
  | { readonly kind: "snapshotFailed"; readonly group: GroupId; readonly error: Error }
  /** A message that never reached a core: other cluster, node, incarnation or group, or a full queue. */
  | {
      readonly kind: "messageRefused";
      readonly from: NodeId;
      readonly group: GroupId | null;
      readonly why: "cluster" | "receiver" | "incarnation" | "sender" | "group" | "overloaded";
    };

/** Takes events as they happen; does not throw and does not call back into the layer. */
export interface EventSink {
  event(event: ShardEvent): void;
}

// ------------------------------------------------------------------------------------------------ time and dice

/** Gives the host its turns, so that tests and the simulator own them. */
export interface Scheduler {
  /** Calls back once, soon, never before this call returns. */
  soon(turn: () => void): void;
}

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

export type { ConfState, CoreEvent, Entry, HardState, LogIndex, Message, NodeId, SnapshotMeta, Term };
