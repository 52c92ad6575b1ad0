import type { Invariant } from "../facts.ts";

/**
 * One vote per node and term (§5.2), and terms, votes and commits that never go back: on the wire and on disk, across
 * crashes. A candidate's vote for itself is seen on disk only, since asking for votes promises nothing. Does not check
 * whom a vote ought to go to; leader completeness does.
 */
export const oneVotePerTerm: Invariant = {
  name: "one vote per node and term",
  watch({ fail }) {
    const votes = new Map<string, number>();
    const vote = (node: number, group: number, term: number, candidate: number): void => {
      const place = `n${node} g${group} term ${term}`;
      const first = votes.get(place);
      if (first !== undefined && first !== candidate)
        fail(`${place}: voted for n${first}, then for n${candidate}`);
      votes.set(place, candidate);
    };
    return {
      sends(node, group, message) {
        if (message.kind === "voteResponse" && message.granted) vote(node, group, message.term, message.to);
      },
      logWrites(node, before, write) {
        const old = before.hardState;
        const next = write.hardState;
        if (next === undefined) return;
        if (next.term < old.term)
          fail(`n${node} g${write.group}: its term falls on disk from ${old.term} to ${next.term}`);
        if (next.term === old.term && old.vote !== 0 && next.vote !== old.vote)
          fail(
            `n${node} g${write.group}: in term ${old.term} its vote on disk changes from n${old.vote} to n${next.vote}`,
          );
        if (next.commit < old.commit)
          fail(`n${node} g${write.group}: its commit falls on disk from ${old.commit} to ${next.commit}`);
      },
    };
  },
};
