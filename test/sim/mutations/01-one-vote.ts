import type { Mutation } from "./mutation.ts";

export const oneVote: readonly Mutation[] = [
  {
    name: "vote-cleared-in-term",
    rule: 1,
    why: "The vote is forgotten whenever the role changes, not only when the term advances: two votes in one term.",
    edits: [
      {
        file: "shards/raft/roles.ts",
        find: `  if (term > core.term) {
    core.term = term;
    core.vote = NOBODY;
  }`,
        replace: `  core.term = term;
  core.vote = NOBODY;`,
      },
    ],
  },
];
