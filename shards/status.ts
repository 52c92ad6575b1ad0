import type { Applier } from "./applier.ts";
import type { GroupId, NodeId } from "./ports.ts";
import type { Status } from "./raft/status.ts";
import { NOBODY } from "./raft/types.ts";
import type { LogIndex } from "./raft/types.ts";
import type { GroupStatus } from "./surface.ts";

export interface StatusParts {
  readonly group: GroupId;
  readonly node: NodeId;
  readonly failure: string | null;
  readonly resting: boolean;
  readonly core: Status;
  readonly logBytes: number;
  readonly applier: Pick<Applier, "applied" | "lagBytes">;
  readonly durable: LogIndex;
  readonly proposals: number;
}

/** What a log says of itself. That of a stopped group may be beyond reading: its last word stands in for it then. */
export function lastWord<T>(ask: () => T, isStopped: () => boolean): () => T {
  let last = ask();
  return () => {
    try {
      last = ask();
    } catch (error) {
      if (!isStopped()) throw error;
    }
    return last;
  };
}

export function describeGroup(parts: StatusParts): GroupStatus {
  const { core, applier, failure } = parts;
  return {
    group: parts.group,
    node: parts.node,
    state: failure === null ? "running" : "stopped",
    failure,
    role: core.role,
    resting: parts.resting,
    learner: core.conf.learners.includes(parts.node),
    term: core.term,
    leader: core.leader === NOBODY ? null : core.leader,
    commit: core.commit,
    // The state machine may know more after a crash than the log does (adr/0003).
    applied: applier.applied < core.commit ? applier.applied : core.commit,
    durable: parts.durable,
    firstIndex: core.firstIndex,
    lastIndex: core.lastIndex,
    logBytes: parts.logBytes,
    applyLagEntries: Math.max(0, core.commit - applier.applied),
    applyLagBytes: applier.lagBytes,
    proposalsWaiting: parts.proposals,
    conf: core.conf,
    peers: core.progress.map(({ id, match, state, learner, active }) => ({
      node: id,
      match,
      state,
      learner,
      recentlyActive: active,
    })),
  };
}
