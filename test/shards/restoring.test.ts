import { expect, test } from "vitest";
import { GroupId, NodeId } from "../../shards/index.ts";
import { TestCluster, conf } from "./support/cluster.ts";

const OTHER = GroupId(2);
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

test("a compaction decided while a snapshot was restored is given up, and no other group suffers", async () => {
  const cluster = await TestCluster.of(3, { compactBytes: 2_000, keepBytes: 500 });
  const leader = await cluster.electLeader();
  const [late] = [1, 2, 3].filter((id) => id !== leader) as [number];
  await cluster.open(late, conf([late]), OTHER);
  const machine = cluster.machine(late);
  machine.durableAtOnce = false;
  const [checkpoint, restore] = [gate(), gate()];
  const realCheckpoint = machine.checkpoint.bind(machine);
  machine.checkpoint = async () => {
    await checkpoint.opened;
    return await realCheckpoint();
  };
  machine.mayRestore = restore.opened;
  // Enough for a compaction, which waits for the state machine's disk.
  for (let at = 0; at < 35; at++) await cluster.propose(leader, `line ${at}`);
  await cluster.tick(3);
  expect(cluster.status(late)).toMatchObject({ firstIndex: 2, applied: 37 });
  // Away for so long that it needs a snapshot.
  cluster.network.isolate(NodeId(late));
  for (let at = 0; at < 60; at++) await cluster.propose(leader, `missed ${at}`);
  cluster.network.heal();
  await cluster.tick(60);
  expect(machine.restores).toBe(1);
  // The state machine answers both before the next turn.
  restore.open();
  await pause();
  checkpoint.open();
  await pause();
  await cluster.tick(20);
  expect(cluster.group(late, OTHER).status()).toMatchObject({ state: "running", failure: null });
  expect(cluster.status(late)).toMatchObject({ state: "running", failure: null });
  await cluster.propose(leader, "after");
  await cluster.tick(5);
  expect(machine.lines.at(-1)).toBe("after");
});

test("a capture that ends while a snapshot takes the log's place is of no use, and does no harm", async () => {
  const cluster = await TestCluster.of(3, { compactBytes: 2_000, keepBytes: 500 });
  const old = await cluster.electLeader();
  const [next, behind] = [1, 2, 3].filter((id) => id !== old) as [number, number];
  const machine = cluster.machine(old);
  const [capture, restore] = [gate(), gate()];
  const realCapture = machine.capture.bind(machine);
  machine.capture = async () => {
    const captured = await realCapture();
    await capture.opened;
    return captured;
  };
  machine.mayRestore = restore.opened;
  // A leader that is asked for a snapshot loses the others while it captures one.
  cluster.network.isolate(NodeId(behind));
  for (let at = 0; at < 60; at++) await cluster.propose(old, `line ${at}`);
  cluster.network.heal();
  await cluster.tick(3);
  expect(machine.openSnapshots).toBe(1);
  cluster.network.isolate(NodeId(old));
  await cluster.electLeader(old);
  await cluster.tick(3_100);
  for (let at = 0; at < 60; at++) await cluster.propose(next, `missed ${at}`);
  cluster.network.heal();
  await cluster.tick(60);
  expect(machine.restores).toBe(1);
  // Both end; the snapshot's boundary is not on disk yet when the group looks at what it captured.
  const { log } = cluster.node(old);
  log.hold();
  restore.open();
  capture.open();
  await cluster.settle();
  await cluster.tick(2);
  log.release();
  await cluster.tick(20);
  expect(cluster.status(old)).toMatchObject({ state: "running", failure: null });
  expect(machine.lines).toEqual(cluster.machine(next).lines);
  expect(machine.openSnapshots).toBe(0);
});

test("who was given a snapshot hands out none that is older", async () => {
  const cluster = await TestCluster.of(3, { compactBytes: 2_000, keepBytes: 500 });
  const [first, other] = await (async () => {
    const leader = await cluster.electLeader();
    return [leader, ...[1, 2, 3].filter((id) => id !== leader)] as [number, number];
  })();
  for (let at = 0; at < 60; at++) await cluster.propose(first, `line ${at}`);
  cluster.start(4);
  await cluster.open(4, conf([]));
  void cluster.group(first).changeMembership([{ kind: "addLearner", node: NodeId(4) }]);
  await cluster.tick(20);
  expect(cluster.machine(4).lines).toHaveLength(60);
  expect(cluster.machine(first).openSnapshots).toBe(1);
  // Both are away for so long that only a snapshot helps; the one who still holds an old one leads again soon after.
  cluster.network.isolate(NodeId(first));
  cluster.network.isolate(NodeId(4));
  const second = await cluster.electLeader(first);
  for (let at = 0; at < 60; at++) await cluster.propose(second, `missed ${at}`);
  cluster.network.heal();
  cluster.network.isolate(NodeId(4));
  await cluster.tick(60);
  expect(cluster.machine(first).restores).toBe(1);
  cluster.group(second).transferLeadership(NodeId(first));
  await cluster.tick(20);
  expect(cluster.status(first).role).toBe("leader");
  cluster.network.heal();
  await cluster.tick(100);
  expect(cluster.machine(4).lines).toEqual(cluster.machine(other).lines);
});
