import type { Mutation } from "./mutation.ts";

export const configurationKept: readonly Mutation[] = [
  {
    name: "configuration-lost-at-restart",
    rule: 14,
    why: "A restart goes back to the configuration at the log's beginning.",
    edits: [
      {
        file: "shards/raft/membership.ts",
        find: "view.membershipEntries(log.firstIndex(), after(log.applied))",
        replace: "view.membershipEntries(log.firstIndex(), log.firstIndex())",
      },
      {
        file: "shards/membership.ts",
        find: "for (const entry of log.membershipEntries(log.firstIndex(), LogIndex(applied + 1))) history.apply(entry);",
        replace:
          "for (const entry of log.membershipEntries(log.firstIndex(), log.firstIndex())) history.apply(entry);",
      },
    ],
  },
  {
    name: "joint-never-left",
    rule: 14,
    why: "A joint configuration is not left by itself: a change of leader, or nobody asking, leaves it unfinished.",
    edits: [
      {
        file: "shards/raft/replication.ts",
        find: `if (!conf.autoLeave || core.role !== "leader"`,
        replace: `if (conf.autoLeave || core.role !== "leader"`,
      },
    ],
  },
];
