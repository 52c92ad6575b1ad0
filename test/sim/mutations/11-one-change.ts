import type { Mutation } from "./mutation.ts";

export const oneChange: readonly Mutation[] = [
  {
    name: "second-change-while-unapplied",
    rule: 11,
    why: "A second membership change enters the log while one is not applied.",
    edits: [
      {
        file: "shards/raft/membership.ts",
        find: "if (core.pendingConfIndex > applied)",
        replace: "if (core.pendingConfIndex > applied + 1_000_000)",
      },
    ],
  },
  {
    name: "campaigns-over-unapplied-change",
    rule: 11,
    why: "A member campaigns while a committed change is not applied: it counts the wrong majority.",
    edits: [
      {
        file: "shards/raft/election.ts",
        find: "return change === null ? null : `the membership",
        replace: "return change === null || change > 0 ? null : `the membership",
      },
    ],
    profile: "joint-changes",
  },
];
