import type { Mutation } from "./mutation.ts";

export const appliedBehindCommit: readonly Mutation[] = [
  {
    name: "applied-beyond-commit",
    rule: 15,
    why: "A restart takes what is applied as it is, though the commit on disk is lower: an impossible state.",
    edits: [
      {
        file: "shards/group.ts",
        find: "Math.min(parts.applied, log.hardState().commit)",
        replace: "parts.applied",
      },
    ],
  },
];
