import type { HostLink } from "./host-link.ts";
import { INFLIGHT_BYTES_MAX } from "./limits.ts";
import type { GroupLog } from "./ports.ts";
import { RaftCore } from "./raft/core.ts";
import type { LogView } from "./raft/log-view.ts";
import type { LogIndex } from "./raft/types.ts";
import { lastWord } from "./status.ts";

/** A core on a group's log, with the host's limits. Throws when the log cannot be a group's log. */
export function openCore(
  { limits, node, random }: HostLink,
  log: GroupLog,
  {
    applied,
    snapshot,
    isStopped,
  }: {
    readonly applied: LogIndex;
    readonly snapshot: LogView["snapshot"];
    /** From then on the core is asked for its status only. */
    readonly isStopped: () => boolean;
  },
): RaftCore {
  return new RaftCore(
    {
      id: node,
      electionTicks: limits.electionTicks,
      heartbeatTicks: limits.heartbeatTicks,
      maxMessageBytes: limits.appendBytesMax,
      maxInflightMessages: limits.inflightMessagesMax,
      maxInflightBytes: Math.max(limits.appendBytesMax, INFLIGHT_BYTES_MAX),
      maxUncommittedBytes: limits.unappliedBytesMax,
      // One batch in the state machine's hands and one waiting for it.
      maxApplyBytes: limits.applyBytesMax * 2,
      maxPendingReads: limits.readsMax,
      deathEvidence: true,
      random: (bound) => random.below(bound),
      applied,
    },
    {
      initialState: () => ({ hardState: log.hardState(), conf: log.boundary().conf }),
      firstIndex: lastWord(() => log.firstIndex(), isStopped),
      lastIndex: lastWord(() => log.lastIndex(), isStopped),
      term: (index) => log.term(index),
      entries: (low, high, maxBytes) => log.entries(low, high, maxBytes),
      membershipEntries: (low, high) => log.membershipEntries(low, high),
      snapshot,
    },
  );
}
