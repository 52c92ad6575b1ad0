import type { Mutation } from "./mutation.ts";
import { BACKS_UP_FAR } from "./conditions.ts";

export const verifiedMatch: readonly Mutation[] = [
  {
    name: "acknowledges-own-last",
    rule: 5,
    why: "An acknowledgement names the follower's last entry instead of the last verified one.",
    edits: [
      {
        file: "shards/raft/follower.ts",
        find: "accept(core, message.from, verified);",
        replace: "accept(core, message.from, log.lastIndex());",
      },
    ],
    conditions: BACKS_UP_FAR,
    profile: "stale-tails",
  },
];
