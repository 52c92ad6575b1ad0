/** One node becomes three: d-engine's dynamic expansion and failover, on real processes. */
import { once, EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import type { Client } from "../support/client.ts";
import { NodeProcess } from "../support/node-process.ts";
import { ClusterProcess, idsOnEach, LONG, Writer } from "./cluster-process.ts";
import { freePorts } from "./support/ports.ts";

async function create(client: Client, name: string, shards: number, replicas = 3): Promise<void> {
  const { status, body } = await client.call("PUT", `/collections/${name}`, {
    vectors: { size: 4, distance: "Dot" },
    shard_number: shards,
    replication_factor: replicas,
  });
  expect(status, JSON.stringify(body)).toBe(200);
}

describe.each(LONG ? [1, 4] : [4])("with %i shards", (shards) => {
  test(
    "one node with data grows to three voters per shard while writes go on, survives kill -9 of any, and heals",
    { timeout: 120_000 },
    async () => {
      await using cluster = new ClusterProcess();
      const one = await cluster.add();
      await create(one.client, "c", shards);
      const writer = new Writer(cluster, "c").start();
      await writer.more(20);
      await cluster.add();
      await cluster.add();
      const grown = await cluster.untilVoters("c", 3);
      await writer.more(20);
      expect(writer.failures).toEqual([]);
      const terms = new Map(grown.map(({ shard, term }) => [shard, term]));

      // Whoever leads shard 0 dies; the survivors elect one of themselves in a later term and go on.
      const leader = grown[0]?.leader ?? 0;
      await cluster.kill(cluster.member(leader));
      await writer.more(20);
      for (const { shard, leader: next, term } of await cluster.shards("c")) {
        expect(next).not.toBe(leader);
        expect(term).toBeGreaterThanOrEqual(terms.get(shard) ?? 0);
      }

      // It comes back on other ports and with another configuration; its own log knows the members better.
      await cluster.start(cluster.member(leader), { join: ["127.0.0.1:1"] });
      await cluster.untilVoters("c", 3);
      await writer.more(10);
      const acknowledged = await writer.stop();
      await cluster.untilEqual("c");
      for (const [node, ids] of await idsOnEach(cluster, "c")) {
        expect(
          [...acknowledged].filter((id) => !ids.has(id)),
          `lost on node ${node}`,
        ).toEqual([]);
      }
    },
  );
});

test("a minority acknowledges nothing and still serves what was committed", { timeout: 60_000 }, async () => {
  await using cluster = await ClusterProcess.of(3);
  await create(cluster.client, "c", 1);
  await cluster.client.upsert("c", [{ id: 1, vector: [1, 2, 3, 4] }]);
  await cluster.untilEqual("c");
  await cluster.kill(cluster.member(2));
  await cluster.kill(cluster.member(3));
  const { client } = cluster.member(1);
  const write = await client.call("PUT", "/collections/c/points?timeout=2", {
    points: [{ id: 2, vector: [0, 0, 0, 1] }],
  });
  expect([408, 503]).toContain(write.status);
  const fresh = await client.call(
    "POST",
    "/collections/c/points/count?consistency=linearizable&timeout=2",
    {},
  );
  expect([408, 503]).toContain(fresh.status);
  const { body } = await client.call("POST", "/collections/c/points?consistency=eventual", { ids: [1, 2] });
  expect(body.result).toMatchObject([{ id: 1 }]);
  // With a second node there is a majority again.
  await cluster.start(cluster.member(2));
  await cluster.until("a write", async () => {
    const again = await client.upsert("c", [{ id: 3, vector: [0, 0, 0, 1] }]);
    return again.status === 200;
  });
});

test(
  "a node that is told to join never founds a cluster by itself, and keeps asking until it is let in",
  {
    timeout: 60_000,
  },
  async () => {
    await using cluster = new ClusterProcess();
    const one = await cluster.add();
    const { peer } = one;
    await cluster.kill(one);
    // Nobody answers at that address any more.
    const complaints = new EventEmitter();
    const complained = once(complaints, "waiting");
    const waiting = NodeProcess.start({
      args: ["--join", peer, "--node-id", "7"],
      readyWithinMs: 20_000,
      complained: (stderr) => {
        if (/not in the cluster yet/.test(stderr)) complaints.emit("waiting");
      },
    });
    await complained;
    await cluster.start(one, { join: [], args: ["--peer-addr", peer] });
    await using joiner = await waiting;
    expect(joiner.readyLine).toMatch(/node=7$/);
    const { body } = await one.client.call("GET", "/nodes");
    expect(body.result).toMatchObject({ nodes: [{ node_id: 1 }, { node_id: 7 }] });
  },
);

test("a node id that is taken is refused in one line", { timeout: 60_000 }, async () => {
  await using cluster = new ClusterProcess();
  const one = await cluster.add();
  const { code, stderr } = await NodeProcess.run({ args: ["--join", one.peer, "--node-id", "1"] });
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/does not let this node in: node id 1 belongs to another node/);
});

test("nodes that are all new, started alike, become one cluster", { timeout: 90_000 }, async () => {
  await using cluster = new ClusterProcess();
  const ports = await freePorts(3);
  const all = ports.map((port) => `127.0.0.1:${port}`);
  const args = (at: number): readonly string[] => ["--peer-addr", all[at] ?? "", "--bootstrap-expect", "3"];
  await Promise.all(all.map((_, at) => cluster.add({ join: all, args: args(at) })));
  await cluster.until("three voters", async () => {
    const { body } = await cluster.client.call("GET", "/nodes");
    const { nodes } = body.result as { readonly nodes: readonly { readonly role: string }[] };
    return nodes.length === 3 && nodes.every(({ role }) => role === "voter");
  });
});
