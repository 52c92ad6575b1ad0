import type { Invariant } from "../facts.ts";

/**
 * Nothing is promised before it is synced: a vote and an acknowledgement leave only when the disk holds what they
 * say. The leader's own share of a majority is checked where it counts, by "committed is durable".
 * Pre-votes and asking for votes promise nothing. An acknowledgement of a term that is over counts by what the disk held
 * while it lasted: one transaction may carry an entry and its replacement by the next leader.
 */
export const promisedAfterSynced: Invariant = {
  name: "nothing is promised before it is synced",
  watch({ world, fail }) {
    /** The highest index each log reached in each of its terms. */
    const reached = new Map<string, number>();
    return {
      logWrites(node, before, { group, entries, snapshot, hardState }) {
        const term = hardState?.term ?? before.hardState.term;
        const last = entries?.at(-1)?.index ?? snapshot?.index ?? before.lastIndex;
        const place = `n${node} g${group} t${term}`;
        reached.set(place, Math.max(reached.get(place) ?? 0, last));
      },
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
            if (
              image.lastIndex < message.match &&
              (term <= message.term ||
                (reached.get(`n${node} g${group} t${message.term}`) ?? 0) < message.match)
            )
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
