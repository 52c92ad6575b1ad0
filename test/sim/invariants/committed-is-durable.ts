import type { GroupStatus } from "../../../shards/surface.ts";
import type { GroupImage } from "../group-image.ts";
import type { Invariant } from "../facts.ts";
import { CommitRecords, isQuorum } from "./commits.ts";

/**
 * What is committed lies synced on a majority of each half of the configuration when a leader first says so, and is
 * the same entry for everyone for ever: no disk loses or replaces what it knows to be committed, and no two disks
 * know different entries to be committed at one index.
 * The configuration is the one the committing leader has applied. Disks that were wiped count with what they held: a
 * wipe may take a minority's copies, and leader completeness covers what matters of that.
 */
export const committedIsDurable: Invariant = {
  name: "committed is immutable and durable on a quorum",
  watch({ world, fail }) {
    const records = new CommitRecords();
    const seen = new Map<string, number>();

    /** The term of which a quorum of the leader's configuration holds an entry at `index`; null when there is none. */
    const durableTerm = ({ conf, group }: GroupStatus, index: number): number | null => {
      const images = new Map(
        [...conf.voters, ...conf.votersOutgoing].map((id) => [id, world.image(id, group)]),
      );
      for (const holder of images.values()) {
        const term = holder?.at(index)?.term;
        if (term === undefined) continue;
        const holds = (image: GroupImage | null | undefined): boolean =>
          image !== null &&
          image !== undefined &&
          (image.boundary.index >= index || image.at(index)?.term === term);
        if (isQuorum(conf, (node) => holds(images.get(node)))) return term;
      }
      return null;
    };

    const leaderCommits = (status: GroupStatus, from: number): void => {
      const record = records.of(status.group);
      for (let index = Math.max(from, record.highest) + 1; index <= status.commit; index++) {
        const term = durableTerm(status, index);
        if (term === null)
          fail(
            `n${status.node} leads g${status.group} in term ${status.term} and commits ${index}, which is not ` +
              `synced on a majority of [${status.conf.voters.join()}] [${status.conf.votersOutgoing.join()}]`,
          );
        else record.terms[index] ??= term;
        // Older entries are committed by one of the own term behind them, never by counting (§5.4.2).
        if (index === status.commit && term !== null && term !== status.term)
          fail(
            `n${status.node} leads g${status.group} in term ${status.term} and commits up to ${index}, an entry of ` +
              `term ${term}`,
          );
      }
      record.highest = Math.max(record.highest, status.commit);
    };

    return {
      starts(node) {
        for (const group of world.groups()) seen.delete(`${node}/${group}`);
      },
      status(node, status) {
        const place = `${node}/${status.group}`;
        const from = seen.get(place) ?? 0;
        if (status.commit <= from) return;
        seen.set(place, status.commit);
        if (status.role === "leader") leaderCommits(status, from);
      },
      logWrites(node, before, write) {
        const place = `n${node} g${write.group}`;
        const record = records.of(write.group);
        const { commit } = before.hardState;
        for (const entry of write.entries ?? []) {
          const old = before.at(entry.index)?.term;
          if (entry.index <= commit && old !== undefined && old !== entry.term)
            fail(
              `${place}: replaces entry ${entry.index}@${old} by one of term ${entry.term}, though ${commit} is committed`,
            );
        }
        const last = write.entries?.at(-1);
        if (last !== undefined && last.index < before.lastIndex && last.index < commit)
          fail(`${place}: cuts its log to ${last.index}, though ${commit} is committed`);
        if (write.snapshot !== undefined) {
          const { index, term } = write.snapshot;
          if (index < commit)
            fail(`${place}: goes back to a snapshot at ${index}, though ${commit} is committed`);
          const known = record.terms[index];
          if (known !== undefined && known !== term)
            fail(`${place}: takes a snapshot at ${index}@${term}, committed was term ${known}`);
        }
        const next = write.hardState?.commit ?? commit;
        if (write.compactTo !== undefined && write.compactTo.index > next)
          fail(`${place}: compacts to ${write.compactTo.index} above its commit ${next}`);
        const first = write.entries?.[0]?.index ?? Infinity;
        const below = Math.max(commit, before.boundary.index, write.snapshot?.index ?? 0);
        for (let index = below + 1; index <= next; index++) {
          const term = index >= first ? write.entries?.[index - first]?.term : before.at(index)?.term;
          if (term === undefined) continue;
          const known = (record.terms[index] ??= term);
          if (known !== term)
            fail(
              `g${write.group}: entry ${index} was committed with term ${known}, on n${node} with ${term}`,
            );
        }
      },
    };
  },
};
