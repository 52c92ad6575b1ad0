/** Clients in a closed loop: each sends its next request when the one before was answered. */
import { summarise, type LatencySummary } from "../../src/cli/bench/statistics.ts";

export interface Load {
  /** All that were sent, the failed ones and those answered after the time included. */
  readonly requests: number;
  readonly perSecond: number;
  readonly failures: number;
  readonly latencyMs: LatencySummary;
}

/** `send` gets a number that no other request of this load gets; false: failed. Ends with the last answer. */
export async function closedLoop(
  clients: number,
  seconds: number,
  send: (request: number) => Promise<boolean>,
): Promise<Load> {
  const latencies: number[] = [];
  let failures = 0;
  let next = 0;
  const began = performance.now();
  const until = began + seconds * 1000;
  const client = async (): Promise<void> => {
    for (let sent = performance.now(); sent < until; sent = performance.now()) {
      if (await send(next++)) latencies.push(performance.now() - sent);
      else failures++;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const perSecond = latencies.length / ((performance.now() - began) / 1000);
  return { requests: next, perSecond, failures, latencyMs: summarise(Float64Array.from(latencies)) };
}
