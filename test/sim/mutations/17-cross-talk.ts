import type { Mutation } from "./mutation.ts";

export const crossTalk: readonly Mutation[] = [
  {
    name: "other-cluster-accepted",
    rule: 17,
    why: "Messages of another cluster are taken in.",
    edits: [
      {
        file: "shards/mailroom.ts",
        find: `if (envelope.cluster !== this.#identity.cluster) return "cluster";`,
        replace: "",
      },
    ],
  },
  {
    name: "other-receiver-accepted",
    rule: 17,
    why: "Messages for another node are taken in.",
    edits: [
      {
        file: "shards/mailroom.ts",
        find: `if (envelope.receiver !== this.#identity.node) return "receiver";`,
        replace: "",
      },
    ],
  },
  {
    name: "other-incarnation-accepted",
    rule: 17,
    why: "Messages for what this node was before its data was wiped are taken in.",
    edits: [
      {
        file: "shards/mailroom.ts",
        find: "receiverIncarnation !== null && receiverIncarnation !== this.#identity.incarnation",
        replace: `receiverIncarnation === ""`,
      },
    ],
  },
];
