/** A token that ends while the request it came with is on its way from the node that took it to the shard's leader. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ED, token } from "../../auth/support.ts";
import { temporaryDirectory } from "../support/node-process.ts";
import { ClusterProcess, type ShardOut } from "./cluster-process.ts";
import { senderProblem } from "./support/sender.ts";

/** Time enough to be let in by the first node, and over long before the second one hears of it. */
const LIFE_MS = 500;
const ON_THE_WAY_MS = 1_200;

const bearing = (claims: object) => ({
  authorization: `Bearer ${token({ access: "m", ...claims }, ED.privateKey, "EdDSA")}`,
});

test.skipIf(senderProblem() !== null)(
  "the leader refuses what another node let in, when the token ended on the way",
  { timeout: 120_000 },
  async () => {
    using directory = temporaryDirectory();
    const keys = join(directory.path, "keys.json");
    writeFileSync(keys, JSON.stringify({ keys: [ED.publicKey.export({ format: "jwk" })] }));
    const args = ["--auth-jwt-jwks-file", keys, "--auth-jwt-leeway-ms", "0"];
    await using cluster = new ClusterProcess(args, { faultyNetwork: true });
    for (let node = 0; node < 3; node++) await cluster.add();
    const lasting = bearing({});
    const shape = { vectors: { size: 4, distance: "Dot" }, replication_factor: 3 };
    await cluster.until("three nodes take a collection of three replicas", async () => {
      const { status } = await cluster.client.call("PUT", "/collections/c", shape, lasting);
      return status === 200 || status === 409;
    });
    let leader = 0;
    await cluster.until("the shard has a leader and three voters", async () => {
      const { body } = await cluster.client.call("GET", "/collections/c/shards", undefined, lasting);
      const [shard] = (body.result as { readonly shards: readonly ShardOut[] }).shards;
      leader = shard?.leader ?? 0;
      return leader !== 0 && shard?.replicas.filter(({ state }) => state === "active").length === 3;
    });
    const asked = cluster.running.find(({ number }) => number !== leader) ?? cluster.member(leader);
    const write = (id: number, headers: Readonly<Record<string, string>>) =>
      asked.client.call(
        "PUT",
        "/collections/c/points?timeout=15",
        { points: [{ id, vector: [1, 2, 3, 4] }] },
        headers,
      );
    expect(await write(1, lasting)).toMatchObject({ status: 200 });

    cluster.network.set(asked.number, leader, { delayMs: ON_THE_WAY_MS });
    let id = 2;
    let seen = "";
    await cluster.until(
      "a write is let in, and refused by the leader",
      async () => {
        const { status, body } = await write(id++, bearing({ exp: (Date.now() + LIFE_MS) / 1000 }));
        expect(status, JSON.stringify(body)).not.toBe(200);
        seen = `${status} ${JSON.stringify(body)}`;
        return status === 401 && seen.includes("it expired while its request was forwarded");
      },
      () => seen,
    );

    // As late, with a token that still counts.
    expect(await write(id, bearing({ exp: (Date.now() + 60_000) / 1000 }))).toMatchObject({ status: 200 });
    cluster.network.heal();
    const { body } = await cluster.client.call(
      "POST",
      "/collections/c/points/scroll?consistency=linearizable",
      { limit: 100 },
      lasting,
    );
    const { points } = body.result as { readonly points: readonly { readonly id: number }[] };
    expect(points.map((point) => point.id)).toEqual([1, id]);
  },
);
