import type { Mutation } from "./mutation.ts";

export const ownTermCommit: readonly Mutation[] = [
  {
    name: "old-term-committed-by-majority",
    rule: 7,
    why: "An entry of an older term counts as committed once a majority holds it: a later leader may erase it (figure 8).",
    edits: [
      {
        file: "shards/raft/replication.ts",
        find: "return core.log.matches(reached, core.term) && core.log.commitTo(reached);",
        replace: "return core.log.commitTo(reached);",
      },
    ],
  },
];
