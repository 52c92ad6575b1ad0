import type { Mutation } from "./mutation.ts";

export const resting: readonly Mutation[] = [
  {
    name: "silence-wakes-nobody",
    rule: 19,
    why: "Groups that rest are not woken when a node they depend on falls silent: nobody replaces a dead leader.",
    profile: "resting-groups",
    edits: [
      {
        file: "shards/beats.ts",
        find: "if (now - peer.heardTick >= peer.patienceTicks) this.#rouse(peer);",
        replace: "if (now < 0) this.#rouse(peer);",
      },
    ],
  },
  {
    name: "rests-with-a-shorter-log",
    rule: 19,
    why: "A leader rests though members lack entries, and those follow it into rest: nobody sends them the rest.",
    profile: "resting-groups",
    edits: [
      { file: "shards/raft/rest.ts", find: "if (peer.match !== last) return false;", replace: "" },
      {
        file: "shards/raft/rest.ts",
        find: 'peer.state !== "replicate" || peer.inflights.count > 0',
        replace: "last < 0",
      },
      {
        file: "shards/raft/rest.ts",
        find: "if (log.hasPendingSnapshot() || log.lastIndex() !== lastIndex) return false;",
        replace: "",
      },
      {
        file: "shards/raft/rest.ts",
        find: "if (log.committed !== lastIndex || log.applied !== lastIndex) return false;",
        replace: "",
      },
    ],
  },
];
