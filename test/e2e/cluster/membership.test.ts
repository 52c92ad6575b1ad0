/** Nodes that come, go, return and are replaced, with a kill at each of the moments where that hurts. */
import { expect, test } from "vitest";
import { ClusterProcess, idsOnEach, LONG, Writer, type ShardOut } from "./cluster-process.ts";

const SLOW = { FLOTILLA__RAFT__ELECTION_TICKS: "150" };

interface NodeOut {
  readonly node_id: number;
  readonly role: string;
  readonly replicas: number;
}
async function nodes(cluster: ClusterProcess): Promise<readonly NodeOut[]> {
  const { body } = await cluster.client.call("GET", "/nodes");
  return (body.result as { readonly nodes: readonly NodeOut[] }).nodes;
}

test.skipIf(!LONG)(
  "nodes of different timing are one cluster: a fast leader's death is noticed by slow followers within 8 s",
  { timeout: 120_000 },
  async () => {
    await using cluster = new ClusterProcess();
    const fast = await cluster.add();
    await cluster.add({ env: SLOW });
    await cluster.add({ env: SLOW });
    await cluster.client.create("c", { size: 4, replicas: 3 });
    await cluster.untilVoters("c", 3);
    await cluster.client.call("POST", "/collections/c/shards/0/leader", { node_id: fast.number });
    let before: ShardOut | undefined;
    await cluster.until("the fast one leads", async () => {
      [before] = await cluster.shards("c");
      return before?.leader === fast.number;
    });
    const point = { id: 1, vector: [1, 2, 3, 4] };
    expect((await fast.client.upsert("c", [point])).status).toBe(200);
    // Eventual reads see it on all three within half a second.
    const written = performance.now();
    for (const { client } of cluster.running) {
      await cluster.until("the point on each node", async () => {
        const { body } = await client.call("POST", "/collections/c/points?consistency=eventual", {
          ids: [1],
        });
        return (body.result as readonly unknown[]).length === 1;
      });
    }
    expect(performance.now() - written).toBeLessThan(500);

    await cluster.kill(fast);
    const died = performance.now();
    await cluster.until("a survivor leads", async () => {
      const [now] = await cluster.shards("c");
      return typeof now?.leader === "number" && now.leader !== fast.number && now.term > (before?.term ?? 0);
    });
    expect(performance.now() - died).toBeLessThan(8_000);
    expect((await cluster.client.upsert("c", [{ id: 2, vector: [1, 2, 3, 4] }])).status).toBe(200);
  },
);

test.skipIf(!LONG)(
  "a joiner that is killed comes back as the same node; a leader that is killed meanwhile does not keep it out",
  { timeout: 120_000 },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    await cluster.client.create("c", { size: 4, replicas: 3 });
    const writer = new Writer(cluster, "c").start();
    await writer.more(10);
    const joiner = await cluster.add();
    const identity = /node=(\d+)/.exec(joiner.process.readyLine)?.[1];
    await cluster.kill(joiner);
    const catalogueLeader = async (): Promise<number> => {
      const { body } = await cluster.client.call("GET", "/leader");
      return (body.result as NodeOut).node_id;
    };
    const leader = cluster.member(await catalogueLeader());
    const back = cluster.start(joiner);
    await cluster.kill(leader);
    await back;
    expect(/node=(\d+)/.exec(joiner.process.readyLine)?.[1]).toBe(identity);
    await cluster.start(leader);
    await cluster.until("four voters, none of them twice", async () => {
      const found = await nodes(cluster);
      return found.length === 4 && found.every(({ role }) => role === "voter");
    });
    await writer.more(10);
    const acknowledged = await writer.stop();
    await cluster.untilVoters("c", 3);
    expect(acknowledged.size).toBeGreaterThanOrEqual(20);
  },
);

