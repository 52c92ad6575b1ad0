import { expect, test } from "vitest";
import { NodeId } from "../../shards/index.ts";
import type { LogIndex, ShardEvent } from "../../shards/index.ts";
import { GROUP, TestCluster, bytes, conf } from "./support/cluster.ts";

const others = (leader: number): number[] => [1, 2, 3].filter((id) => id !== leader);

function refusals(events: readonly ShardEvent[]): string[] {
  return events.flatMap((event) => (event.kind === "messageRefused" ? [event.why] : []));
}

test("three members elect, and a committed operation is on every one of them, in order", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  for (const line of ["a", "b", "c"])
    expect(await cluster.propose(leader, line)).toMatchObject({ kind: "applied", result: { applied: line } });
  await cluster.tick(3);
  for (const id of [1, 2, 3]) expect(cluster.machine(id).lines).toEqual(["a", "b", "c"]);
});

test("who does not lead says who does", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  await cluster.tick(2);
  for (const id of others(leader))
    expect(await cluster.propose(id, "x")).toEqual({ kind: "notLeader", leader });
});

test("a lost leader is replaced, nothing acknowledged is lost, and it follows when it returns", async () => {
  const cluster = await TestCluster.of(3);
  const old = await cluster.electLeader();
  await cluster.propose(old, "kept");
  const { term } = cluster.status(old);
  await cluster.kill(old);
  const next = await cluster.electLeader(old);
  expect(next).not.toBe(old);
  expect(cluster.status(next).term).toBeGreaterThan(term);
  expect(await cluster.propose(next, "more")).toMatchObject({ kind: "applied" });
  cluster.start(old);
  await cluster.open(old, null);
  await cluster.tick(5);
  expect(cluster.status(old)).toMatchObject({ role: "follower", leader: next });
  for (const id of [1, 2, 3]) expect(cluster.machine(id).lines).toEqual(["kept", "more"]);
});

test("a refused connection starts an election long before the timeout", async () => {
  const ticksWithout = async (...evidence: ("lost" | "refused")[]): Promise<number> => {
    const cluster = await TestCluster.of(3, { electionTicks: 50 });
    const old = await cluster.electLeader();
    await cluster.tick(2);
    await cluster.kill(old, ...evidence);
    for (let ticks = 0; ; ticks++) {
      if (others(old).some((id) => cluster.status(id).role === "leader")) return ticks;
      await cluster.tick();
    }
  };
  expect(await ticksWithout("lost", "refused")).toBeLessThan(15);
  expect(await ticksWithout()).toBeGreaterThanOrEqual(50);
});

test("a minority commits nothing; what it had proposed ends as overwritten when another entry took its place", async () => {
  const cluster = await TestCluster.of(3, { settleTicks: 1_000 });
  const old = await cluster.electLeader();
  await cluster.propose(old, "common");
  cluster.network.isolate(NodeId(old));
  const lost = cluster.group(old).propose(bytes("lost"));
  await cluster.settle();
  const next = await (async () => {
    for (;;) {
      await cluster.tick();
      const found = others(old).find((id) => cluster.status(id).role === "leader");
      if (found !== undefined) return found;
    }
  })();
  await cluster.propose(next, "instead");
  cluster.network.heal();
  await cluster.tick(20);
  expect(await lost).toMatchObject({ kind: "overwritten", term: 2 });
  for (const id of [1, 2, 3]) expect(cluster.machine(id).lines).toEqual(["common", "instead"]);
});

test("a proposal that outlives its leader is settled as applied when the next one commits it", async () => {
  const cluster = await TestCluster.of(3, { settleTicks: 1_000 });
  const old = await cluster.electLeader();
  const [a, b] = others(old) as [number, number];
  // The entry reaches the others, but their answers do not come back.
  cluster.network.cutOneWay(NodeId(a), NodeId(old));
  cluster.network.cutOneWay(NodeId(b), NodeId(old));
  const outcome = cluster.group(old).propose(bytes("survives"));
  await cluster.settle();
  cluster.network.cut(NodeId(old), NodeId(a));
  cluster.network.cut(NodeId(old), NodeId(b));
  await cluster.tick(60);
  cluster.network.heal();
  await cluster.tick(20);
  expect(await outcome).toMatchObject({ kind: "applied", result: { applied: "survives" } });
});

