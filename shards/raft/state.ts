/** Everything one member remembers. The files around it are functions over this; none keeps state of its own. */
import { NO_TERM, ZERO } from "./index-math.ts";
import type { Evidence } from "./death-evidence.ts";
import type { Settings } from "./options.ts";
import type { ReadQueue } from "./read-queue.ts";
import { NOBODY, type HardState, type LogIndex, type NodeId, type Term } from "./types.ts";
import type { Outbox } from "./outbox.ts";
import type { RaftLog } from "./raft-log.ts";
import type { Role } from "./events.ts";
import type { Tracker } from "./tracker.ts";

export interface Parts {
  readonly log: RaftLog;
  readonly tracker: Tracker;
  readonly out: Outbox;
  readonly reads: ReadQueue;
  readonly evidence: Evidence;
}

export class CoreState {
  readonly id: NodeId;
  readonly settings: Settings;
  readonly log: RaftLog;
  readonly tracker: Tracker;
  readonly out: Outbox;
  readonly reads: ReadQueue;
  readonly evidence: Evidence;

  term: Term = NO_TERM;
  /** Changes only from nobody to somebody, or when the term advances (raft.md, never 1). */
  vote: NodeId = NOBODY;
  role: Role = "follower";
  leader: NodeId = NOBODY;

  /** Ticks since this member heard from its leader or granted a vote; for a leader, since it checked its quorum. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** Under lease reads, after a restart: ticks for which no vote is given but on the leader's wish. */
  quietTicks = 0;
  /** Drawn anew for every reign. */
  electionTimeout: number;

  /** A leader's: no further membership change while this index is unapplied (raft.md, never 11). */
  pendingConfIndex: LogIndex = ZERO;
  /** A leader's: payload bytes proposed and not yet applied. */
  uncommittedBytes = 0;
  /** A leader's: who is to take over. */
  transferTarget: NodeId = NOBODY;

  constructor(settings: Settings, parts: Parts) {
    this.id = settings.id;
    this.settings = settings;
    this.log = parts.log;
    this.tracker = parts.tracker;
    this.out = parts.out;
    this.reads = parts.reads;
    this.evidence = parts.evidence;
    this.electionTimeout = settings.electionTicks;
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  /** May stand for election: a voter by its own configuration, which no pending snapshot is about to replace. */
  isPromotable(): boolean {
    return this.tracker.isVoter(this.id) && !this.log.hasPendingSnapshot();
  }
}
