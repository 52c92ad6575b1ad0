import type { Mutation } from "./mutation.ts";

export const noRewrite: readonly Mutation[] = [
  {
    name: "duplicate-append-truncates",
    rule: 6,
    why: "A late or repeated append rewrites the log from its first entry on and cuts what came behind.",
    edits: [
      {
        file: "shards/raft/follower.ts",
        find: "const fresh = log.firstNew(message.entries);",
        replace: "const fresh = message.entries.length === 0 ? null : 0;",
      },
    ],
  },
  {
    name: "append-below-commit-rewrites",
    rule: 6,
    why: "An append from below the commit is not answered with the commit but written.",
    edits: [
      {
        file: "shards/raft/follower.ts",
        find: "if (message.prevIndex < log.committed) {",
        replace: "if (message.prevIndex < 0) {",
      },
      {
        file: "shards/raft/follower.ts",
        find: "const fresh = log.firstNew(message.entries);",
        replace: "const fresh = message.entries.length === 0 ? null : 0;",
      },
      {
        file: "shards/raft/raft-log.ts",
        find: "    if (first.index <= this.#committed)",
        replace: "    if (first.index <= 0)",
      },
    ],
  },
];