test("after losing leadership a proposal waits for the log to tell, and then ends in doubt", async () => {
  const cluster = await TestCluster.of(3, { settleTicks: 5 });
  const old = await cluster.electLeader();
  cluster.network.isolate(NodeId(old));
  const outcome = cluster.group(old).propose(bytes("doubtful"));
  await cluster.tick(60);
  expect(await outcome).toMatchObject({ kind: "unknown", why: "leadershipLost" });
  expect(cluster.status(old).role).not.toBe("leader");
});

test("an isolated follower still serves what was committed, and catches up", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  const [cut] = others(leader) as [number];
  const { index } = (await cluster.propose(leader, "seen")) as { index: LogIndex };
  await cluster.tick(2);
  cluster.network.isolate(NodeId(cut));
  await cluster.propose(leader, "missed");
  expect(await cluster.group(cut).waitApplied(index)).toMatchObject({ kind: "ready" });
  expect(cluster.machine(cut).lines).toEqual(["seen"]);
  cluster.network.heal();
  await cluster.tick(20);
  expect(cluster.machine(cut).lines).toEqual(["seen", "missed"]);
});

test("a linearizable read on a follower sees every write acknowledged before it", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  const [follower] = others(leader) as [number];
  await cluster.tick(2);
  const write = await cluster.propose(leader, "fresh");
  const read = cluster.group(follower).readIndex({ timeoutMs: 500 });
  await cluster.tick(5);
  expect(await read).toEqual({ kind: "ready", index: (write as { index: number }).index });
  expect(cluster.machine(follower).lines).toEqual(["fresh"]);
});

test("a leader without a quorum confirms no read", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  cluster.network.isolate(NodeId(leader));
  const read = cluster.group(leader).readIndex({ timeoutMs: 400 });
  await cluster.tick(80);
  expect(["notLeader", "dropped"]).toContain((await read).kind);
});

test("a voter is added as a learner, which catches up by snapshot when the log is gone, and is then promoted", async () => {
  const cluster = await TestCluster.compacted();
  expect(cluster.status(1).firstIndex).toBeGreaterThan(2);
  const change = async (steps: Parameters<ReturnType<typeof cluster.group>["changeMembership"]>[0]) => {
    const outcome = cluster.group(1).changeMembership(steps);
    await cluster.tick(5);
    return await outcome;
  };
  expect(await change([{ kind: "addLearner", node: NodeId(2) }])).toMatchObject({ kind: "applied" });
  cluster.start(2);
  await cluster.open(2, conf([]));
  await cluster.tick(40);
  expect(cluster.machine(2).lines).toEqual(cluster.machine(1).lines);
  expect(cluster.machine(2).restores).toBe(1);
  expect(cluster.status(2)).toMatchObject({ learner: true, role: "follower", leader: 1 });
  expect(await change([{ kind: "addVoter", node: NodeId(2) }])).toMatchObject({ kind: "applied" });
  expect(await cluster.propose(1, "both")).toMatchObject({ kind: "applied" });
  await cluster.tick(2);
  expect(cluster.status(2)).toMatchObject({ learner: false, conf: conf([1, 2]) });
  expect(cluster.machine(2).lines.at(-1)).toBe("both");
  // Nobody holds on to what was captured for the transfer.
  await cluster.tick(3_100);
  expect(cluster.machine(1).openSnapshots).toBe(0);
  // And it restarts from its own log with that membership.
  await cluster.kill(2);
  cluster.start(2);
  await cluster.open(2, null);
  await cluster.tick(5);
  expect(cluster.status(2)).toMatchObject({ conf: conf([1, 2]), leader: 1 });
});

test("a snapshot that fails to arrive is sent again", async () => {
  const cluster = await TestCluster.compacted();
  const change = cluster.group(1).changeMembership([{ kind: "addLearner", node: NodeId(2) }]);
  cluster.network.snapshotsFail = true;
  cluster.start(2);
  await cluster.open(2, conf([]));
  await cluster.tick(40);
  expect(cluster.machine(2).lines).toEqual([]);
  cluster.network.snapshotsFail = false;
  await cluster.tick(40);
  expect(await change).toMatchObject({ kind: "applied" });
  expect(cluster.machine(2).lines).toHaveLength(50);
});

