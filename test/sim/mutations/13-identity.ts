import type { Mutation } from "./mutation.ts";

export const identity: readonly Mutation[] = [
  {
    name: "removed-member-campaigns",
    rule: 13,
    why: "Who is no voter stands for election all the same.",
    edits: [
      {
        file: "shards/raft/state.ts",
        find: "return this.tracker.isVoter(this.id) && !this.log.hasPendingSnapshot();",
        replace: "return !this.log.hasPendingSnapshot();",
      },
    ],
  },
  {
    name: "wiped-node-bootstraps-again",
    rule: 13,
    why: "A node without its log makes itself an empty one and takes part again under its old id.",
    edits: [
      {
        file: "shards/host.ts",
        find: "if (bootstrap !== null && !log.groups().includes(group)) {",
        replace: "if (!log.groups().includes(group)) {",
      },
      {
        file: "shards/host.ts",
        find: "if (bootstrap.voters.length > 0 && held",
        replace: "if (bootstrap !== null && bootstrap.voters.length > 0 && held",
      },
      {
        file: "shards/host.ts",
        find: "await log.create(group, firstOf(bootstrap));",
        replace:
          "await log.create(group, firstOf(bootstrap ?? { voters: [this.#link.node], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false }));",
      },
    ],
  },
];
