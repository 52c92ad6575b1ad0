/** What an operator does to a running cluster: voters, leaders, nodes, orderly stops. */
import { describe, expect, test } from "vitest";
import type { Client } from "../support/client.ts";
import { NodeProcess } from "../support/node-process.ts";
import { ClusterProcess, idsOnEach, Writer } from "./cluster-process.ts";
import { freePorts } from "./support/ports.ts";

async function create(client: Client, name: string, replicas: number, shards = 1): Promise<void> {
  const { status, body } = await client.call("PUT", `/collections/${name}`, {
    vectors: { size: 4, distance: "Dot" },
    shard_number: shards,
    replication_factor: replicas,
  });
  expect(status, JSON.stringify(body)).toBe(200);
}

describe("voters of a shard", () => {
  test(
    "are added and removed at runtime, from any node, while writes go on; the leader can be chosen",
    { timeout: 120_000 },
    async () => {
      await using cluster = await ClusterProcess.of(3);
      await create(cluster.client, "c", 1);
      const [first] = await cluster.untilVoters("c", 1);
      const home = first?.leader ?? 0;
      const others = [1, 2, 3].filter((node) => node !== home);
      const writer = new Writer(cluster, "c").start();
      await writer.more(20);
      const asker = cluster.member(others[1] ?? 0).client;
      for (const node_id of others) {
        const added = await asker.call("POST", "/collections/c/shards/0/voters?timeout=20", { node_id });
        expect([added.status, added.body]).toMatchObject([200, { result: true }]);
      }
      await cluster.untilVoters("c", 3);
      const again = await asker.call("POST", "/collections/c/shards/0/voters", { node_id: home });
      expect(again.status).toBe(409);

      const [heir = 0] = others;
      const moved = await asker.call("POST", "/collections/c/shards/0/leader?timeout=20", { node_id: heir });
      expect([moved.status, moved.body]).toMatchObject([200, { result: true }]);
      await cluster.until("the chosen leader", async () => (await cluster.shards("c"))[0]?.leader === heir);

      const gone = await asker.call("DELETE", `/collections/c/shards/0/voters/${home}?timeout=20`);
      expect([gone.status, gone.body]).toMatchObject([200, { result: true }]);
      await cluster.untilVoters("c", 2);
      await writer.more(20);
      const acknowledged = await writer.stop();
      expect(writer.failures).toEqual([]);
      await cluster.untilEqual("c");
      const { body } = await asker.call("POST", "/collections/c/points/count?consistency=linearizable", {});
      expect(body.result).toEqual({ count: acknowledged.size });
    },
  );
});

test(
  "every replica of a shard is restarted, its leader too and asked of any node, while writes go on",
  { timeout: 120_000 },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    await create(cluster.client, "c", 3, 2);
    await cluster.untilVoters("c", 3);
    const writer = new Writer(cluster, "c").start();
    await writer.more(20);
    const [before] = await cluster.shards("c");
    const leader = before?.leader ?? 0;
    const order = [leader, ...[1, 2, 3].filter((node) => node !== leader)];
    for (const [turn, node_id] of order.entries()) {
      const asker = cluster.member(turn + 1).client;
      const { status, body } = await asker.call("POST", "/collections/c/shards/0/restart?timeout=20", {
        node_id,
      });
      expect([status, body]).toMatchObject([200, { result: true }]);
      await cluster.untilVoters("c", 3);
      await writer.more(10);
    }
    const acknowledged = await writer.stop();
    expect(writer.failures).toEqual([]);
    await cluster.untilEqual("c");
    for (const [node, ids] of await idsOnEach(cluster, "c"))
      expect(
        [...acknowledged].filter((id) => !ids.has(id)),
        `lost on node ${node}`,
      ).toEqual([]);
    for (const { log } of cluster.running) expect(log.match(/shard restarts, as asked/g)).toHaveLength(1);
  },
);

