import { describe, expect, test } from "vitest";
import { GroupId, NodeId } from "../../shards/index.ts";
import type { HostLimits } from "../../shards/index.ts";
import { GROUP, TestCluster, bytes, conf } from "./support/cluster.ts";

const ELECTION = 10;
const IDLE = 5;
const limits: Partial<HostLimits> = {
  electionTicks: ELECTION,
  heartbeatTicks: 2,
  quiesceTicks: IDLE,
  commitCarryTicks: 2,
};

const others = (leader: number, of = [1, 2, 3]): number[] => of.filter((id) => id !== leader);
const restingOn = (cluster: TestCluster): number[] =>
  [...cluster.nodes.keys()].filter((id) => cluster.node(id).host.group(GROUP)?.status().resting === true);

/** Ticks until every one of these nodes rests. */
async function untilRest(cluster: TestCluster, nodes: readonly number[] = [1, 2, 3]): Promise<void> {
  for (let ticks = 0; ticks < 100; ticks++) {
    if (nodes.every((id) => restingOn(cluster).includes(id))) return;
    await cluster.tick();
  }
  throw new Error(`only ${restingOn(cluster).join()} rest after 100 ticks`);
}

async function resting(more: Partial<HostLimits> = {}): Promise<{ cluster: TestCluster; leader: number }> {
  const cluster = await TestCluster.of(3, { ...limits, ...more });
  const leader = await cluster.electLeader();
  await cluster.propose(leader, "a");
  await untilRest(cluster);
  return { cluster, leader };
}

/** Ticks until somebody but `old` leads. */
async function ticksToLeader(cluster: TestCluster, old: number, most: number): Promise<number> {
  for (let ticks = 0; ticks <= most; ticks++) {
    if (others(old).some((id) => cluster.status(id).role === "leader")) return ticks;
    await cluster.tick();
  }
  throw new Error(`nobody but ${old} leads after ${most} ticks`);
}

function kindsSince(cluster: TestCluster, from: number): string[] {
  return cluster.network.sends
    .slice(from)
    .flatMap(({ messages }) => messages.map(({ message }) => message.kind));
}

describe("an idle group", () => {
  test("says nothing any more: what its nodes exchange are beats", async () => {
    const { cluster, leader } = await resting();
    const before = cluster.network.sends.length;
    const { term } = cluster.status(leader);
    await cluster.tick(200);
    expect(new Set(kindsSince(cluster, before))).toEqual(new Set(["beat"]));
    expect(restingOn(cluster)).toEqual([1, 2, 3]);
    expect(cluster.status(leader)).toMatchObject({ role: "leader", term });
    for (const id of others(leader)) expect(cluster.status(id)).toMatchObject({ leader, term });
  });

  test("and followers, who do not depend on each other, exchange nothing at all", async () => {
    const { cluster, leader } = await resting();
    const before = cluster.network.sends.length;
    await cluster.tick(50);
    for (const { from, to } of cluster.network.sends.slice(before))
      expect([from, to]).toContain(NodeId(leader));
  });

  test("of one member alone rests, too, and takes a write at once", async () => {
    const cluster = await TestCluster.of(1, limits);
    await untilRest(cluster, [1]);
    const before = cluster.network.sends.length;
    expect(await cluster.propose(1, "x")).toMatchObject({ kind: "applied" });
    expect(cluster.network.sends).toHaveLength(before);
  });

  test("does not rest while a write waits for its state machine", async () => {
    const cluster = await TestCluster.of(3, limits);
    const leader = await cluster.electLeader();
    cluster.machine(leader).hold();
    const outcome = cluster.group(leader).propose(bytes("slow"));
    await cluster.tick(30);
    expect(restingOn(cluster)).toEqual([]);
    cluster.machine(leader).release();
    await cluster.settle();
    expect(await outcome).toMatchObject({ kind: "applied" });
    await untilRest(cluster);
  });

  test("does not rest while a member is away: its leader still looks for it", async () => {
    const { cluster, leader } = await resting();
    const [away = 0] = others(leader);
    await cluster.kill(away);
    await cluster.tick(10 * ELECTION);
    const [left = 0] = others(leader).filter((id) => id !== away);
    expect(restingOn(cluster).filter((id) => id !== away)).toEqual([]);
    expect(cluster.status(left)).toMatchObject({ leader });
  });
});

