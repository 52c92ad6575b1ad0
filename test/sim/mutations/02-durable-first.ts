import type { Mutation } from "./mutation.ts";

export const durableFirst: readonly Mutation[] = [
  {
    name: "answers-before-fsync",
    rule: 2,
    why: "Votes and acknowledgements leave at once: a crash takes back what was promised.",
    edits: [
      {
        file: "shards/raft/outbox.ts",
        find: "else this.thenSend.push(message);",
        replace: "else this.send.push(message);",
      },
    ],
  },
  {
    name: "own-entry-before-fsync",
    rule: 2,
    why: "The leader counts its own entry before its fsync: a majority that is one short.",
    edits: [
      {
        file: "shards/raft/replication.ts",
        find: "  // The leader counts itself like anybody else",
        replace: `  core.tracker.get(core.id)?.acknowledge(plus(last, drafts.length));
  // The leader counts itself like anybody else`,
      },
    ],
  },
];
