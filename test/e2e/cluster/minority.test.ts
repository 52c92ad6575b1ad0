/** Whatever changes something, taken from the table of routes, does not succeed where no majority can agree to it. */
import { expect, test } from "vitest";
import { limits } from "../../../src/api/limits.ts";
import { routes } from "../../../src/http/routes.ts";
import type { Client } from "../support/client.ts";
import { ClusterProcess } from "./cluster-process.ts";

const SECONDS = 3;
const POINTS = [{ id: 1, vector: [1, 2, 3, 4] }];
const ON = "/collections/:collection";

/** One well-formed request per route; `:node` and the like are filled in. */
const SAMPLES: Readonly<Record<string, object | null>> = {
  "DELETE /nodes/:node": null,
  [`PUT ${ON}`]: { vectors: { size: 4, distance: "Dot" } },
  [`PATCH ${ON}`]: { metadata: { a: 1 } },
  [`DELETE ${ON}`]: null,
  [`POST ${ON}/cluster`]: { drop_replica: { shard_id: 0, peer_id: 2 } },
  [`POST ${ON}/shards/:shard/voters`]: { node_id: 2 },
  [`DELETE ${ON}/shards/:shard/voters/:node`]: null,
  [`POST ${ON}/shards/:shard/leader`]: { node_id: 2 },
  "POST /collections/aliases": {
    actions: [{ create_alias: { collection_name: "c", alias_name: "a" } }],
  },
  [`PUT ${ON}/points`]: { points: POINTS },
  [`POST ${ON}/points/delete`]: { points: [1] },
  [`PUT ${ON}/points/vectors`]: { points: POINTS },
  [`POST ${ON}/points/payload`]: { points: [1], payload: { a: 1 } },
  [`PUT ${ON}/points/payload`]: { points: [1], payload: { a: 1 } },
  [`POST ${ON}/points/payload/delete`]: { points: [1], keys: ["a"] },
  [`POST ${ON}/points/payload/clear`]: { points: [1] },
  [`POST ${ON}/points/batch`]: { operations: [{ upsert: { points: POINTS } }] },
};
/** Opens this node's own copy again, from its own disk: nobody else has to agree. */
const ALONE = [`POST ${ON}/shards/:shard/restart`];

const CHANGES = ["write", "configure", "manage"];
const table = routes({ limits: limits(), metricsText: () => Promise.resolve("") })
  .filter(({ method, rule }) => method !== "GET" && CHANGES.includes(rule.action))
  .map(({ method, url }) => `${method} ${url}`)
  .filter((name) => !ALONE.includes(name));

test("every route that changes something has a sample", () => {
  expect(Object.keys(SAMPLES).sort()).toEqual([...table].sort());
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
    table.map(async (name) => {
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
