import type { Invariant } from "../facts.ts";

/**
 * A linearizable read sees everything that anybody knew to be committed when it was asked for, whoever answers it.
 * Stronger than what clients could notice: an entry that nobody was told of, or that changes nothing, counts as well.
 * That the answers fit together is checked by "linearizable reads and writes".
 */
export const readsAreFresh: Invariant = {
  name: "a read sees what was committed before it",
  watch({ fail }) {
    return {
      operationEnded({ id, client, group, node, committedBefore, ended }) {
        if (ended?.kind !== "answered" || ended.index === undefined || ended.index >= committedBefore) return;
        fail(
          `operation ${id}: client ${client} reads g${group} at n${node} as of ${ended.index}, though ` +
            `${committedBefore} was committed when it asked`,
        );
      },
    };
  },
};
