import type { NodeId } from "../../../shards/ports.ts";
import type { Invariant } from "../facts.ts";

/**
 * Election safety (§5.2): at most one leader per group and term, over the whole run and across restarts.
 * Does not check that there is a leader, nor that a deposed one notices.
 */
export const oneLeaderPerTerm: Invariant = {
  name: "one leader per term",
  watch({ fail }) {
    const leaders = new Map<string, NodeId>();
    return {
      coreEvent(node, group, event) {
        if (event.kind !== "roleChanged" || event.role !== "leader") return;
        const place = `group ${group} term ${event.term}`;
        const first = leaders.get(place);
        if (first !== undefined && first !== node)
          fail(`${place} has one leader: n${first} led it, then n${node} became leader of it`);
        leaders.set(place, node);
      },
    };
  },
};
