/** One member's state as plain data, for tests, operators and metrics. */
import type { ConfState, LogIndex, NodeId, Term } from "./types.ts";
import type { CoreState } from "./state.ts";
import type { ProgressState } from "./progress.ts";
import type { Role } from "./events.ts";

export interface PeerStatus {
  readonly id: NodeId;
  readonly state: ProgressState;
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly learner: boolean;
  readonly paused: boolean;
  /** 0: none is on the way. */
  readonly pendingSnapshot: LogIndex;
  /** Heard from since the last check of the quorum. */
  readonly recentlyActive: boolean;
  /** Or in the time between the two checks before. */
  readonly active: boolean;
  readonly inflightMessages: number;
  readonly inflightFull: boolean;
}

export interface Status {
  readonly id: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: NodeId;
  /** 0: nobody is known. */
  readonly leader: NodeId;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly conf: ConfState;
  /** Named by the own configuration as a voter, in either half. */
  readonly isVoter: boolean;
  /** 0: no transfer is going on. */
  readonly transferTarget: NodeId;
  /** No further membership change while this index is not applied. */
  readonly pendingConfIndex: LogIndex;
  readonly uncommittedBytes: number;
  readonly electionElapsed: number;
  readonly electionTimeout: number;
  readonly pendingReads: number;
  /** Sorted by id; of interest on a leader only, empty elsewhere. */
  readonly progress: readonly PeerStatus[];
}

export function statusOf(core: CoreState): Status {
  const { log, tracker } = core;
  return {
    id: core.id,
    role: core.role,
    term: core.term,
    vote: core.vote,
    leader: core.leader,
    commit: log.committed,
    applied: log.applied,
    firstIndex: log.firstIndex(),
    lastIndex: log.lastIndex(),
    conf: tracker.conf,
    isVoter: tracker.isVoter(core.id),
    transferTarget: core.transferTarget,
    pendingConfIndex: core.pendingConfIndex,
    uncommittedBytes: core.uncommittedBytes,
    electionElapsed: core.electionElapsed,
    electionTimeout: core.electionTimeout,
    pendingReads: core.reads.size,
    progress: core.role === "leader" ? progressOf(core) : [],
  };
}

function progressOf(core: CoreState): PeerStatus[] {
  return core.tracker.members.map((peer) => ({
    id: peer.id,
    state: peer.state,
    match: peer.match,
    next: peer.next,
    learner: core.tracker.isLearner(peer.id),
    paused: peer.isPaused(),
    pendingSnapshot: peer.pendingSnapshot,
    recentlyActive: peer.recentlyActive,
    active: peer.isActive,
    inflightMessages: peer.inflights.count,
    inflightFull: peer.inflights.isFull(),
  }));
}
