import type { Mutation } from "./mutation.ts";
import { BACKS_UP_FAR } from "./conditions.ts";

export const verifiedCommit: readonly Mutation[] = [
  {
    name: "commit-up-to-own-last",
    rule: 4,
    why: "A follower commits up to its own last index: behind the verified entries lies another leader's tail.",
    edits: [
      {
        file: "shards/raft/follower.ts",
        find: "log.commitTo(lower(message.commit, verified));",
        replace: "log.commitTo(lower(message.commit, log.lastIndex()));",
      },
    ],
    conditions: BACKS_UP_FAR,
    profile: "stale-tails",
  },
  {
    name: "heartbeat-carries-whole-commit",
    rule: 4,
    why: "Heartbeats tell the leader's commit to followers that were not verified up to there.",
    edits: [
      {
        file: "shards/raft/replication.ts",
        find: "const commit = peer.match < core.log.committed ? peer.match : core.log.committed;",
        replace: "const commit = core.log.committed;",
      },
    ],
  },
];
