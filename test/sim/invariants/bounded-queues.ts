import type { Invariant } from "../facts.ts";

/** Inputs one node may have waiting: the limits of its queues for all groups together. */
const QUEUED_MAX = 2 * 4_096;
const PROPOSALS_MAX = 16_384;

/**
 * Queues stay within their named limits: inputs waiting per node, proposals waiting per group.
 * Bytes in flight to a peer are the core's business and not seen from here.
 */
export const boundedQueues: Invariant = {
  name: "bounded queues",
  watch({ fail }) {
    return {
      shardEvent(node, event) {
        if (event.kind === "turn" && event.queued > QUEUED_MAX)
          fail(`n${node}: at most ${QUEUED_MAX} inputs wait, not ${event.queued}`);
      },
      status(node, status) {
        if (status.proposalsWaiting > PROPOSALS_MAX)
          fail(
            `n${node} g${status.group}: at most ${PROPOSALS_MAX} proposals wait, not ${status.proposalsWaiting}`,
          );
      },
    };
  },
};
