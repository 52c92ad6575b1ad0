/** What a shard under a vector database must do as a Raft group, on real processes. */
import { describe, expect, test } from "vitest";
import { NodeProcess } from "../support/node-process.ts";
import { Client } from "../support/client.ts";
import { ClusterProcess, idsOnEach, LONG, SEED, Writer } from "./cluster-process.ts";
import { diceOf } from "./support/dice.ts";
import { clusteredPoints, nearest, recallOf, upsertAll } from "./support/points.ts";

const K = 10;
/** Graphs built in another order differ; with this the difference stays below what is allowed. */
const EF = 200;
const RECALL_APART = 0.005;
const DIMENSION = 24;
/** The log is dropped as soon as it can be: who was away needs a snapshot. */
const SHORT_LOG = { FLOTILLA__RAFT__COMPACT_BYTES: "65536", FLOTILLA__RAFT__KEEP_BYTES: "1024" };

describe.each(LONG ? [1, 4] : [4])("with %i shards", (shards) => {
  test(
    "every replica finds what a single node finds, though the leader was killed half-way and came back",
    { timeout: 120_000 },
    async () => {
      const dice = diceOf(SEED + shards);
      const points = clusteredPoints(dice, 2_000, DIMENSION);
      const queries = clusteredPoints(dice, 200, DIMENSION).map(({ vector }) => vector);
      const truth = queries.map((query) => nearest(points, query, K));
      const question = { collection: "c", queries, truth, k: K, ef: EF };
      const vectors = { size: DIMENSION, distance: "Euclid" };

      await using single = await NodeProcess.start();
      const alone = new Client(single.url);
      await alone.call("PUT", "/collections/c", { vectors, shard_number: shards });
      await upsertAll(() => alone, "c", points);
      const expected = await recallOf(alone, question);

      await using cluster = await ClusterProcess.of(3);
      const create = { vectors, shard_number: shards, replication_factor: 3 };
      expect((await cluster.client.call("PUT", "/collections/c", create)).status).toBe(200);
      await upsertAll(() => cluster.client, "c", points.slice(0, 1_000));
      const [shard] = await cluster.shards("c");
      const leader = cluster.member(shard?.leader ?? 0);
      await cluster.kill(leader);
      await upsertAll(() => cluster.client, "c", points.slice(1_000));
      await cluster.start(leader);
      await cluster.untilVoters("c", 3);
      await cluster.untilEqual("c");
      for (const [node, ids] of await idsOnEach(cluster, "c"))
        expect(ids.size, `points on node ${node}`).toBe(points.length);
      for (const { number, client } of cluster.running) {
        const found = await recallOf(client, question);
        expect(found, `recall on node ${number}`).toBeGreaterThan(expected - RECALL_APART);
      }
    },
  );
});

test(
  "a replica beyond the log's beginning gets a snapshot, also when it is killed while it receives it",
  { timeout: 120_000 },
  async () => {
    await using cluster = new ClusterProcess();
    // Slow enough to be met in the middle: about two megabytes at 256 KiB/s.
    const env = { ...SHORT_LOG, FLOTILLA__CLUSTER__SNAPSHOT_BYTES_PER_S: "262144" };
    for (const _ of [1, 2, 3]) await cluster.add({ env });
    await cluster.client.create("c", { size: 256, shards: 1, replicas: 3 });
    await cluster.untilVoters("c", 3);
    const points = clusteredPoints(diceOf(SEED), 600, 256);
    await upsertAll(() => cluster.client, "c", points.slice(0, 100));
    await cluster.untilEqual("c");
    const last = cluster.member(3);
    await cluster.kill(last);
    await upsertAll(() => cluster.client, "c", points.slice(100));

    const stateOfLast = async (): Promise<string | undefined> =>
      (await cluster.shards("c", cluster.member(1).client))[0]?.replicas.find(
        ({ node_id }) => node_id === last.number,
      )?.state;
    await cluster.start(last, { env });
    await cluster.until("a snapshot on its way", async () => (await stateOfLast()) === "snapshot");
    await cluster.kill(last);
    await cluster.start(last, { env });
    await cluster.untilVoters("c", 3);
    await cluster.untilEqual("c");
    expect(last.log).toMatch(/"direction":"in","group":[1-9]\d*,"ok":true/);
    const held = await idsOnEach(cluster, "c");
    expect(held.get(last.number)?.size).toBe(points.length);
  },
);

test.skipIf(!LONG)(
  "of creations of one name at once on three nodes, one is made",
  { timeout: 90_000 },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    for (const name of ["a", "b", "c"]) {
      const create = { vectors: { size: 4, distance: "Dot" }, shard_number: 2 };
      const answers = await Promise.all(
        cluster.running.map(({ client }) => client.call("PUT", `/collections/${name}`, create)),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
    }
    const groups = new Set<number>();
    for (const name of ["a", "b", "c"]) {
      const { body } = await cluster.client.call("GET", `/collections/${name}/cluster`);
      expect(body.result).toMatchObject({ shard_count: 2 });
      groups.add((await cluster.shards(name)).length);
    }
    expect([...groups]).toEqual([2]);
  },
);

test(
  "nothing is acknowledged to a collection that was dropped before the write was asked for",
  { timeout: 90_000 },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    await cluster.client.create("c", { size: 4, shards: 2, replicas: 3 });
    await cluster.untilVoters("c", 3);
    const writer = new Writer(cluster, "c").start();
    await writer.more(20);
    expect((await cluster.member(2).client.drop("c")).status).toBe(200);
    const before = writer.acknowledged.size;
    await cluster.until("every node to refuse", () =>
      Promise.all(
        cluster.running.map(async ({ client }) => {
          const { status } = await client.upsert("c", [{ id: 1, vector: [1, 2, 3, 4] }]);
          return status === 404;
        }),
      ).then((refusals) => refusals.every(Boolean)),
    );
    const acknowledged = await writer.stop();
    // One write may have been under way when the drop was answered.
    expect(acknowledged.size).toBeLessThanOrEqual(before + 1);
    expect(writer.failures.every((failure) => /404|408|503/.test(failure))).toBe(true);
  },
);