test(
  "a change of voters goes on and ends under the next leader when the one that began it is killed",
  { timeout: 120_000 },
  async () => {
    await using cluster = await ClusterProcess.of(4);
    await cluster.client.create("c", { size: 4, replicas: 3 });
    const placed = await cluster.untilVoters("c", 3);
    const [shard] = placed;
    const held = shard?.replicas.map(({ node_id }) => node_id) ?? [];
    const fresh = [1, 2, 3, 4].find((number) => !held.includes(number)) ?? 0;
    const leader = cluster.member(shard?.leader ?? 0);
    const writer = new Writer(cluster, "c").start();
    await writer.more(20);
    const asked = await cluster
      .member(fresh)
      .client.call("POST", "/collections/c/shards/0/voters?wait=false", { node_id: fresh });
    expect(asked.status, JSON.stringify(asked.body)).toBe(200);
    await cluster.kill(leader);
    await writer.more(10);
    await cluster.start(leader);
    await cluster.untilVoters("c", 4);

    // And back: the one that was there longest goes.
    const leaving = held.find((number) => number !== leader.number) ?? 0;
    // Refused while the leadership moves, which it may by itself once all are back.
    await cluster.until("the removal is taken", async () => {
      const path = `/collections/c/shards/0/voters/${leaving}?wait=false`;
      const removed = await cluster.client.call("DELETE", path);
      expect([200, 409], JSON.stringify(removed.body)).toContain(removed.status);
      return removed.status === 200;
    });
    const [now] = await cluster.shards("c");
    if (now?.leader !== leaving) await cluster.kill(cluster.member(now?.leader ?? 0));
    await writer.more(10);
    await Promise.all(
      [1, 2, 3, 4]
        .map((number) => cluster.member(number))
        .filter(({ running }) => !running)
        .map((member) => cluster.start(member)),
    );
    const after = await cluster.untilVoters("c", 3);
    expect(after[0]?.replicas.map(({ node_id }) => node_id)).not.toContain(leaving);
    const acknowledged = await writer.stop();
    await cluster.untilEqual("c");
    for (const replica of after[0]?.replicas ?? []) {
      const ids = (await idsOnEach(cluster, "c")).get(replica.node_id);
      expect([...acknowledged].filter((id) => ids?.has(id) !== true)).toEqual([]);
    }
  },
);

test(
  "while a change of voters is in progress a second one is refused and named; given up or ended, the next one may come",
  { timeout: 120_000 },
  async () => {
    await using cluster = await ClusterProcess.of(5);
    await cluster.client.create("c", { size: 4, replicas: 3 });
    const [placed] = await cluster.untilVoters("c", 3);
    const held = placed?.replicas.map(({ node_id }) => node_id) ?? [];
    const [slow = 0, other = 0] = [1, 2, 3, 4, 5].filter((number) => !held.includes(number));
    const follower = held.find((number) => number !== placed?.leader) ?? 0;
    const asked = cluster.member(other);
    const add = (node: number) =>
      asked.client.call("POST", "/collections/c/shards/0/voters?wait=false", { node_id: node });
    const remove = (node: number) =>
      asked.client.call("DELETE", `/collections/c/shards/0/voters/${node}?wait=false`);
    const inProgress = {
      status: 409,
      body: {
        status: { error: expect.stringMatching(`of shard 0 is in progress: .*node ${slow}.* give it up`) },
      },
    };

    // The node that is to vote is gone: the change cannot end, and every other one has to wait for it.
    await cluster.kill(cluster.member(slow));
    expect(await add(slow)).toMatchObject({ status: 200 });
    expect(await add(other)).toMatchObject(inProgress);
    expect(await remove(follower)).toMatchObject(inProgress);
    expect(await remove(slow)).toMatchObject({ status: 200 });
    await cluster.untilVoters("c", 3);
    await cluster.start(cluster.member(slow));

    // It only stands still: once it goes on the change ends by itself, and the refused one succeeds.
    cluster.member(slow).pause();
    expect(await add(slow)).toMatchObject({ status: 200 });
    expect(await add(other)).toMatchObject(inProgress);
    expect((await cluster.client.upsert("c", [{ id: 1, vector: [1, 2, 3, 4] }])).status).toBe(200);
    cluster.member(slow).resume();
    await cluster.untilVoters("c", 4);
    expect(await add(other)).toMatchObject({ status: 200 });
    await cluster.untilVoters("c", 5);
    await cluster.untilEqual("c");
  },
);

test(
  "the founder, wiped, comes back as a new node: no second cluster, and its replicas move to it",
  { timeout: 120_000 },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    await cluster.client.create("c", { size: 4, shards: 2, replicas: 3 });
    await cluster.untilVoters("c", 3);
    const writer = new Writer(cluster, "c").start();
    await writer.more(20);
    const founder = cluster.member(1);
    await cluster.wipe(founder);
    await writer.more(10);
    await cluster.start(founder);
    expect(founder.process.readyLine).toMatch(/node=4$/);
    // The old one is gone for good, and only the operator knows that.
    expect((await cluster.client.call("DELETE", "/nodes/1")).status).toBe(200);
    await cluster.until("the old node's replicas on the new one", async () => {
      const shards = await cluster.shards("c");
      return shards.every(
        ({ replicas }) =>
          replicas.map(({ node_id }) => node_id).join() === "2,3,4" &&
          replicas.every(({ role }) => role !== "learner"),
      );
    });
    await cluster.until("the old node forgotten", async () => {
      const found = await nodes(cluster);
      return found.map(({ node_id }) => node_id).join() === "2,3,4";
    });
    const acknowledged = await writer.stop();
    await cluster.untilEqual("c");
    for (const [node, ids] of await idsOnEach(cluster, "c"))
      expect(
        [...acknowledged].filter((id) => !ids.has(id)),
        `lost on process ${node}`,
      ).toEqual([]);
  },
);
