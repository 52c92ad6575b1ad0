import type { Invariant } from "../facts.ts";
import { decodeCommand } from "../kv-machine.ts";

/**
 * An eventual read is old at worst, never a phantom: its value was written by an entry some replica had applied by
 * then, to that very key. Does not check how old.
 */
export const eventualReads: Invariant = {
  name: "eventual reads are never phantom",
  watch({ fail }) {
    const written = new Map<string, Set<string>>();
    return {
      applies(_node, _group, entry) {
        if (entry.data.length === 0) return;
        const { key, input } = decodeCommand(entry.data);
        if (input.kind !== "write" && input.kind !== "compareAndSet") return;
        const values = written.get(key) ?? new Set();
        written.set(key, values.add(input.value));
      },
      operationEnded({ id, key, node, consistency, ended }) {
        if (consistency !== "eventual" || ended?.kind !== "answered" || ended.output.kind !== "value") return;
        const { value } = ended.output;
        if (value !== null && written.get(key)?.has(value) !== true)
          fail(`operation ${id}: n${node} answered ${key} with ${value}, which was never applied`);
      },
    };
  },
};
