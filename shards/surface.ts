/** What users of the replication layer hold and get: door one (`index.ts`) hands these out. */
import type { Role } from "./raft/events.ts";
import type {
  ApplyOp,
  ApplyResult,
  Clock,
  ConfState,
  EventSink,
  GroupId,
  LogIndex,
  LogStore,
  NodeId,
  Random,
  Scheduler,
  Term,
  Transport,
} from "./ports.ts";

/**
 * How a proposal ended. Only `applied` and `committed` promise that it happened; `dropped` and `notLeader` promise
 * that it never will; `overwritten` that the place it had is another entry's. After `unknown` it may still happen: ask
 * again about (term, index), or repeat it with the same origin and sequence.
 */
export type ProposalOutcome =
  | { readonly kind: "applied"; readonly term: Term; readonly index: LogIndex; readonly result: ApplyResult }
  | { readonly kind: "committed"; readonly term: Term; readonly index: LogIndex }
  | { readonly kind: "notLeader"; readonly leader: NodeId | null }
  | { readonly kind: "dropped"; readonly why: DropReason }
  | { readonly kind: "overwritten"; readonly term: Term; readonly index: LogIndex }
  | { readonly kind: "unknown"; readonly term: Term; readonly index: LogIndex; readonly why: UnknownReason }
  /** The group was closed or stopped before the proposal entered its log. */
  | { readonly kind: "stopped"; readonly why: string };

/** `refusedByCore`: a leadership transfer is under way, or a membership change is still unapplied. */
export type DropReason = "overloaded" | "tooLarge" | "deadline" | "aborted" | "refusedByCore";
export type UnknownReason = "deadline" | "aborted" | "leadershipLost" | "stopped" | "snapshotInstalled";

export type ReadOutcome =
  /** The state machine holds everything acknowledged before the call: read it now. */
  | { readonly kind: "ready"; readonly index: LogIndex }
  | { readonly kind: "notLeader"; readonly leader: NodeId | null }
  | { readonly kind: "dropped"; readonly why: "overloaded" | "deadline" | "aborted" }
  | { readonly kind: "stopped"; readonly why: string };

export interface WaitOptions {
  /** Rounded up to whole ticks; waits without one end only with an outcome. */
  readonly timeoutMs?: number;
  /** Aborts waiting, never what was already proposed. */
  readonly signal?: AbortSignal;
}

export interface ProposeOptions extends WaitOptions {
  /** Default `applied`: settled with the state machine's result. */
  readonly wait?: "applied" | "committed";
}

/** A step of a membership change; several at once, or one that takes a vote away while another gives one, go joint. */
export interface MembershipStep {
  readonly kind: "addVoter" | "addLearner" | "remove";
  readonly node: NodeId;
}

/** What a group tells its listeners: in order, every one to each, identical ones not repeated. */
export type GroupNotice =
  | { readonly kind: "role"; readonly role: Role; readonly term: Term }
  | { readonly kind: "leader"; readonly leader: NodeId | null; readonly term: Term }
  | { readonly kind: "commit"; readonly index: LogIndex }
  | { readonly kind: "applied"; readonly index: LogIndex }
  | { readonly kind: "membership"; readonly conf: ConfState; readonly index: LogIndex }
  | { readonly kind: "stopped"; readonly why: string };

export interface PeerProgress {
  readonly node: NodeId;
  readonly match: LogIndex;
  readonly state: "probe" | "replicate" | "snapshot";
  readonly learner: boolean;
  /** Heard from within the last election timeout, or two. */
  readonly recentlyActive: boolean;
}

/** Everything an operator wants to know about one group, as plain data that crosses threads. */
export interface GroupStatus {
  readonly group: GroupId;
  readonly node: NodeId;
  readonly state: "running" | "stopped";
  /** Why it is stopped. */
  readonly failure: string | null;
  readonly role: Role;
  /** Idle, and resting until something happens: no ticks, no heartbeats of its own. */
  readonly resting: boolean;
  readonly learner: boolean;
  readonly term: Term;
  readonly leader: NodeId | null;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  /** As the state machine last said; the log may be compacted up to it. */
  readonly durable: LogIndex;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly logBytes: number;
  readonly applyLagEntries: number;
  readonly applyLagBytes: number;
  readonly proposalsWaiting: number;
  readonly conf: ConfState;
  /** Empty unless leader. */
  readonly peers: readonly PeerProgress[];
}

