import type { Invariant } from "../facts.ts";

/**
 * Nothing is promised before it is synced: a vote and an acknowledgement leave only when the disk holds what they
 * say. The leader's own share of a majority is checked where it counts, by "committed is durable".
 * Pre-votes and asking for votes promise nothing.
 */
export const promisedAfterSynced: Invariant = {
  name: "nothing is promised before it is synced",
  watch({ world, fail }) {
    return {
      sends(node, group, message) {
        const image = world.image(node, group);
        if (image === null) {
          fail(`n${node} g${group}: sends ${message.kind} without a log`);
          return;
        }
        const { term, vote } = image.hardState;
        switch (message.kind) {
          case "voteResponse": {
            if (!message.granted) return;
            const candidate = message.to;
            if (term < message.term || (term === message.term && vote !== candidate))
              fail(
                `n${node} g${group}: gives its vote of term ${message.term} to n${candidate}, but its disk holds ` +
                  `term ${term} and a vote for n${vote}`,
              );
            return;
          }
          case "appendAccepted":
            if (image.lastIndex < message.match)
              fail(
                `n${node} g${group}: acknowledges ${message.match}, but its disk ends at ${image.lastIndex}`,
              );
            if (term < message.term)
              fail(
                `n${node} g${group}: acknowledges in term ${message.term}, but its disk holds term ${term}`,
              );
            return;
          default:
        }
      },
    };
  },
};
