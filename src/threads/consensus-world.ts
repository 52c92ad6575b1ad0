/** Time, dice, turns and (not yet any) peers of the consensus thread. */
import { randomInt } from "node:crypto";
import type { Clock, Random, Scheduler, Transport } from "../../shards/index.ts";

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => performance.now(),
  every: (intervalMs, callback) => {
    const timer = setInterval(callback, intervalMs);
    return () => clearInterval(timer);
  },
};

export const DICE: Random = { below: (bound) => randomInt(bound) };

/** After what already came in was looked at, so that one turn sees all of it. */
export const SYSTEM_TURNS: Scheduler = { soon: (turn) => void setImmediate(turn) };

/** A node that is its cluster's only member: nothing is ever sent, and what would be is lost, as a network may. */
export const NO_PEERS: Transport = {
  start: () => undefined,
  send: () => undefined,
  sendSnapshot: () => Promise.resolve(false),
};
