import type { NodeId } from "../../../shards/ports.ts";
import type { Invariant } from "../facts.ts";
import { isQuorum } from "./commits.ts";

/**
 * Who becomes leader was voted for by a majority of each half of the configuration it has applied (§5.2, §6).
 * Counts the votes that were sent, so one that was lost on its way is taken for arrived.
 */
export const electedByQuorum: Invariant = {
  name: "a leader is elected by a majority of each half",
  watch({ world, fail }) {
    const votes = new Map<string, Set<NodeId>>();
    return {
      sends(node, group, message) {
        if (message.kind !== "voteResponse" || !message.granted) return;
        const place = `n${message.to} g${group} term ${message.term}`;
        const voters = votes.get(place) ?? new Set();
        votes.set(place, voters.add(node));
      },
      coreEvent(node, group, event) {
        if (event.kind !== "roleChanged" || event.role !== "leader") return;
        const place = `n${node} g${group} term ${event.term}`;
        const conf = world.status(node, group)?.conf;
        const granted = votes.get(place);
        if (conf !== undefined && !isQuorum(conf, (voter) => voter === node || granted?.has(voter) === true))
          fail(
            `${place}: leads by the votes of [${[...(granted ?? [])].join()}] and its own, the voters are ` +
              `[${conf.voters.join()}] [${conf.votersOutgoing.join()}]`,
          );
      },
    };
  },
};
