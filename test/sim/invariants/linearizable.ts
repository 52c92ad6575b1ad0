import type { Invariant } from "../facts.ts";
import type { KeyedOperation } from "../../linearizability/register.ts";
import { checkKeys } from "../../linearizability/register.ts";

/** Search steps per key; a run's history is short, so more means hopelessly many unknown outcomes at once. */
const MAX_STEPS = 60_000;

/**
 * Writes and linearizable reads of every key look as if they happened one at a time, each between its call and its
 * end. A history too tangled to decide within the limit passes.
 */
export const linearizable: Invariant = {
  name: "linearizable reads and writes",
  watch({ world, fail }) {
    return {
      ends() {
        const history: KeyedOperation[] = [];
        for (const { id, key, input, consistency, called, ended } of world.operations()) {
          if (consistency !== "linearizable" || ended?.kind === "refused") continue;
          const answered = ended?.kind === "answered" ? { at: ended.at, output: ended.output } : null;
          if (answered === null && input.kind === "read") continue;
          history.push({ id, key, input, called, returned: answered });
        }
        for (const { key, verdict } of checkKeys(history, { maxSteps: MAX_STEPS })) {
          if (verdict.kind !== "illegal") continue;
          const stuck = verdict.stuck.map((id) => {
            const { client, node, input, called, ended } = world.operations()[id] ?? {};
            return `  client ${client} at n${node}: ${JSON.stringify(input)} called ${called}, ${JSON.stringify(ended)}`;
          });
          fail(
            `${key}: after ${verdict.longest.length} operations in order (last: ${verdict.longest.slice(-4).join()}) ` +
              `none of these can come next:\n${stuck.join("\n")}`,
          );
        }
      },
    };
  },
};
