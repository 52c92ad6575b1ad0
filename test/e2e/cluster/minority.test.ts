/** Whatever changes something, taken from the table of routes, does not succeed where no majority can agree to it. */
import { expect, test } from "vitest";
import type { Client } from "../support/client.ts";
import { ClusterProcess } from "./cluster-process.ts";
import { changingRoutes, ON, POINTS, SAMPLES } from "./support/changing-routes.ts";

const SECONDS = 3;
test("every route that changes something has a sample", () => {
  expect(Object.keys(SAMPLES).sort()).toEqual([...changingRoutes].sort());
});

test(
  "none of them succeeds on one node of three, and each says so in time",
  { timeout: 120_000 },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    await cluster.client.create("c", { size: 4, replicas: 3 });
    await cluster.untilVoters("c", 3);
    expect((await cluster.client.upsert("c", POINTS)).status).toBe(200);
    for (const other of [2, 3]) await cluster.kill(cluster.member(other));

    // At once, perhaps still taken for a leader: a change of voters may then be refused for what it would do.
    await refusesAll(cluster.client, [408, 409, 503]);
    await cluster.until("it knows that nobody leads", async () => {
      const [shard] = await cluster.shards("c");
      return shard?.leader === null;
    });
    await refusesAll(cluster.client, [408, 503]);
    // Nor did it happen where it was asked for.
    const { body } = await cluster.client.call("GET", "/collections");
    expect(body.result).toEqual({ collections: [{ name: "c" }] });
  },
);

async function refusesAll(client: Client, allowed: readonly number[]): Promise<void> {
  const ends = await Promise.all(
    changingRoutes.map(async (name) => {
      const [method = "", url = ""] = name.split(" ");
      const path = url
        .replace(":collection", name === `PUT ${ON}` ? "made" : "c")
        .replace(":shard", "0")
        .replace(":node", "2");
      const began = performance.now();
      const { status, body } = await client.call(
        method,
        `${path}?timeout=${SECONDS}`,
        SAMPLES[name] ?? undefined,
        {},
        AbortSignal.timeout(30_000),
      );
      const { code } = body.status as { readonly code?: string };
      return { name, status, code, ms: performance.now() - began };
    }),
  );
  for (const { name, status, code, ms } of ends) {
    expect(allowed, `${name}: ${status} ${code}`).toContain(status);
    expect(code, name).toMatch(/^[A-Z_]+$/);
    expect(ms, name).toBeLessThan(SECONDS * 1000 + 10_000);
  }
}