/** One replica of one shard's group, as the rest of the node uses it. */
export interface Group {
  readonly id: GroupId;
  /** `data` belongs to the log afterwards and is never written to again. Nothing is proposed unless this node leads. */
  propose(data: Uint8Array, options?: ProposeOptions): Promise<ProposalOutcome>;
  /** Settles when the change was applied here; a joint one is then left by itself, which a notice tells. */
  changeMembership(steps: readonly MembershipStep[], options?: WaitOptions): Promise<ProposalOutcome>;
  /**
   * Linearizable read (ReadIndex, §6.4 of the dissertation): `ready` once a quorum confirmed the leader and this
   * replica has applied what was committed at the call. Works on followers, which ask the leader.
   */
  readIndex(options?: WaitOptions): Promise<ReadOutcome>;
  /** Session read: `ready` once this replica has applied `index`. */
  waitApplied(index: LogIndex, options?: WaitOptions): Promise<ReadOutcome>;
  /** Asks the leader to hand over; answers why nothing was started, or null: the notices tell what became of it. */
  transferLeadership(to: NodeId): string | null;
  campaign(): void;
  /** Stops the group as a failed apply does: for a state machine that fails between two calls. */
  stateMachineFailed(error: Error): void;
  status(): GroupStatus;
  /** Returns how to stop. One added late hears nothing of the past, one removed nothing more; listeners do not throw. */
  subscribe(listener: (notice: GroupNotice) => void): () => void;
}

export interface OpenGroup {
  readonly group: GroupId;
  readonly applyOp: ApplyOp;
  /**
   * When this node has no log of the group yet: the founders' configuration, the same on each of them, or one without
   * members on a newcomer, who waits for a leader and gets a snapshot. null: there must be a log (LOG_MISSING).
   */
  readonly bootstrap: ConfState | null;
}

/** All groups of a node on one thread: one loop, one transaction per turn, shared ticks. Closing stops them all. */
export interface Host extends AsyncDisposable {
  /** Resolves when the group takes part; one whose only voter is this node leads soon after. */
  openGroup(open: OpenGroup): Promise<Group>;
  /** Outstanding proposals end as `unknown` or `stopped`. The log stays. */
  closeGroup(group: GroupId): Promise<void>;
  /** Closes it and drops its log for good. */
  destroyGroup(group: GroupId): Promise<void>;
  /** Closes it and opens it again from its log with the state machine of `open`: the way back after a failure. */
  restartGroup(open: OpenGroup): Promise<Group>;
  group(group: GroupId): Group | undefined;
  /** In order of id. */
  groups(): readonly Group[];
}

export interface HostIdentity {
  readonly cluster: string;
  readonly node: NodeId;
  /** Drawn at every start: tells this life of the node from earlier ones, whose answers are none of its business. */
  readonly incarnation: string;
}

export interface HostOptions {
  readonly identity: HostIdentity;
  /** Overrides of single values of {@link HOST_DEFAULTS}. */
  readonly limits?: Partial<HostLimits>;
}

export interface HostParts {
  readonly log: LogStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly events: EventSink;
}

export interface HostLimits {
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly entryBytesMax: number;
  readonly proposalsMax: number;
  readonly proposalBytesMax: number;
  readonly readsMax: number;
  readonly inboxMessagesMax: number;
  readonly turnInputsMax: number;
  readonly appendBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly unappliedBytesMax: number;
  readonly gatherBytes: number;
  readonly applyBytesMax: number;
  readonly compactBytes: number;
  readonly keepBytes: number;
  readonly heldBytesMax: number;
  readonly keepAgeTicks: number;
  readonly settleTicks: number;
  readonly commitCarryTicks: number;
  readonly readRetryTicks: number;
  readonly snapshotKeepTicks: number;
  readonly quiesceTicks: number;
}
