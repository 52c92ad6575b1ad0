import type { HttpClient } from "../../src/cli/http-client.ts";

/** The value of a node's metric; of one with labels, the first. Throws when `/metrics` lacks it. */
export async function metricOf(client: HttpClient, metric: string): Promise<number> {
  const { body } = await client.request("GET", "/metrics");
  const value = new RegExp(`^${metric}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(body.toString("utf8"))?.[1];
  if (value === undefined) throw new Error(`/metrics has no ${metric}`);
  return Number(value);
}
