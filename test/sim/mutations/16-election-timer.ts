import type { Mutation } from "./mutation.ts";

export const electionTimer: readonly Mutation[] = [
  {
    name: "any-message-resets-the-timer",
    rule: 16,
    why: "Every message postpones the election: one noisy node stops all of them.",
    edits: [
      {
        file: "shards/raft/step.ts",
        find: "  if (message.to !== core.id) return",
        replace: `  core.electionElapsed = 0;
  if (message.to !== core.id) return`,
      },
    ],
  },
];
