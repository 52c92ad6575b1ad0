import type { Invariant } from "../facts.ts";
import { CommitRecords } from "./commits.ts";

/**
 * Leader completeness (§5.4): who becomes leader holds every entry anyone has applied before.
 * A new leader may hold them in memory only, so its disk is read when the first entry of its own term arrives there:
 * everything before it has arrived by then. Entries nobody applied yet are left to "committed is immutable".
 */
export const leaderCompleteness: Invariant = {
  name: "leader completeness",
  watch({ fail }) {
    const records = new CommitRecords();
    const newest = new Map<number, number>();
    /** Per replica that was elected and has not written an entry of its own yet: its term, and what it must hold. */
    const elected = new Map<string, { readonly term: number; readonly upTo: number }>();
    return {
      applies(_node, group, entry) {
        const record = records.of(group);
        record.terms[entry.index] ??= entry.term;
        record.highest = Math.max(record.highest, entry.index);
      },
      coreEvent(node, group, event) {
        if (event.kind !== "roleChanged") return;
        const place = `n${node} g${group}`;
        elected.delete(place);
        if (event.role !== "leader") return;
        // A late winner of an old term harms nobody: those ahead of it ignore it.
        const last = newest.get(group) ?? 0;
        newest.set(group, Math.max(last, event.term));
        if (event.term > last) elected.set(place, { term: event.term, upTo: records.of(group).highest });
      },
      stops(node) {
        for (const place of [...elected.keys()]) if (place.startsWith(`n${node} `)) elected.delete(place);
      },
      logWrites(node, before, write) {
        const place = `n${node} g${write.group}`;
        const own = elected.get(place);
        const entries = write.entries ?? [];
        const first = entries[0];
        if (own === undefined || first === undefined || entries.at(-1)?.term !== own.term) return;
        elected.delete(place);
        const { terms } = records.of(write.group);
        for (let index = before.boundary.index + 1; index <= own.upTo; index++) {
          const held = index >= first.index ? entries[index - first.index]?.term : before.at(index)?.term;
          const term = terms[index];
          if (term === undefined || term >= own.term || held === term) continue;
          fail(
            `${place} leads in term ${own.term} without entry ${index}@${term}, which was applied; it holds term ${held} there`,
          );
          return;
        }
      },
    };
  },
};
