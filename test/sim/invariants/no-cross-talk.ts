import type { Invariant } from "../facts.ts";
import { decodeCommand } from "../kv-machine.ts";

/**
 * What belongs to another group, cluster, node or incarnation has no effect: no replica applies another group's
 * entry, and every stray message the nemesis injects is refused and counted.
 */
export function noCrossTalk(strays: () => ReadonlyMap<string, number>): Invariant {
  return {
    name: "no cross-group message",
    watch({ fail }) {
      const refused = new Map<string, number>();
      return {
        applies(node, group, entry) {
          if (entry.data.length === 0) return;
          const command = decodeCommand(entry.data);
          if (command.group !== group)
            fail(`n${node} g${group}: applies an entry of group ${command.group} at ${entry.index}`);
        },
        shardEvent(_node, event) {
          if (event.kind === "messageRefused") refused.set(event.why, (refused.get(event.why) ?? 0) + 1);
        },
        ends() {
          for (const [why, count] of strays()) {
            const found = refused.get(why) ?? 0;
            if (found < count) fail(`${count} messages of another ${why} arrived, ${found} were refused`);
          }
        },
      };
    },
  };
}
