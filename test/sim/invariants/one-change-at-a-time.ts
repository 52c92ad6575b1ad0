import type { Invariant } from "../facts.ts";

/**
 * At most one membership change lies unapplied in a leader's log when it adds another (§4.1 of the dissertation), and
 * nobody campaigns over one that is committed and not applied. Counts what the leader writes in its own term, so a
 * change inherited from an earlier leader and not yet overwritten does not count against it.
 */
export const oneChangeAtATime: Invariant = {
  name: "one membership change at a time",
  watch({ world, fail }) {
    return {
      logWrites(node, before, write) {
        const status = world.status(node, write.group);
        if (status?.role !== "leader") return;
        const changes = [...before.entries, ...(write.entries ?? [])].filter(
          (entry) => entry.kind !== "normal" && entry.term === status.term && entry.index > status.applied,
        );
        const indexes = new Set(changes.map(({ index }) => index));
        if (indexes.size > 1)
          fail(
            `n${node} leads g${write.group} in term ${status.term} with changes ${[...indexes].join()} above its ` +
              `applied ${status.applied}`,
          );
      },
      sends(node, group, message) {
        if (message.kind !== "voteRequest") return;
        const image = world.image(node, group);
        const status = world.status(node, group);
        // A request that waited for its term to be durable may leave when that election is lost and over.
        if (image === null || status?.role !== "candidate" || status.term !== message.term) return;
        for (let index = status.applied + 1; index <= image.hardState.commit; index++) {
          if ((image.at(index)?.kind ?? "normal") !== "normal")
            fail(`n${node} g${group}: campaigns, though its change at ${index} is committed and not applied`);
        }
      },
    };
  },
};
