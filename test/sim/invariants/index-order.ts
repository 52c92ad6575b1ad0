import type { Invariant } from "../facts.ts";

/**
 * snapshot boundary <= applied <= commit <= last on every running replica, the hard state on disk within its log, and
 * commit and applied that never fall within one life of a process. `last` is what the replica itself reports.
 */
export const indexOrder: Invariant = {
  name: "index order",
  watch({ world, fail }) {
    const seen = new Map<string, { readonly commit: number; readonly applied: number }>();
    return {
      starts(node) {
        for (const group of world.groups()) seen.delete(`${node}/${group}`);
      },
      status(node, status) {
        if (status.state !== "running") return;
        const { applied, commit, lastIndex, group } = status;
        // On disk: in memory the log begins after a snapshot that is still being installed.
        const boundary = world.image(node, group)?.boundary.index ?? 0;
        if (!(boundary <= applied && applied <= commit && commit <= lastIndex))
          fail(
            `n${node} g${group}: boundary <= applied <= commit <= last, ` +
              `not ${boundary}, ${applied}, ${commit}, ${lastIndex}`,
          );
        const last = seen.get(`${node}/${group}`);
        if (last !== undefined && (commit < last.commit || applied < last.applied))
          fail(
            `n${node} g${group}: commit went from ${last.commit} to ${commit}, applied from ${last.applied} to ${applied}`,
          );
        seen.set(`${node}/${group}`, { commit, applied });
      },
      logWrites(node, before, write) {
        const commit = write.hardState?.commit ?? before.hardState.commit;
        const last =
          write.entries?.at(-1)?.index ??
          (write.snapshot === undefined ? before.lastIndex : write.snapshot.index);
        if (commit > last)
          fail(
            `n${node} g${write.group}: its disk holds commit ${commit} beyond the end of its log, ${last}`,
          );
        const boundary = write.snapshot?.index ?? before.boundary.index;
        if (commit < boundary)
          fail(`n${node} g${write.group}: its disk holds commit ${commit} below its snapshot at ${boundary}`);
      },
      applies(node, group, entry) {
        const image = world.image(node, group);
        // After a loss of power the state machine may lag, but it never leads the commit that is on disk.
        if (image !== null && entry.index > image.lastIndex)
          fail(`n${node} g${group}: applies ${entry.index}, its disk ends at ${image.lastIndex}`);
      },
    };
  },
};
