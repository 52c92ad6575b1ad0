import { hashBytes } from "../dice.ts";
import type { Invariant } from "../facts.ts";

/**
 * Log matching (§5.3): an entry of one index and term is the same everywhere and follows the same predecessor, which
 * by induction makes the whole prefix equal. Checked on every entry that reaches a disk.
 * Bytes are compared by hash; what was compacted away is not looked at again.
 */
export const logMatching: Invariant = {
  name: "log matching",
  watch({ fail }) {
    const known = new Map<string, { readonly content: string; readonly by: number }>();
    return {
      logWrites(node, before, write) {
        const entries = write.entries ?? [];
        const first = entries[0];
        if (first === undefined) return;
        const base = write.snapshot ?? null;
        const below = first.index - 1;
        let previous: number | string = base?.index === below ? base.term : before.term(below);
        for (const entry of entries) {
          const place = `group ${write.group} entry ${entry.index} of term ${entry.term}`;
          const content = `follows term ${previous}, ${entry.kind}, hash ${hashBytes(entry.data)}`;
          const same = known.get(place);
          if (same === undefined) known.set(place, { content, by: node });
          else if (same.content !== content)
            fail(`${place} is one entry: on n${same.by} it ${same.content}, on n${node} it ${content}`);
          if (typeof previous === "number" && entry.term < previous)
            fail(`terms never fall in a log: ${place} follows term ${previous} on n${node}`);
          previous = entry.term;
        }
      },
    };
  },
};
