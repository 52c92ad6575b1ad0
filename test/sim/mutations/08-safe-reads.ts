import type { Mutation } from "./mutation.ts";

export const safeReads: readonly Mutation[] = [
  {
    name: "read-before-first-commit",
    rule: 8,
    why: "A new leader answers reads before it has committed in its term: it does not know what is committed.",
    edits: [
      {
        file: "shards/raft/read-index.ts",
        find: "if (!hasCommittedInTerm(core)) core.reads.waitForFirstCommit(read);",
        replace: "if (core.term < 0) core.reads.waitForFirstCommit(read);",
      },
    ],
    profile: "deposed-leaders",
  },
  {
    name: "read-without-proof",
    rule: 8,
    why: "A leader answers reads without asking whether it still leads.",
    edits: [
      {
        file: "shards/raft/read-index.ts",
        find: "  else core.reads.add(read);",
        replace: "  else answer(core, read, core.log.committed);",
      },
    ],
    profile: "deposed-leaders",
  },
  {
    name: "read-token-reused",
    rule: 8,
    why: "Any answer to any heartbeat confirms every waiting read: an old acknowledgement vouches for a new one.",
    edits: [
      {
        file: "shards/raft/read-queue.ts",
        find: "for (const round of this.#rounds) if (round.number <= number) round.acks.add(from);",
        replace: "for (const round of this.#rounds) round.acks.add(from);",
      },
    ],
    profile: "deposed-leaders",
  },
];