describe("a group that rests wakes", () => {
  test("for a write, which takes no tick, and the followers apply it", async () => {
    const { cluster, leader } = await resting();
    expect(await cluster.propose(leader, "b")).toMatchObject({ kind: "applied" });
    await cluster.tick(4);
    for (const id of [1, 2, 3]) expect(cluster.machine(id).lines).toEqual(["a", "b"]);
    await untilRest(cluster);
  });

  test.each(["leader", "follower"])(
    "for a linearizable read at its %s, confirmed by a quorum",
    async (who) => {
      const { cluster, leader } = await resting();
      const at = who === "leader" ? leader : (others(leader)[0] ?? 0);
      const before = cluster.network.sends.length;
      const read = cluster.group(at).readIndex();
      await cluster.settle();
      expect(await read).toMatchObject({ kind: "ready" });
      expect(kindsSince(cluster, before)).toContain("heartbeatResponse");
    },
  );

  test("for a read that waits for an index: its deadline is counted in ticks", async () => {
    const { cluster, leader } = await resting();
    const index = cluster.status(leader).commit;
    const read = cluster.group(leader).waitApplied((index + 1) as typeof index, { timeoutMs: 100 });
    await cluster.tick(11);
    expect(await read).toEqual({ kind: "dropped", why: "deadline" });
  });

  test("on a learner alone, which comes to rest again though its leader heard nothing of it", async () => {
    const { cluster, leader } = await resting({ snapshotKeepTicks: 5 });
    cluster.start(4);
    await cluster.open(4, conf([]));
    void cluster.group(leader).changeMembership([{ kind: "addLearner", node: NodeId(4) }]);
    // Another group of the same nodes rests as well: their beats go on whatever this one does.
    for (const id of [leader, 4]) await cluster.open(id, conf([leader, 4]), GroupId(2));
    cluster.group(leader, GroupId(2)).campaign();
    await cluster.tick(40);
    await untilRest(cluster, [1, 2, 3, 4]);
    expect(cluster.group(4, GroupId(2)).status()).toMatchObject({ leader, resting: true });
    const { commit, term } = cluster.status(4);
    const read = cluster.group(4).waitApplied((commit + 1) as typeof commit, { timeoutMs: 50 });
    expect(restingOn(cluster)).not.toContain(4);
    await cluster.tick(10);
    expect(await read).toEqual({ kind: "dropped", why: "deadline" });
    await untilRest(cluster, [1, 2, 3, 4]);
    expect(cluster.status(leader)).toMatchObject({ role: "leader", term });
  });

  test("not for a learner that was removed and does not know it", async () => {
    const { cluster, leader } = await resting({ snapshotKeepTicks: 5 });
    cluster.start(4);
    await cluster.open(4, conf([]));
    void cluster.group(leader).changeMembership([{ kind: "addLearner", node: NodeId(4) }]);
    await cluster.tick(20);
    cluster.network.isolate(NodeId(4));
    void cluster.group(leader).changeMembership([{ kind: "remove", node: NodeId(4) }]);
    await cluster.tick(20);
    await untilRest(cluster);
    cluster.network.heal();
    const before = cluster.network.sends.length;
    await cluster.tick(50);
    const sent = cluster.network.sends.slice(before);
    expect(sent.some(({ from, to }) => from === 4 && to === leader)).toBe(true);
    expect(
      new Set(
        sent
          .filter(({ from }) => from !== 4)
          .flatMap(({ messages }) => messages.map(({ message }) => message.kind)),
      ),
    ).toEqual(new Set(["beat"]));
  });

  test("for a membership change, and the newcomer catches up", async () => {
    const { cluster, leader } = await resting();
    cluster.start(4);
    await cluster.open(4, conf([]));
    const change = cluster.group(leader).changeMembership([{ kind: "addLearner", node: NodeId(4) }]);
    await cluster.tick(20);
    expect(await change).toMatchObject({ kind: "applied" });
    expect(cluster.machine(4).lines).toEqual(["a"]);
    for (const each of [1, 2, 3, 4])
      expect(cluster.status(each)).toMatchObject({ conf: conf([1, 2, 3], [4]) });
  });

  test("for a transfer of its leadership", async () => {
    const { cluster, leader } = await resting();
    const [to = 0] = others(leader);
    expect(cluster.group(leader).transferLeadership(NodeId(to))).toBeNull();
    await cluster.tick(5);
    expect(cluster.status(to)).toMatchObject({ role: "leader" });
  });

  test("when its leader's process dies without a word: another leads as soon as if it had never rested", async () => {
    const { cluster, leader } = await resting();
    await cluster.kill(leader);
    // The drawn timeout is below twice the shortest; the rest is one round of votes.
    expect(await ticksToLeader(cluster, leader, 2 * ELECTION + 3)).toBeGreaterThanOrEqual(ELECTION - 2);
  });

  test("at once when its leader's connection breaks and a new one is refused", async () => {
    const { cluster, leader } = await resting({ electionTicks: 50 });
    await cluster.kill(leader, "lost", "refused");
    expect(await ticksToLeader(cluster, leader, 60)).toBeLessThan(15);
  });

  test("when its leader is cut off, who steps down and takes nothing for granted", async () => {
    const { cluster, leader } = await resting();
    cluster.network.isolate(NodeId(leader));
    await ticksToLeader(cluster, leader, 2 * ELECTION + 3);
    await cluster.tick(2 * ELECTION);
    expect(cluster.status(leader).role).not.toBe("leader");
    cluster.network.heal();
    await untilRest(cluster);
    expect(new Set([1, 2, 3].map((id) => cluster.status(id).leader)).size).toBe(1);
  });

  test("when a follower is cut off, whose return disturbs nobody", async () => {
    const { cluster, leader } = await resting();
    const { term } = cluster.status(leader);
    const [away = 0] = others(leader);
    cluster.network.isolate(NodeId(away));
    await cluster.tick(5 * ELECTION);
    expect(await cluster.propose(leader, "b")).toMatchObject({ kind: "applied" });
    cluster.network.heal();
    await untilRest(cluster);
    expect(cluster.status(leader)).toMatchObject({ role: "leader", term });
    expect(cluster.machine(away).lines).toEqual(["a", "b"]);
  });

  test("when a member's process was another one in between: it hears of its leader within a heartbeat", async () => {
    const { cluster, leader } = await resting();
    const { term } = cluster.status(leader);
    const [away = 0] = others(leader);
    await cluster.kill(away);
    cluster.start(away);
    await cluster.open(away, null);
    await cluster.tick(2);
    expect(cluster.status(away)).toMatchObject({ leader, term });
    await untilRest(cluster);
  });

  test("when its leader alone is closed on a node that lives on", async () => {
    const { cluster, leader } = await resting();
    const second = GroupId(2);
    for (const id of [1, 2, 3]) await cluster.open(id, conf([1, 2, 3]), second);
    cluster.group(leader, second).campaign();
    // The second group keeps the node's beats going.
    for (let ticks = 0; !cluster.group(leader, second).status().resting; ticks++) {
      expect(ticks).toBeLessThan(100);
      await cluster.tick();
    }
    await untilRest(cluster);
    await cluster.node(leader).host.closeGroup(GROUP);
    await ticksToLeader(cluster, leader, 2 * ELECTION + 3);
  });
});

