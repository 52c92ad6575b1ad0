import type { Mutation } from "./mutation.ts";

export const oneTransaction: readonly Mutation[] = [
  {
    name: "two-transactions-for-one-change",
    rule: 18,
    why: "Hard state and entries of one change are written by two transactions: a crash may come between.",
    edits: [
      {
        file: "shards/host.ts",
        find: "      return this.#parts.log.write(writes);",
        replace: `      const inTwo = async () => {
      for (const { group, hardState, ...rest } of writes) {
        if (hardState !== undefined) await this.#parts.log.write([{ group, hardState }]);
        if (Object.keys(rest).length > 0) await this.#parts.log.write([{ group, ...rest }]);
      }
    };
    return inTwo();`,
      },
    ],
  },
];
