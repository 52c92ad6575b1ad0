import type { Invariant } from "../facts.ts";

/**
 * Who is no voter of the configuration it has applied does not campaign: learners, removed members and newcomers.
 * Pre-votes are campaigns too. A member that does not know yet that it was removed may campaign; that it cannot
 * disturb the others is part of the liveness phase.
 */
export const onlyVotersCampaign: Invariant = {
  name: "only voters campaign",
  watch({ world, fail }) {
    return {
      sends(node, group, message) {
        if (message.kind !== "voteRequest" && message.kind !== "preVoteRequest") return;
        const conf = world.status(node, group)?.conf;
        if (conf !== undefined && !conf.voters.includes(node) && !conf.votersOutgoing.includes(node))
          fail(`n${node} g${group}: sends ${message.kind}, but the voters are [${conf.voters.join()}]`);
      },
    };
  },
};
