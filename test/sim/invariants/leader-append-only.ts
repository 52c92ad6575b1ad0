import type { Invariant } from "../facts.ts";

/**
 * Leader append-only (§5.3): while a node leads, its log only grows at the end.
 * Looks at what reaches the disk, so a leader that overwrites its own memory first and steps down before the write is
 * not seen here; what it acknowledged is covered by the log and commit invariants.
 */
export const leaderAppendOnly: Invariant = {
  name: "leader append-only",
  watch({ fail }) {
    /** Term led now, per node and group. */
    const leading = new Map<string, number>();
    return {
      coreEvent(node, group, event) {
        if (event.kind !== "roleChanged") return;
        const place = `n${node} g${group}`;
        if (event.role === "leader") leading.set(place, event.term);
        else leading.delete(place);
      },
      stops(node) {
        for (const place of [...leading.keys()]) if (place.startsWith(`n${node} `)) leading.delete(place);
      },
      logWrites(node, before, write) {
        const term = leading.get(`n${node} g${write.group}`);
        if (term === undefined) return;
        // Transactions handed over before the election may come to rest after it: they are of older terms.
        for (const entry of write.entries ?? []) {
          const old = before.at(entry.index);
          if (entry.term === term && old?.term === term && !sameBytes(old.data, entry.data))
            fail(`n${node} leads g${write.group} in term ${term} and rewrites its entry ${entry.index}`);
        }
        const last = write.entries?.at(-1);
        const own = before.entries.at(-1)?.term === term;
        if (own && last !== undefined && last.index < before.lastIndex)
          fail(`n${node} leads g${write.group} in term ${term} and cuts its log to ${last.index}`);
        if (own && write.snapshot !== undefined)
          fail(`n${node} leads g${write.group} in term ${term} and takes a snapshot from elsewhere`);
      },
    };
  },
};

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
