import { expect, test } from "vitest";
import { GroupId, InvariantViolation, LogError, LogIndex } from "../../shards/index.ts";
import type { GroupNotice } from "../../shards/index.ts";
import { GROUP, TestCluster, bytes, conf } from "./support/cluster.ts";

async function alone(limits = {}): Promise<TestCluster> {
  const cluster = new TestCluster(limits);
  cluster.start(1);
  await cluster.open(1, conf([1]));
  await cluster.settle();
  return cluster;
}

test("a group whose only voter is this node leads without waiting for an election timeout", async () => {
  const cluster = await alone();
  expect(cluster.status(1)).toMatchObject({ role: "leader", term: 2, leader: 1, commit: 2, applied: 2 });
});

test("a proposal is settled with what the state machine answered, poison included", async () => {
  const cluster = await alone();
  expect(await cluster.propose(1, "one")).toEqual({
    kind: "applied",
    term: 2,
    index: 3,
    result: { applied: "one", version: 3 },
  });
  expect(await cluster.propose(1, "poison")).toMatchObject({
    kind: "applied",
    result: { rejected: "poison" },
  });
  expect(await cluster.propose(1, "two")).toMatchObject({ kind: "applied", index: 5 });
  expect(cluster.machine(1).lines).toEqual(["one", "two"]);
});

test("what comes while a transaction is written goes into one next transaction", async () => {
  const cluster = await alone();
  const { log } = cluster.node(1);
  log.hold();
  const first = cluster.group(1).propose(bytes("first"));
  await cluster.settle();
  const before = log.batches.length;
  const rest = Array.from({ length: 100 }, (_, at) => cluster.group(1).propose(bytes(`rest ${at}`)));
  await cluster.settle();
  expect(log.batches.length).toBe(before);
  log.release();
  await cluster.settle();
  const outcomes = await Promise.all([first, ...rest]);
  expect(outcomes.every((outcome) => outcome.kind === "applied")).toBe(true);
  expect(log.batches.length - before).toBe(1);
  expect(log.batches[before]?.flatMap((write) => write.entries ?? [])).toHaveLength(100);
  expect(cluster.machine(1).lines).toEqual(["first", ...rest.map((_, at) => `rest ${at}`)]);
});

test("one transaction carries all groups that have something", async () => {
  const cluster = await alone();
  await cluster.open(1, conf([1]), GroupId(2));
  await cluster.settle();
  const { log } = cluster.node(1);
  const before = log.batches.length;
  const outcomes = [cluster.group(1).propose(bytes("a")), cluster.group(1, GroupId(2)).propose(bytes("b"))];
  await cluster.settle();
  expect((await Promise.all(outcomes)).map((outcome) => outcome.kind)).toEqual(["applied", "applied"]);
  expect(log.batches.slice(before).map((batch) => batch.map((write) => write.group))).toEqual([[GROUP, 2]]);
});

test("a commit index costs no write of its own: it rides on the next one, or is written after a while", async () => {
  const cluster = await alone({ commitCarryTicks: 5 });
  const { log } = cluster.node(1);
  const before = log.batches.length;
  await cluster.propose(1, "a");
  await cluster.propose(1, "b");
  const commits = (): unknown[] => log.batches.slice(before).map(([write]) => write?.hardState?.commit);
  expect(commits()).toEqual([2, 3]);
  await cluster.tick(6);
  expect(commits()).toEqual([2, 3, 4]);
  await cluster.tick(20);
  expect(commits()).toEqual([2, 3, 4]);
  await cluster.propose(1, "c");
  await cluster.stop(1);
  expect(log.open(GROUP).hardState().commit).toBe(5);
});

test("a state machine ahead of the commit index on disk is handed nothing twice", async () => {
  const cluster = await alone();
  await cluster.propose(1, "a");
  await cluster.propose(1, "b");
  const machine = cluster.machine(1);
  await cluster.kill(1);
  expect(cluster.node(1).log.open(GROUP).hardState().commit).toBeLessThan(machine.applied);
  cluster.start(1);
  const group = await cluster.open(1, null);
  const { applied, commit } = group.status();
  expect(applied).toBeLessThanOrEqual(commit);
  await cluster.settle();
  expect(await cluster.propose(1, "c")).toMatchObject({ kind: "applied", result: { applied: "c" } });
  expect(machine.lines).toEqual(["a", "b", "c"]);
});

