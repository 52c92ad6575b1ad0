import type { Invariant } from "../facts.ts";
import type { RefusedAttempts } from "../clients.ts";
import { acknowledgedIsKept } from "./acknowledged-is-kept.ts";
import { acknowledgedMatch } from "./acknowledged-match.ts";
import { boundedQueues } from "./bounded-queues.ts";
import { committedIsDurable } from "./committed-is-durable.ts";
import { configurationsOverlap } from "./configurations-overlap.ts";
import { electedByQuorum } from "./elected-by-quorum.ts";
import { eventualReads } from "./eventual-reads.ts";
import { indexOrder } from "./index-order.ts";
import { leaderAppendOnly } from "./leader-append-only.ts";
import { leaderCompleteness } from "./leader-completeness.ts";
import { linearizable } from "./linearizable.ts";
import { logMatching } from "./log-matching.ts";
import { noCrossTalk } from "./no-cross-talk.ts";
import { oneChangeAtATime } from "./one-change-at-a-time.ts";
import { oneLeaderPerTerm } from "./one-leader-per-term.ts";
import { oneVotePerTerm } from "./one-vote-per-term.ts";
import { onlyVotersCampaign } from "./only-voters-campaign.ts";
import { readsAreFresh } from "./reads-are-fresh.ts";
import { promisedAfterSynced } from "./promised-after-synced.ts";
import { stateMachineSafety } from "./state-machine-safety.ts";

/** Every property a run is held to; liveness comes on top, after the faults. */
export function allInvariants(parts: {
  readonly refused: RefusedAttempts;
  readonly strays: () => ReadonlyMap<string, number>;
}): readonly Invariant[] {
  return [
    oneLeaderPerTerm,
    electedByQuorum,
    leaderAppendOnly,
    logMatching,
    leaderCompleteness,
    stateMachineSafety,
    committedIsDurable,
    oneVotePerTerm,
    promisedAfterSynced,
    acknowledgedMatch,
    indexOrder,
    configurationsOverlap,
    oneChangeAtATime,
    onlyVotersCampaign,
    readsAreFresh,
    linearizable,
    eventualReads,
    acknowledgedIsKept(parts.refused),
    noCrossTalk(parts.strays),
    boundedQueues,
  ];
}