test(
  "a node that was removed while it was away ends when it starts again, instead of serving what it once had",
  { timeout: 90_000 },
  async () => {
    await using cluster = await ClusterProcess.of(2);
    // The same addresses both times: nothing else would make it speak to the others.
    const [http = 0, grpc = 0, peer = 0] = await freePorts(3);
    const args = Object.entries({ http, grpc, peer }).flatMap(([name, port]) => [
      `--${name}-addr`,
      `127.0.0.1:${port}`,
    ]);
    const three = await cluster.add({ args });
    await create(cluster.client, "c", 3);
    await cluster.untilVoters("c", 3);
    await cluster.kill(three);
    expect((await cluster.client.call("DELETE", "/nodes/3")).status).toBe(200);
    await cluster.until("node 3 is gone", async () => {
      const { body } = await cluster.client.call("GET", "/nodes");
      return (body.result as { readonly nodes: readonly unknown[] }).nodes.length === 2;
    });
    const { code, stderr } = await NodeProcess.run({ dataDir: three.dataDir, args });
    expect(stderr).toMatch(
      /^flotilla: this node was removed from its cluster \(.* node id 3 belonged to a node that was removed/m,
    );
    expect(code).toBe(1);
  },
);

test("a node that is removed is drained first, and the rest goes on", { timeout: 120_000 }, async () => {
  await using cluster = await ClusterProcess.of(3);
  await create(cluster.client, "c", 2, 2);
  await cluster.untilVoters("c", 2);
  const writer = new Writer(cluster, "c").start();
  await writer.more(10);
  const { client } = cluster.member(1);
  expect((await client.call("DELETE", "/nodes/3")).status).toBe(200);
  await cluster.until("node 3 is gone", async () => {
    const { body } = await client.call("GET", "/nodes");
    return (body.result as { readonly nodes: readonly unknown[] }).nodes.length === 2;
  });
  const shards = await cluster.untilVoters("c", 2);
  expect(shards.every(({ replicas }) => replicas.every(({ node_id }) => node_id !== 3))).toBe(true);
  // What is made from now on it will not hear of: nobody is to be sent there.
  await cluster.until("node 3 is not ready", async () => {
    const answer = await fetch(`${cluster.member(3).process.url}/readyz`);
    return answer.status === 503 && (await answer.text()).includes("this node leaves the cluster");
  });
  await cluster.kill(cluster.member(3));
  await writer.more(10);
  const acknowledged = await writer.stop();
  await cluster.untilEqual("c");
  for (const [node, ids] of await idsOnEach(cluster, "c"))
    expect(
      [...acknowledged].filter((id) => !ids.has(id)),
      `lost on node ${node}`,
    ).toEqual([]);
});

test(
  "SIGTERM hands leaderships over: a client that tries again loses no write and waits for no election",
  {
    timeout: 90_000,
  },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    await create(cluster.client, "c", 3, 2);
    const [shard] = await cluster.untilVoters("c", 3);
    const leader = cluster.member(shard?.leader ?? 0);
    const writer = new Writer(cluster, "c").start();
    await writer.more(20);
    expect(await cluster.stop(leader)).toBe(0);
    await writer.more(20);
    const acknowledged = await writer.stop();
    // Those that were under way on a connection that ended; the answer itself is never an error of the cluster.
    expect(
      writer.failures.filter((failure) => failure !== "no answer" && !failure.startsWith("503")),
    ).toEqual([]);
    await cluster.start(leader);
    await cluster.untilEqual("c");
    for (const [node, ids] of await idsOnEach(cluster, "c"))
      expect(
        [...acknowledged].filter((id) => !ids.has(id)),
        `lost on node ${node}`,
      ).toEqual([]);
  },
);

test("a leader that hangs is replaced, and follows when it wakes", { timeout: 90_000 }, async () => {
  await using cluster = await ClusterProcess.of(3);
  await create(cluster.client, "c", 3);
  const [shard] = await cluster.untilVoters("c", 3);
  const hung = cluster.member(shard?.leader ?? 0);
  const asker = [1, 2, 3].map((number) => cluster.member(number)).find((member) => member !== hung);
  if (asker === undefined) throw new Error("somebody does not lead");
  hung.process.child.kill("SIGSTOP");
  try {
    await cluster.until("a write without the hung leader", async () => {
      const { status } = await asker.client.call("PUT", "/collections/c/points?timeout=2", {
        points: [{ id: 1, vector: [1, 2, 3, 4] }],
      });
      return status === 200;
    });
  } finally {
    hung.process.child.kill("SIGCONT");
  }
  await cluster.untilEqual("c");
  // Awake again it may believe for a moment that it leads; a linearizable read must not.
  const { status, body } = await hung.client.call(
    "POST",
    "/collections/c/points/count?consistency=linearizable&timeout=10",
    {},
  );
  expect([status, body]).toMatchObject([200, { result: { count: 1 } }]);
});

test(
  "a write with ?redirect=true on a follower is sent to the leader, where it succeeds",
  {
    timeout: 60_000,
  },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    await create(cluster.client, "c", 3);
    const [shard] = await cluster.untilVoters("c", 3);
    const follower = cluster.running.find(({ number }) => number !== shard?.leader);
    const url = `${follower?.process.url}/collections/c/points?redirect=true`;
    const request = {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ points: [{ id: 1, vector: [1, 2, 3, 4] }] }),
    };
    const refused = await fetch(url, { ...request, redirect: "manual" });
    expect(refused.status).toBe(307);
    expect(await refused.json()).toMatchObject({
      status: { code: "NOT_LEADER" },
      leader: { node_id: shard?.leader },
      shard: 0,
    });
    const followed = await fetch(url, request);
    expect([followed.status, followed.redirected]).toEqual([200, true]);
  },
);

test(
  "a node shows a collection that it holds nothing of, and the leader's metrics show its peers",
  {
    timeout: 60_000,
  },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    await create(cluster.client, "lone", 1);
    await create(cluster.client, "c", 3);
    await cluster.client.upsert("lone", [{ id: 1, vector: [1, 2, 3, 4] }]);
    await cluster.until("every node counts the point", async () => {
      const shown = await Promise.all(
        cluster.running.map(
          async ({ client }) => (await client.call("GET", "/collections/lone")).body.result,
        ),
      );
      return shown.every(
        (collection) => (collection as { readonly points_count: number }).points_count === 1,
      );
    });
    const [shard] = await cluster.untilVoters("c", 3);
    const leader = cluster.member(shard?.leader ?? 0);
    const text = await (await fetch(`${leader.process.url}/metrics`)).text();
    expect(text).toMatch(/flotilla_group_role\{collection="c",shard="0",role="leader"\} 1/);
    for (const { number } of cluster.running.filter((member) => member !== leader))
      expect(text).toContain(
        `flotilla_peer_state{collection="c",shard="0",peer="${number}",state="replicate"} 1`,
      );
  },
);