test("nothing is acknowledged or applied before it is durable", async () => {
  const cluster = await alone();
  const { log } = cluster.node(1);
  log.hold();
  let settled = false;
  const outcome = cluster.group(1).propose(bytes("later"));
  void outcome.then(() => (settled = true));
  await cluster.settle();
  expect([settled, cluster.machine(1).lines]).toEqual([false, []]);
  log.release();
  await cluster.settle();
  expect([settled, cluster.machine(1).lines]).toEqual([true, ["later"]]);
});

test("with wait: committed a proposal does not wait for the state machine", async () => {
  const cluster = await alone();
  cluster.machine(1).hold();
  const outcome = cluster.group(1).propose(bytes("slow"), { wait: "committed" });
  await cluster.settle();
  expect(await outcome).toEqual({ kind: "committed", term: 2, index: 3 });
  expect(cluster.machine(1).lines).toEqual([]);
  cluster.machine(1).release();
  await cluster.settle();
  expect(cluster.machine(1).lines).toEqual(["slow"]);
});

test("proposals wait while the state machine lags, and are refused beyond their limit", async () => {
  const cluster = await alone({
    unappliedBytesMax: 1000,
    entryBytesMax: 100,
    proposalsMax: 20,
    keepBytes: 1,
    compactBytes: 9_999,
  });
  const machine = cluster.machine(1);
  machine.hold();
  const outcomes = Array.from({ length: 21 }, (_, at) =>
    cluster.group(1).propose(bytes(String(at).padStart(100, "x")), { wait: "committed" }),
  );
  await cluster.settle();
  expect(await outcomes[20]).toEqual({ kind: "dropped", why: "overloaded" });
  expect(cluster.status(1)).toMatchObject({ lastIndex: 12, proposalsWaiting: 10 });
  machine.release();
  await cluster.settle();
  expect((await Promise.all(outcomes)).filter((outcome) => outcome.kind === "committed")).toHaveLength(20);
  expect(machine.lines).toHaveLength(20);
});

test("a payload above the limit is dropped at once", async () => {
  const cluster = await alone({ entryBytesMax: 10 });
  expect(await cluster.propose(1, "eleven bytes")).toEqual({ kind: "dropped", why: "tooLarge" });
});

test("a deadline before the log drops, one after it leaves the outcome unknown with its place", async () => {
  const cluster = await alone({ unappliedBytesMax: 10, entryBytesMax: 10 });
  cluster.machine(1).hold();
  const logged = cluster.group(1).propose(bytes("0123456789"), { timeoutMs: 30 });
  const waiting = cluster.group(1).propose(bytes("x"), { timeoutMs: 30 });
  await cluster.settle();
  await cluster.tick(5);
  expect(await logged).toEqual({ kind: "unknown", term: 2, index: 3, why: "deadline" });
  expect(await waiting).toEqual({ kind: "dropped", why: "deadline" });
});

test("aborting ends the waiting and not what was proposed", async () => {
  const cluster = await alone();
  const abort = new AbortController();
  cluster.machine(1).hold();
  const outcome = cluster.group(1).propose(bytes("kept"), { signal: abort.signal });
  await cluster.settle();
  abort.abort();
  expect(await outcome).toEqual({ kind: "unknown", term: 2, index: 3, why: "aborted" });
  expect(await cluster.group(1).propose(bytes("never"), { signal: abort.signal })).toEqual({
    kind: "dropped",
    why: "aborted",
  });
  cluster.machine(1).release();
  await cluster.settle();
  expect(cluster.machine(1).lines).toEqual(["kept"]);
});

