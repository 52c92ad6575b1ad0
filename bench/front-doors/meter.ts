/** A load in a closed loop, with the processor time that the nodes spent on it. */
import type { HttpClient } from "../../src/cli/http-client.ts";
import { closedLoop } from "../figures-cluster/load.ts";
import { metricOf } from "../support/metrics.ts";

export interface Round {
  readonly perSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Of all threads of all nodes, per request, microseconds. */
  readonly cpuMicros: number;
  readonly failures: number;
}

export class Meter {
  readonly #nodes: readonly HttpClient[];

  constructor(nodes: readonly HttpClient[]) {
    this.#nodes = nodes;
  }

  /** `settle`: what a request leaves behind to be done is part of its processor time. */
  async round(load: {
    readonly clients: number;
    readonly seconds: number;
    readonly send: (request: number) => Promise<boolean>;
    readonly settle?: () => Promise<void>;
  }): Promise<Round> {
    const before = await this.#cpuSeconds();
    const { requests, perSecond, failures, latencyMs } = await closedLoop(
      load.clients,
      load.seconds,
      load.send,
    );
    await load.settle?.();
    const spent = (await this.#cpuSeconds()) - before;
    return {
      perSecond,
      p50: latencyMs.p50,
      p99: latencyMs.p99,
      cpuMicros: (spent * 1e6) / Math.max(1, requests),
      failures,
    };
  }

  async #cpuSeconds(): Promise<number> {
    const spent = await Promise.all(this.#nodes.map((node) => metricOf(node, "process_cpu_seconds_total")));
    return spent.reduce((sum, seconds) => sum + seconds, 0);
  }
}

/** The middle of each figure by itself. */
export function median(rounds: readonly Round[]): Round {
  const middle = (of: (round: Round) => number): number =>
    rounds.map(of).sort((a, b) => a - b)[Math.floor(rounds.length / 2)] ?? 0;
  return {
    perSecond: middle(({ perSecond }) => perSecond),
    p50: middle(({ p50 }) => p50),
    p99: middle(({ p99 }) => p99),
    cpuMicros: middle(({ cpuMicros }) => cpuMicros),
    failures: rounds.reduce((sum, { failures }) => sum + failures, 0),
  };
}
