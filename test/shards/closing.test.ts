import { expect, test } from "vitest";
import { GroupId, NodeId } from "../../shards/index.ts";
import type { GroupWrite } from "../../shards/ports.ts";
import { GROUP, TestCluster, bytes, conf } from "./support/cluster.ts";
import { RecordingMachine } from "./support/machine.ts";

const OTHER = GroupId(2);

test("a follower that is closed while its entries wait for the disk takes no other group with it", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  const [follower] = [1, 2, 3].filter((id) => id !== leader) as [number];
  await cluster.open(follower, conf([follower]), OTHER);
  await cluster.settle();
  const { log, host } = cluster.node(follower);
  log.hold();
  const other = cluster.group(follower, OTHER).propose(bytes("in the transaction under way"));
  await cluster.settle();
  // Committed by the other two; here neither the entries nor the commit index are written yet.
  for (const line of ["a", "b"]) {
    await cluster.propose(leader, line);
    await cluster.tick(2);
  }
  const closed = host.closeGroup(GROUP);
  log.release();
  await closed;
  await cluster.settle();
  expect(await other).toMatchObject({ kind: "applied" });
  expect(cluster.group(follower, OTHER).status()).toMatchObject({ state: "running", failure: null });
  await cluster.open(follower, null);
  await cluster.tick(20);
  expect(cluster.machine(follower).lines).toEqual(["a", "b"]);
});

test("a replica that is closed while its state machine restores a snapshot takes no other group with it", async () => {
  const cluster = await TestCluster.compacted();
  const { host, machines } = cluster.start(2);
  const machine = new RecordingMachine();
  let go: (() => void) | undefined;
  machine.mayRestore = new Promise((resolve) => (go = resolve));
  machines.set(GROUP, machine);
  await cluster.open(2, conf([]));
  await cluster.open(2, conf([2]), OTHER);
  void cluster.group(1).changeMembership([{ kind: "addLearner", node: NodeId(2) }]);
  await cluster.tick(20);
  expect(machine.restores).toBe(1);
  // Meanwhile an entry reaches it before it is committed, and then that it is.
  cluster.node(1).log.hold();
  const meanwhile = cluster.group(1).propose(bytes("meanwhile"));
  await cluster.tick(3);
  cluster.node(1).log.release();
  await cluster.tick(3);
  expect(await meanwhile).toMatchObject({ kind: "applied" });
  await host.closeGroup(GROUP);
  expect(cluster.group(2, OTHER).status()).toMatchObject({ state: "running", failure: null });
  go?.();
  await cluster.settle();
  await cluster.open(2, null);
  await cluster.tick(60);
  expect(machine.lines).toEqual(cluster.machine(1).lines);
});

test("groups that close at once write what is left of each one after the other", async () => {
  const cluster = new TestCluster();
  const { log, host } = cluster.start(1);
  const groups = [1, 2, 3].map(GroupId);
  for (const group of groups) await cluster.open(1, conf([1]), group);
  await cluster.settle();
  for (const group of groups) {
    const outcome = cluster.group(1, group).propose(bytes("x"));
    await cluster.settle();
    expect(await outcome).toMatchObject({ kind: "applied" });
  }
  const write = log.write.bind(log);
  let [underWay, most] = [0, 0];
  log.write = async (batch: readonly GroupWrite[]) => {
    most = Math.max(most, ++underWay);
    await write(batch);
    underWay--;
  };
  await Promise.all(groups.map((group) => host.closeGroup(group)));
  expect(most).toBe(1);
  expect(groups.map((group) => log.open(group).hardState().commit)).toEqual([3, 3, 3]);
});

test("a group that closes lets go of everything, also when one snapshot cannot be put away", async () => {
  const cluster = await TestCluster.of(3, { compactBytes: 1_000, keepBytes: 200 });
  const leader = await cluster.electLeader();
  const [late] = [1, 2, 3].filter((id) => id !== leader) as [number];
  cluster.network.isolate(NodeId(late));
  for (let at = 0; at < 50; at++) await cluster.propose(leader, `line ${at}`);
  const machine = cluster.machine(leader);
  const capture = machine.capture.bind(machine);
  machine.capture = async () => {
    const captured = await capture();
    return {
      ...captured,
      [Symbol.asyncDispose]: async () => {
        await captured[Symbol.asyncDispose]();
        throw new Error("EIO: i/o error, unlink");
      },
    };
  };
  cluster.network.heal();
  await cluster.tick(20);
  expect(machine.openSnapshots).toBe(1);
  // One entry is in the state machine's hands, the next one waits.
  machine.hold();
  const outcomes = ["first", "second"].map((line) => cluster.group(leader).propose(bytes(line)));
  await cluster.settle();
  const third = cluster.group(leader).propose(bytes("third"));
  await cluster.tick(2);
  await cluster.node(leader).host.closeGroup(GROUP);
  const { calls } = machine;
  machine.release();
  await cluster.settle();
  expect(machine.calls).toBe(calls);
  expect(machine.openSnapshots).toBe(0);
  expect(cluster.node(leader).events.slice(-2)).toMatchObject([
    { kind: "snapshotFailed", error: { message: "EIO: i/o error, unlink" } },
    { kind: "groupClosed" },
  ]);
  for (const outcome of [...outcomes, third]) expect(await outcome).toMatchObject({ kind: "unknown" });
});