describe("a member is not put to rest", () => {
  const quiesce = (cluster: TestCluster, leader: number, to: number, over: object = {}) => {
    const { term, lastIndex } = cluster.status(leader);
    cluster.network.transportOf(NodeId(leader)).send(NodeId(to), [
      {
        group: GROUP,
        message: {
          kind: "quiesce",
          from: NodeId(leader),
          to: NodeId(to),
          term,
          lastIndex,
          epoch: 1,
          ...over,
        },
      },
    ]);
  };

  test("by a leader whose log ends elsewhere, nor by one of an earlier term; it answers instead", async () => {
    const cluster = await TestCluster.of(3, { ...limits, quiesceTicks: 1_000 });
    const leader = await cluster.electLeader();
    await cluster.propose(leader, "a");
    await cluster.tick(5);
    const [to = 0] = others(leader);
    const { term, lastIndex } = cluster.status(leader);
    for (const over of [{ lastIndex: lastIndex - 1 }, { term: term - 1 }]) {
      const before = cluster.network.sends.length;
      quiesce(cluster, leader, to, over);
      await cluster.settle();
      expect(restingOn(cluster)).toEqual([]);
      expect(kindsSince(cluster, before)).toContain(
        over.term === undefined ? "heartbeatResponse" : "appendAccepted",
      );
    }
    quiesce(cluster, leader, to);
    await cluster.settle();
    expect(restingOn(cluster)).toEqual([to]);
  });

  test("by who does not lead it, though its node may say so", async () => {
    const cluster = await TestCluster.of(3, { ...limits, quiesceTicks: 1_000 });
    const leader = await cluster.electLeader();
    await cluster.tick(5);
    const [to = 0, stranger = 0] = others(leader);
    quiesce(cluster, stranger, to);
    await cluster.settle();
    expect(restingOn(cluster)).toEqual([]);
  });

  test("for good by a wish that arrives late: its leader, which is awake, wakes it", async () => {
    const cluster = await TestCluster.of(3, { ...limits, quiesceTicks: 1_000 });
    const leader = await cluster.electLeader();
    await cluster.tick(5);
    const [to = 0] = others(leader);
    quiesce(cluster, leader, to);
    await cluster.settle();
    expect(restingOn(cluster)).toEqual([to]);
    await cluster.tick(2);
    expect(restingOn(cluster)).toEqual([]);
    expect(cluster.status(to)).toMatchObject({ leader });
  });
});

