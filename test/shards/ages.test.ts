/** What leaves a log for its age alone: its bytes are far below any limit in all of these. */
import { expect, test } from "vitest";
import { LogIndex, NodeId } from "../../shards/index.ts";
import { Ages, ticksBetweenLooks } from "../../shards/ages.ts";
import { GROUP, TestCluster } from "./support/cluster.ts";

const AGE = 160;
/** By then every group has looked since it was that long ago. */
const SURELY = AGE + 2 * ticksBetweenLooks(AGE);

async function writtenOn(cluster: TestCluster, leader: number, lines: number): Promise<void> {
  for (let at = 0; at < lines; at++) {
    await cluster.propose(leader, `line ${at}`);
    await cluster.tick();
  }
}
async function threeWith(limits = {}): Promise<{ cluster: TestCluster; leader: number; others: number[] }> {
  const cluster = await TestCluster.of(3, { keepAgeTicks: AGE, ...limits });
  const leader = await cluster.electLeader();
  return { cluster, leader, others: [1, 2, 3].filter((id) => id !== leader) };
}

test("what was applied an age ago is told, what is younger is not", () => {
  const ages = new Ages(80);
  expect(ages.look(10, LogIndex(5))).toBe(0);
  expect(ages.look(50, LogIndex(9))).toBe(0);
  expect(ages.look(89, LogIndex(9))).toBe(0);
  expect(ages.look(90, LogIndex(9))).toBe(5);
  expect(ages.look(129, LogIndex(12))).toBe(5);
  expect(ages.look(130, LogIndex(12))).toBe(9);
  // A look that comes late finds what is old by then.
  expect(ages.look(1_000, LogIndex(12))).toBe(12);
});

test("a quiet log of a few bytes is dropped on every member when it is old, and not before", async () => {
  const { cluster, leader } = await threeWith();
  await writtenOn(cluster, leader, 10);
  const { lastIndex } = cluster.status(leader);
  await cluster.tick(AGE - 20);
  for (const id of [1, 2, 3]) expect(cluster.status(id).firstIndex).toBe(2);
  await cluster.tick(SURELY);
  for (const id of [1, 2, 3]) {
    expect(cluster.status(id)).toMatchObject({ firstIndex: lastIndex + 1, lastIndex, logBytes: 0 });
    expect(cluster.machine(id).lines).toHaveLength(10);
  }
  // Nothing of it is in the way of what follows, nor of a start on what is left.
  expect(await cluster.propose(leader, "after")).toMatchObject({ kind: "applied" });
  await cluster.tick(5);
  await cluster.kill(leader);
  cluster.start(leader);
  await cluster.open(leader, null);
  await cluster.tick(60);
  for (const id of [1, 2, 3]) expect(cluster.machine(id).lines.at(-1)).toBe("after");
});

test("a resting group loses its old log as well, and rests again", async () => {
  const { cluster, leader } = await threeWith({ quiesceTicks: 20 });
  await writtenOn(cluster, leader, 5);
  await cluster.tick(60);
  expect(cluster.status(leader)).toMatchObject({ resting: true, firstIndex: 2 });
  await cluster.tick(SURELY);
  await cluster.tick(60);
  const { lastIndex } = cluster.status(leader);
  expect(cluster.status(leader)).toMatchObject({ resting: true, firstIndex: lastIndex + 1 });
});

test("only what is durable in the state machine goes", async () => {
  const cluster = await TestCluster.of(1, { keepAgeTicks: AGE });
  const machine = cluster.machine(1);
  machine.durableAtOnce = false;
  await writtenOn(cluster, 1, 5);
  const before = machine.checkpoints;
  await cluster.tick(SURELY);
  const { firstIndex, durable } = cluster.status(1);
  expect(machine.checkpoints).toBe(before + 1);
  expect(firstIndex).toBeGreaterThan(5);
  expect(firstIndex).toBeLessThanOrEqual(durable + 1);
  await cluster.kill(1);
  machine.powerCut();
  cluster.start(1);
  await cluster.open(1, null);
  await cluster.settle();
  expect(machine.lines).toHaveLength(5);
});

test("a leader keeps what an active follower lacks, however old; one that is away is not waited for", async () => {
  const { cluster, leader, others } = await threeWith();
  const [slow = 0] = others;
  await writtenOn(cluster, leader, 2);
  const { lastIndex: has } = cluster.status(slow);
  // Its disk takes nothing more, but it answers: the leader hears of it, and its match stands still.
  const gate = cluster.node(slow).log;
  gate.hold();
  await writtenOn(cluster, leader, 10);
  await cluster.tick(SURELY);
  expect(cluster.status(leader).firstIndex).toBe(has + 1);
  gate.release();
  await cluster.tick(SURELY);
  expect(cluster.status(leader).firstIndex).toBe(cluster.status(leader).lastIndex + 1);
  expect(cluster.machine(slow).lines).toHaveLength(12);
  expect(cluster.machine(slow).restores).toBe(0);

  cluster.network.isolate(NodeId(slow));
  await writtenOn(cluster, leader, 4);
  await cluster.tick(SURELY);
  const { firstIndex, lastIndex } = cluster.status(leader);
  expect(firstIndex).toBe(lastIndex + 1);
  cluster.network.heal();
  await cluster.tick(100);
  expect(cluster.machine(slow).lines).toEqual(cluster.machine(leader).lines);
  expect(cluster.machine(slow).restores).toBe(1);
});

test("the byte limit goes before what a slow follower lacks", async () => {
  const { cluster, leader, others } = await threeWith({ compactBytes: 1_000, keepBytes: 200 });
  const [slow = 0] = others;
  cluster.node(slow).log.hold();
  await writtenOn(cluster, leader, 40);
  expect(cluster.status(leader).logBytes).toBeLessThan(1_200);
  const written = cluster.node(slow).log.open(GROUP).lastIndex();
  expect(cluster.status(leader).firstIndex).toBeGreaterThan(written + 1);
  cluster.node(slow).log.release();
  await cluster.tick(100);
  expect(cluster.machine(slow).lines).toHaveLength(40);
});

test("an age that no run reaches drops nothing", async () => {
  const cluster = await TestCluster.of(1, { keepAgeTicks: Number.MAX_SAFE_INTEGER });
  await writtenOn(cluster, 1, 5);
  await cluster.tick(500);
  expect(cluster.node(1).log.open(GROUP).boundary().index).toBe(1);
});