test("a log keeps what a snapshot's receiver will need up to a limit, and a receiver beyond it gets a newer one", async () => {
  const limits = { compactBytes: 1_000, heldBytesMax: 3_000 };
  const cluster = await TestCluster.compacted(limits);
  const change = cluster.group(1).changeMembership([{ kind: "addLearner", node: NodeId(2) }]);
  cluster.network.snapshotsFail = true;
  cluster.start(2);
  await cluster.open(2, conf([]));
  await cluster.tick(5);
  const held = cluster.status(1).commit;
  let most = 0;
  for (let at = 0; at < 100; at++) {
    await cluster.propose(1, `later ${at}`);
    most = Math.max(most, cluster.status(1).logBytes);
  }
  expect(most).toBeGreaterThan(limits.compactBytes);
  expect(most).toBeLessThan(limits.heldBytesMax + limits.compactBytes);
  expect(cluster.status(1).firstIndex).toBeGreaterThan(held);
  cluster.network.snapshotsFail = false;
  await cluster.tick(60);
  expect(await change).toMatchObject({ kind: "applied" });
  expect(cluster.machine(2).lines).toEqual(cluster.machine(1).lines);
});

test("a crash between restoring a snapshot and writing the boundary leaves a member that catches up", async () => {
  const cluster = await TestCluster.compacted();
  void cluster.group(1).changeMembership([{ kind: "addLearner", node: NodeId(2) }]);
  const second = cluster.start(2);
  await cluster.open(2, conf([]));
  second.log.failWith = new Error("crashed");
  second.log.failWhen = (batch) => batch.some((write) => write.snapshot !== undefined);
  await cluster.tick(20);
  expect(cluster.status(2)).toMatchObject({ state: "stopped", failure: "crashed" });
  expect(cluster.machine(2).restores).toBe(1);
  expect(second.log.open(GROUP).boundary().index).toBe(0);
  second.log.failWith = null;
  await cluster.kill(2);
  cluster.start(2);
  await cluster.open(2, null);
  await cluster.tick(60);
  expect(cluster.machine(2).lines).toEqual(cluster.machine(1).lines);
  expect(cluster.status(2).firstIndex).toBeGreaterThan(1);
  await cluster.propose(1, "after");
  await cluster.tick(3);
  expect(cluster.machine(2).lines.at(-1)).toBe("after");
});

test("a joint change of two voters is left by itself", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  const [gone] = others(leader) as [number];
  cluster.start(4);
  await cluster.open(4, conf([]));
  const outcome = cluster.group(leader).changeMembership([
    { kind: "addVoter", node: NodeId(4) },
    { kind: "remove", node: NodeId(gone) },
  ]);
  await cluster.tick(20);
  expect(await outcome).toMatchObject({ kind: "applied" });
  const voters = [...others(gone), 4].map(NodeId);
  expect(cluster.status(leader).conf).toMatchObject({ voters, votersOutgoing: [], autoLeave: false });
  expect(await cluster.propose(leader, "x")).toMatchObject({ kind: "applied" });
});

test("a second membership change is refused while the first is not applied", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  cluster.machine(leader).hold();
  const first = cluster.group(leader).changeMembership([{ kind: "addLearner", node: NodeId(8) }]);
  const second = cluster.group(leader).changeMembership([{ kind: "addLearner", node: NodeId(9) }]);
  await cluster.settle();
  expect(await second).toEqual({ kind: "dropped", why: "refusedByCore" });
  cluster.machine(leader).release();
  await cluster.tick(3);
  expect(await first).toMatchObject({ kind: "applied" });
});

test("a removed member is no longer asked, and the rest goes on", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  const [gone] = others(leader) as [number];
  const outcome = cluster.group(leader).changeMembership([{ kind: "remove", node: NodeId(gone) }]);
  await cluster.tick(5);
  expect(await outcome).toMatchObject({ kind: "applied" });
  expect(cluster.status(leader).peers.map((peer) => peer.node)).toEqual(others(gone));
  expect(await cluster.propose(leader, "two of two")).toMatchObject({ kind: "applied" });
});