test("a state machine that fails stops its group loudly, and the other groups go on", async () => {
  const cluster = await alone();
  await cluster.open(1, conf([1]), GroupId(2));
  await cluster.settle();
  cluster.machine(1).fault = new Error("disk on fire");
  expect(await cluster.propose(1, "doomed")).toEqual({ kind: "unknown", term: 2, index: 3, why: "stopped" });
  expect(cluster.status(1)).toMatchObject({
    state: "stopped",
    failure: expect.stringContaining("disk on fire"),
  });
  expect(await cluster.propose(1, "after")).toMatchObject({ kind: "stopped" });
  expect(cluster.node(1).events).toContainEqual(
    expect.objectContaining({ kind: "groupStopped", group: GROUP }),
  );
  const other = cluster.group(1, GroupId(2)).propose(bytes("fine"));
  await cluster.settle();
  expect(await other).toMatchObject({ kind: "applied" });
});

test("a state machine that fails between two calls stops its group as well, and nothing is acknowledged after", async () => {
  const cluster = await alone();
  cluster.group(1).stateMachineFailed(new Error("disk on fire"));
  await cluster.settle();
  expect(cluster.status(1)).toMatchObject({
    state: "stopped",
    failure: expect.stringContaining("disk on fire"),
  });
  expect(await cluster.propose(1, "after")).toMatchObject({ kind: "stopped" });
});

test("a stopped group comes back by restarting it alone, with nothing lost or applied twice", async () => {
  const cluster = await alone();
  await cluster.propose(1, "kept");
  const machine = cluster.machine(1);
  machine.fault = new Error("for a moment");
  await cluster.propose(1, "logged");
  machine.fault = null;
  await cluster.node(1).host.restartGroup({ group: GROUP, applyOp: machine, bootstrap: null });
  await cluster.settle();
  expect(await cluster.propose(1, "after")).toMatchObject({ kind: "applied" });
  expect(machine.lines).toEqual(["kept", "logged", "after"]);
});

test("a failed write ends every promise: all groups stop and nothing is acknowledged", async () => {
  const cluster = await alone();
  await cluster.open(1, conf([1]), GroupId(2));
  await cluster.settle();
  cluster.node(1).log.failWith = new LogError("LOG_FULL", "no space left");
  expect(await cluster.propose(1, "lost?")).toMatchObject({ kind: "unknown", why: "stopped" });
  expect(cluster.group(1).status().failure).toBe("no space left");
  expect(cluster.group(1, GroupId(2)).status().state).toBe("stopped");
});

test("a broken invariant stops the group it belongs to", async () => {
  const cluster = await alone();
  await cluster.open(1, conf([1]), GroupId(2));
  await cluster.settle();
  cluster.machine(1).fault = new InvariantViolation("two and two are four");
  await cluster.propose(1, "x");
  expect([1, 2].map((id) => cluster.group(1, GroupId(id)).status().state)).toEqual(["stopped", "running"]);
});

test("a restart replays what the state machine does not hold durably, and only that", async () => {
  const cluster = await alone();
  const machine = cluster.machine(1);
  await cluster.propose(1, "a");
  machine.durableAtOnce = false;
  await cluster.propose(1, "b");
  await cluster.propose(1, "c");
  await cluster.kill(1);
  machine.powerCut();
  expect(machine.lines).toEqual(["a"]);
  cluster.start(1);
  await cluster.open(1, null);
  await cluster.settle();
  expect(machine.lines).toEqual(["a", "b", "c"]);
  expect(cluster.status(1)).toMatchObject({ role: "leader", term: 3, applied: 6 });
});

test("the log is compacted up to what is durable in the state machine, never beyond", async () => {
  const cluster = await alone({ compactBytes: 2_000, keepBytes: 500 });
  const machine = cluster.machine(1);
  machine.durableAtOnce = false;
  for (let at = 0; at < 40; at++) await cluster.propose(1, `line ${at}`);
  const { firstIndex, durable, logBytes } = cluster.status(1);
  expect(firstIndex).toBeGreaterThan(1);
  expect(firstIndex).toBeLessThanOrEqual(durable + 1);
  expect(machine.checkpoints).toBeGreaterThan(0);
  expect(logBytes).toBeLessThan(3_000);
  await cluster.kill(1);
  machine.powerCut();
  cluster.start(1);
  await cluster.open(1, null);
  await cluster.settle();
  expect(machine.lines).toHaveLength(40);
});

