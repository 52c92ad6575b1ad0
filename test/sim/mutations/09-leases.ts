import type { Mutation } from "./mutation.ts";
import { LEASE_READS } from "./conditions.ts";

export const leases: readonly Mutation[] = [
  {
    name: "lease-by-one-answer",
    rule: 9,
    why: "A lease is renewed by one follower's answer: the others may have elected somebody else.",
    edits: [
      {
        file: "shards/raft/read-index.ts",
        find: `    (acks) => tracker.quorumOf((id) => (id === core.id || acks.has(id) ? true : undefined)) === "won",`,
        replace: "    (acks) => acks.size > 0,",
      },
    ],
    conditions: LEASE_READS,
    profile: "leases",
  },
  {
    name: "lease-from-arrival",
    rule: 9,
    why: "A lease is measured from when the answer arrived, not from when the question left.",
    edits: [
      {
        file: "shards/raft/read-index.ts",
        find: "const until = round.sentAtTick + core.settings.electionTicks - 1;",
        replace: "const until = reads.ticks + core.settings.electionTicks - 1;",
      },
    ],
    conditions: LEASE_READS,
    profile: "leases",
  },
];