test("leadership moves when asked, without a lost write", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  const [heir] = others(leader) as [number];
  await cluster.propose(leader, "before");
  cluster.group(leader).transferLeadership(NodeId(heir));
  await cluster.tick(3);
  expect(cluster.status(heir).role).toBe("leader");
  expect(await cluster.propose(heir, "after")).toMatchObject({ kind: "applied" });
  await cluster.tick(3);
  for (const id of [1, 2, 3]) expect(cluster.machine(id).lines).toEqual(["before", "after"]);
});

test.each([
  ["cluster", { cluster: "another" }],
  ["receiver", { receiver: NodeId(9) }],
  ["incarnation", { receiverIncarnation: "before the wipe" }],
  ["sender", { sender: NodeId(9) }],
])("a message with the wrong %s is dropped and counted", async (why, forged) => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  cluster.network.forged = forged;
  const outcome = cluster.group(leader).propose(bytes("x"), { timeoutMs: 50 });
  await cluster.tick(8);
  expect(await outcome).toMatchObject({ kind: "unknown" });
  for (const id of others(leader)) expect(new Set(refusals(cluster.node(id).events))).toEqual(new Set([why]));
});

test("a message for a group that is not here is dropped and counted", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  const [without] = others(leader) as [number];
  await cluster.node(without).host.closeGroup(GROUP);
  await cluster.propose(leader, "x");
  expect(refusals(cluster.node(without).events)).toContain("group");
});

test("messages of one turn to one peer leave together, and a vote leaves only after its write", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  const [follower] = others(leader) as [number];
  const { log } = cluster.node(follower);
  log.hold();
  cluster.network.sends.length = 0;
  const outcome = cluster.group(leader).propose(bytes("x"));
  await cluster.settle();
  const acknowledged = (): number =>
    cluster.network.sends.filter(
      ({ from, messages }) =>
        from === follower && messages.some(({ message }) => message.kind === "appendAccepted"),
    ).length;
  expect(acknowledged()).toBe(0);
  log.release();
  await cluster.settle();
  expect(acknowledged()).toBeGreaterThan(0);
  expect(await outcome).toMatchObject({ kind: "applied" });
});

test("a candidate asks for votes only when its own term and vote are durable", async () => {
  const cluster = await TestCluster.of(3);
  const old = await cluster.electLeader();
  await cluster.kill(old);
  for (const id of others(old)) cluster.node(id).log.hold();
  cluster.network.sends.length = 0;
  const asked = (kind: string): boolean =>
    cluster.network.sends.some(({ messages }) => messages.some(({ message }) => message.kind === kind));
  await cluster.tick(30);
  expect(asked("preVoteRequest")).toBe(true);
  expect(asked("voteRequest")).toBe(false);
  for (const id of others(old)) cluster.node(id).log.release();
  await cluster.settle();
  expect(asked("voteRequest")).toBe(true);
});

test("a stall, however long, is one tick and starts no election (F)", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  await cluster.tick(2);
  const { term } = cluster.status(leader);
  for (let round = 0; round < 5; round++) await cluster.stall(500);
  expect([1, 2, 3].map((id) => cluster.status(id).term)).toEqual([term, term, term]);
  expect(cluster.status(leader).role).toBe("leader");
  const late = cluster.node(leader).events.flatMap((event) => (event.kind === "turn" ? [event.lateMs] : []));
  expect(Math.max(...late)).toBe(4_990);
});

test("a flood of messages postpones neither ticks nor an election (F)", async () => {
  const cluster = await TestCluster.of(3, { turnInputsMax: 4, inboxMessagesMax: 64 });
  const leader = await cluster.electLeader();
  const [follower, noisy] = others(leader) as [number, number];
  await cluster.kill(leader);
  const stale = {
    kind: "heartbeatResponse" as const,
    from: NodeId(noisy),
    to: NodeId(follower),
    term: cluster.status(follower).term,
    readToken: "",
  };
  const transport = cluster.network.transportOf(NodeId(noisy));
  let next: number | undefined;
  for (let ticks = 0; ticks < 60 && next === undefined; ticks++) {
    for (let at = 0; at < 100; at++) transport.send(NodeId(follower), [{ group: GROUP, message: stale }]);
    await cluster.tick();
    next = others(leader).find((id) => cluster.status(id).role === "leader");
  }
  expect(next).toBeDefined();
  expect(refusals(cluster.node(follower).events)).toContain("overloaded");
});
