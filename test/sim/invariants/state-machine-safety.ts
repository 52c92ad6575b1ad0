import { hashBytes } from "../dice.ts";
import type { Invariant } from "../facts.ts";

/**
 * State-machine safety (§5.4.3): every replica applies the same entry at an index, in order and without gaps.
 * Entries inside an installed snapshot are seen only through the state they leave: see "replicas are equal".
 */
export const stateMachineSafety: Invariant = {
  name: "state-machine safety",
  watch({ fail }) {
    const known = new Map<string, string>();
    const applied = new Map<string, number>();
    return {
      applies(node, group, entry) {
        const place = `group ${group} index ${entry.index}`;
        const content = `term ${entry.term}, ${entry.data.length} bytes, hash ${hashBytes(entry.data)}`;
        const first = known.get(place);
        if (first === undefined) known.set(place, content);
        else if (first !== content) fail(`${place}: one node applied ${first}, n${node} applies ${content}`);
        const replica = `${node}/${group}`;
        const last = applied.get(replica);
        if (last !== undefined && entry.index !== last + 1)
          fail(`n${node} g${group}: applies ${entry.index} after ${last}`);
        applied.set(replica, entry.index);
      },
      restores(node, group, index) {
        const last = applied.get(`${node}/${group}`) ?? 0;
        if (index < last)
          fail(`n${node} g${group}: a snapshot takes its state from ${last} back to ${index}`);
        applied.set(`${node}/${group}`, index);
      },
      // A machine that lost power applies again from where it was synced.
      starts(node) {
        for (const replica of [...applied.keys()])
          if (replica.startsWith(`${node}/`)) applied.delete(replica);
      },
    };
  },
};