test("a log without its state machine is refused, naming both positions", async () => {
  const cluster = await alone({ compactBytes: 500, keepBytes: 100 });
  for (let at = 0; at < 20; at++) await cluster.propose(1, `line ${at}`);
  await cluster.kill(1);
  cluster.node(1).machines.clear();
  cluster.start(1);
  await expect(cluster.open(1, null)).rejects.toMatchObject({ code: "LOG_CORRUPT", group: GROUP });
});

test("a state machine without its log is refused: writes below what it holds would never be applied", async () => {
  const cluster = await alone();
  await cluster.propose(1, "one");
  await cluster.kill(1);
  await cluster.node(1).log.destroy(GROUP);
  cluster.start(1);
  await expect(cluster.open(1, conf([1]))).rejects.toMatchObject({ code: "LOG_CORRUPT", group: GROUP });
  expect(cluster.node(1).log.groups()).toEqual([]);
});

test("linearizable and session reads wait for apply; reads of one turn share a round", async () => {
  const cluster = await alone();
  cluster.machine(1).hold();
  const write = cluster.group(1).propose(bytes("w"));
  await cluster.settle();
  let answered = 0;
  const reads = [cluster.group(1).readIndex(), cluster.group(1).readIndex()];
  reads.push(cluster.group(1).waitApplied(LogIndex(3)));
  for (const read of reads) void read.then(() => answered++);
  await cluster.settle();
  expect(answered).toBe(0);
  cluster.machine(1).release();
  await cluster.settle();
  expect(await Promise.all(reads)).toEqual(reads.map(() => ({ kind: "ready", index: 3 })));
  expect(await write).toMatchObject({ kind: "applied" });
  expect(await cluster.group(1).waitApplied(LogIndex(1))).toEqual({ kind: "ready", index: 3 });
});

test("listeners hear notices in order, identical ones once, late ones only the future, removed ones nothing (E)", async () => {
  const cluster = new TestCluster();
  cluster.start(1);
  const group = await cluster.open(1, conf([1]));
  const heard: [GroupNotice[], GroupNotice[], GroupNotice[]] = [[], [], []];
  group.subscribe((notice) => heard[0].push(notice));
  const remove = group.subscribe((notice) => {
    heard[1].push(notice);
    if (notice.kind === "leader") remove();
  });
  await cluster.settle();
  group.subscribe((notice) => heard[2].push(notice));
  await cluster.propose(1, "x");
  const kinds = heard.map((notices) => notices.map((notice) => notice.kind));
  expect(kinds[0]).toContain("role");
  expect(kinds[1]?.at(-1)).toBe("leader");
  expect(kinds[2]).toEqual(["commit", "applied"]);
  expect(heard[0].slice(-2)).toEqual(heard[2]);
  for (const kind of ["leader", "commit", "applied"]) {
    const told = heard[0].filter((notice) => notice.kind === kind).map((notice) => JSON.stringify(notice));
    expect(new Set(told).size).toBe(told.length);
  }
});

test("closing comes before everything else (F)", async () => {
  const cluster = await alone();
  const ticks = (): number => cluster.node(1).events.filter((event) => event.kind === "turn").length;
  const waiting = cluster.group(1).propose(bytes("never"));
  const before = ticks();
  await cluster.node(1).host[Symbol.asyncDispose]();
  await cluster.settle();
  expect(ticks()).toBe(before);
  expect(await waiting).toMatchObject({ kind: "stopped" });
});

test("a destroyed group leaves no log behind", async () => {
  const cluster = await alone();
  await cluster.propose(1, "x");
  await cluster.node(1).host.destroyGroup(GROUP);
  expect(cluster.node(1).log.groups()).toEqual([]);
  expect(cluster.node(1).host.groups()).toEqual([]);
  await expect(cluster.open(1, null)).rejects.toMatchObject({ code: "LOG_MISSING" });
});
