import type { Mutation } from "./mutation.ts";

export const snapshots: readonly Mutation[] = [
  {
    name: "old-snapshot-installed",
    rule: 12,
    why: "A snapshot older than the commit is installed: the state goes back.",
    edits: [
      {
        file: "shards/raft/follower.ts",
        find: "if (meta.index <= log.committed) return",
        replace: "if (meta.index <= 0) return",
      },
      {
        file: "shards/raft/follower.ts",
        find: "if (!log.matches(meta.index, meta.term)) return null;",
        replace: "if (meta.index > 0) return null;",
      },
      {
        file: "shards/raft/raft-log.ts",
        find: "      meta.index > this.#committed,",
        replace: "      meta.index > 0,",
      },
    ],
  },
  {
    name: "tail-kept-behind-snapshot",
    rule: 12,
    why: "A log keeps its tail behind an installed snapshot, though it may conflict with it.",
    edits: [
      {
        file: "shards/pipeline.ts",
        find: "...(snapshot !== null && { snapshot }),",
        replace: "...(snapshot !== null && { compactTo: snapshot }),",
      },
    ],
  },
];
