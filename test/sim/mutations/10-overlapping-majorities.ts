import type { Mutation } from "./mutation.ts";

export const overlappingMajorities: readonly Mutation[] = [
  {
    name: "two-voters-in-one-step",
    rule: 10,
    why: "Several voters change in one simple step: old and new majorities need not overlap.",
    edits: [
      {
        file: "shards/raft/conf-change.ts",
        find: `if (change.transition === "auto" && change.steps.length <= 1) return "no";`,
        replace: `if (change.transition === "auto") return "no";`,
      },
      {
        file: "shards/raft/changer.ts",
        find: "if (draft.votersChangedFrom(conf.voters) > 1)",
        replace: "if (draft.votersChangedFrom(conf.voters) > 9)",
      },
    ],
  },
  {
    name: "joint-commit-by-new-half",
    rule: 10,
    why: "A joint configuration commits by the majority of its new half alone.",
    edits: [
      {
        file: "shards/raft/quorum.ts",
        find: "return outgoing.length === 0 ? first : Math.min(first, majorityIndex(outgoing, matchOf));",
        replace: "return first;",
      },
    ],
    profile: "joint-changes",
  },
  {
    name: "joint-vote-by-new-half",
    rule: 10,
    why: "A joint configuration elects by the majority of its new half alone.",
    edits: [
      {
        file: "shards/raft/quorum.ts",
        find: "  if (first === second) return first;",
        replace: `  if (first !== "pending" || second !== "lost") return first;`,
      },
    ],
    profile: "joint-changes",
  },
];
