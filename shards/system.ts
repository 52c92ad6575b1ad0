/** Time, dice and turns as the operating system and the event loop give them. */
import { randomInt } from "node:crypto";
import { performance } from "node:perf_hooks";
import type { Clock, Random, Scheduler } from "./ports.ts";

/** `every` keeps the process alive until it is stopped. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  every(intervalMs, callback) {
    const timer = setInterval(callback, intervalMs);
    return () => clearInterval(timer);
  },
};

export const systemRandom: Random = { below: (bound) => randomInt(bound) };

/** After what arrived meanwhile was taken from the sockets and ports: one turn takes all of it. */
export const systemScheduler: Scheduler = {
  soon(turn) {
    setImmediate(turn);
  },
};