describe("a thousand groups that rest", () => {
  const COUNT = 1_000;
  async function many(): Promise<TestCluster> {
    const cluster = new TestCluster({ ...limits, electionTicks: 20 });
    for (const id of [1, 2, 3]) cluster.start(id);
    const groups = Array.from({ length: COUNT }, (_, at) => GroupId(at + 1));
    for (const group of groups) {
      for (const id of [1, 2, 3]) await cluster.open(id, conf([1, 2, 3]), group);
      cluster.group((group % 3) + 1, group).campaign();
    }
    for (let ticks = 0; ticks < 100; ticks++) {
      if (
        [1, 2, 3].every((id) =>
          cluster
            .node(id)
            .host.groups()
            .every((group) => group.status().resting),
        )
      )
        return cluster;
      await cluster.tick();
    }
    throw new Error("they do not come to rest");
  }

  test("cost one small message per peer and heartbeat interval, and a lost node's are led again", async () => {
    const cluster = await many();
    const before = cluster.network.sends.length;
    await cluster.tick(100);
    const sent = cluster.network.sends.slice(before);
    // 3 nodes, 2 peers each, a heartbeat every 2 ticks.
    expect(sent).toHaveLength(3 * 2 * 50);
    expect(sent.every(({ messages }) => messages.length === 1)).toBe(true);
    await cluster.kill(1);
    const orphans = (): number =>
      cluster
        .node(2)
        .host.groups()
        .filter((group) => ![2, 3].includes(group.status().leader ?? 0)).length;
    // Two election timeouts, and once more for where both survivors stood at the same tick.
    for (let ticks = 0; ticks < 80 && orphans() > 0; ticks++) await cluster.tick();
    expect(orphans()).toBe(0);
  }, 60_000);
});
