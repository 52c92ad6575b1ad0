import type { Invariant } from "../facts.ts";
import { decodeCommand } from "../kv-machine.ts";
import { attemptName } from "../clients.ts";

/**
 * An acknowledged write is among the applied entries for ever, and what was promised never to happen never does.
 * Applied entries are recorded as replicas apply them, so this compares promises with the log; that the states agree
 * at the end is for the liveness phase.
 */
export function acknowledgedIsKept(refused: ReadonlySet<string>): Invariant {
  return {
    name: "no acknowledged write is lost, no refused one happens",
    watch({ world, fail }) {
      const applied = new Set<string>();
      const sequences = new Set<string>();
      return {
        applies(node, group, entry) {
          if (entry.data.length === 0) return;
          const { by, attempt } = decodeCommand(entry.data);
          const name = attemptName(by.origin, by.sequence, attempt);
          if (refused.has(name))
            fail(`n${node} g${group}: applies ${name} at ${entry.index}, which was refused`);
          applied.add(name);
          sequences.add(`${by.origin}/${by.sequence}`);
        },
        ends() {
          for (const name of refused)
            if (applied.has(name)) fail(`${name} was refused after it had been applied`);
          for (const { id, client, input, ended } of world.operations()) {
            if (ended?.kind !== "answered" || input.kind === "read") continue;
            const value = input.kind === "delete" ? null : input.value;
            if (value !== null && !sequences.has(`c${client}/${value.split(".")[1]}`))
              fail(`operation ${id}: write of ${value} was acknowledged, but no replica ever applied it`);
          }
        },
      };
    },
  };
}
