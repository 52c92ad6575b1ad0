import type { ConfState } from "../../../shards/ports.ts";
import type { Invariant } from "../facts.ts";

/**
 * Any two configurations that follow each other share a majority (§6): a simple change moves one voter, more goes
 * through a joint configuration. Every replica applies the same configuration at an index.
 * That a joint configuration is left is checked in the liveness phase.
 */
export const configurationsOverlap: Invariant = {
  name: "configurations overlap",
  watch({ fail }) {
    const byIndex = new Map<string, string>();
    const applied = new Map<string, ConfState>();
    return {
      membership(node, group, conf, index) {
        const text = JSON.stringify(conf);
        const place = `g${group} index ${index}`;
        const first = byIndex.get(place);
        if (first !== undefined && first !== text)
          fail(`${place}: one node has ${first}, n${node} has ${text}`);
        byIndex.set(place, text);
        const previous = applied.get(`${node}/${group}`);
        applied.set(`${node}/${group}`, conf);
        if (conf.voters.length === 0) fail(`${place}: a configuration has a voter, not ${text}`);
        if (previous === undefined || previous.votersOutgoing.length > 0 || conf.votersOutgoing.length > 0)
          return;
        const moved =
          conf.voters.filter((id) => !previous.voters.includes(id)).length +
          previous.voters.filter((id) => !conf.voters.includes(id)).length;
        if (moved > 1)
          fail(
            `${place}: one step moves one voter, not from [${previous.voters.join()}] to [${conf.voters.join()}]`,
          );
      },
      // A restart or a snapshot may skip configurations in between.
      starts(node) {
        for (const place of [...applied.keys()]) if (place.startsWith(`${node}/`)) applied.delete(place);
      },
      restores(node, group) {
        applied.delete(`${node}/${group}`);
      },
      logWrites(node, _before, write) {
        if (write.snapshot !== undefined) applied.delete(`${node}/${write.group}`);
      },
    };
  },
};
