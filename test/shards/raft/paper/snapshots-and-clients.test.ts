/** Raft §7 and §8, and chapter 6 of the dissertation: one test per sentence. */
import { describe, expect, test } from "vitest";
import type { Cluster } from "../support/cluster.ts";
import { bytes, cluster, conf, Member, message, type TestOptions } from "../support/cluster.ts";
import { LogIndex, NodeId, Term } from "../../../../shards/raft/types.ts";
import { MemoryLog } from "../support/memory-log.ts";

/** Three members, of which the third has missed what the leader has compacted away since. */
function behind(): Cluster {
  const group = cluster(3).elect(1);
  group.isolate(3);
  group.core(1).propose([bytes("a"), bytes("b")]);
  group.settle();
  group.member(1).log.compact(LogIndex(3), conf([1, 2, 3]));
  group.core(1).propose([bytes("c")]);
  group.settle();
  return group;
}

describe("§7 log compaction", () => {
  test("the leader sends a snapshot when it has already discarded the next entry that it needs to send", () => {
    const group = behind();
    group.cut = () => false;
    group.tick(2);
    expect(group.delivered.filter((each) => each.kind === "snapshot")).toMatchObject([
      { to: 3, meta: { index: 3, term: 1 } },
    ]);
    expect(group.member(3).commands()).toEqual(["c"]);
    expect(group.core(3).status()).toMatchObject({ commit: 4, firstIndex: 4 });
  });

  test("the follower discards its entire log; it is all superseded by the snapshot", () => {
    const one = new Member(1, new MemoryLog({ conf: conf([1, 2, 3]) }));
    const meta = { index: LogIndex(9), term: Term(2), conf: conf([1, 2, 3, 4]) };
    one.core.step(message("snapshot", { from: 2, to: 1, term: 3 }, { meta }));
    expect(one.work()).toMatchObject([{ kind: "appendAccepted", match: 9 }]);
    expect(one.core.status()).toMatchObject({ firstIndex: 10, lastIndex: 9, commit: 9, applied: 9 });
    expect(one.conf.voters).toEqual([1, 2, 3, 4]);
  });

  test("entries that the snapshot covers and the follower holds are kept: only its commit index moves", () => {
    const group = cluster(3).elect(1);
    group.cut = (each) => each.kind === "append" && each.commit > 1;
    group.core(1).propose([bytes("a")]);
    group.settle();
    const meta = { index: LogIndex(2), term: Term(1), conf: conf([1, 2, 3]) };
    group.core(3).step(message("snapshot", { from: 1, to: 3, term: 1 }, { meta }));
    group.settle();
    expect(group.core(3).status()).toMatchObject({ firstIndex: 1, commit: 2 });
    expect(group.member(3).commands()).toEqual(["a"]);
  });

  test("a snapshot older than commit is ignored and answered with commit (never 12)", () => {
    const group = cluster(3).elect(1);
    group.core(1).propose([bytes("a")]);
    group.settle();
    const meta = { index: LogIndex(1), term: Term(1), conf: conf([1, 2, 3]) };
    group.core(3).step(message("snapshot", { from: 1, to: 3, term: 1 }, { meta }));
    expect(group.member(3).work()).toMatchObject([{ kind: "appendAccepted", match: 2 }]);
    expect(group.member(3).events.at(-1)).toMatchObject({ kind: "snapshotIgnored", index: 1 });
  });

  test("a snapshot whose configuration is broken is dropped, and changes nothing", () => {
    const one = new Member(1, new MemoryLog({ conf: conf([1, 2, 3]) }));
    const broken = { ...conf([3, 1]), autoLeave: true };
    one.core.step(
      message(
        "snapshot",
        { from: 2, to: 1, term: 3 },
        { meta: { index: LogIndex(9), term: Term(2), conf: broken } },
      ),
    );
    one.work();
    expect(one.core.status()).toMatchObject({ term: 0, lastIndex: 0 });
    expect(one.events).toMatchObject([{ kind: "messageDropped", why: "3,1 is not sorted" }]);
  });

  test("no appends leave for a member while its snapshot is on the way; a failed one is tried again", () => {
    const group = behind();
    group.cut = (each) => each.kind === "snapshot";
    group.tick(3);
    const peer = () =>
      group
        .core(1)
        .status()
        .progress.find((each) => each.id === 3);
    expect(peer()).toMatchObject({ state: "snapshot", pendingSnapshot: 3, paused: true });
    group.core(1).reportSnapshot(NodeId(3), false);
    expect(peer()).toMatchObject({ state: "probe", next: 2, paused: true });
    group.cut = () => false;
    group.tick(2);
    expect(peer()).toMatchObject({ state: "replicate", match: 4 });
  });

  test("a snapshot that did not help is not sent again before an election timeout has passed", () => {
    const group = behind();
    const sent = (): number => group.member(1).events.filter((event) => event.kind === "snapshotSent").length;
    // It arrives, but nobody hears of it: what still comes in are answers from before.
    group.cut = (each) => each.kind === "snapshot" || (each.kind === "appendAccepted" && each.from === 3);
    group.tick(2);
    expect(sent()).toBe(1);
    const late = message("appendAccepted", { from: 3, to: 1, term: 1 }, { match: LogIndex(1) });
    const ticks = 8;
    for (let tick = 0; tick < ticks; tick++) {
      group.core(1).reportSnapshot(NodeId(3), true);
      group.core(1).step(late);
      group.tick();
    }
    expect(sent()).toBe(1);
    group.cut = () => false;
    group.tick(2);
    group.core(1).step(late);
    group.tick(2);
    expect(sent()).toBe(2);
    expect(group.core(3).status()).toMatchObject({ commit: 4 });
  });

  test("applied beyond persisted commit is an impossible state to start from (never 15)", () => {
    const log = new MemoryLog({ conf: conf([1]) });
    const start = (): Member => new Member(1, log, { applied: LogIndex(0) });
    expect(start().core.status().applied).toBe(0);
    const member = start();
    member.appliedIndex = LogIndex(5);
    expect(() => member.restart()).toThrow(/applied 5 was committed .* commit is 0/);
  });
});

describe("§8 client interaction", () => {
  test("a leader commits a no-op entry at the start of its term", () => {
    const group = cluster(3).elect(1);
    expect(group.member(1).applied).toMatchObject([{ index: 1, term: 1, kind: "normal" }]);
    expect(group.member(1).applied[0]?.data).toHaveLength(0);
  });

  test("reads wait for that entry: before it a leader does not know what is committed (never 8)", () => {
    const group = cluster(3);
    group.core(1).campaign();
    group.cut = (each) => each.kind === "append";
    group.settle();
    expect(group.core(1).isLeader).toBe(true);
    group.core(1).readIndex("early");
    group.tick(2);
    expect(group.member(1).reads).toEqual([]);
    group.cut = () => false;
    group.tick(2);
    expect(group.member(1).reads).toEqual([{ token: "early", index: 1 }]);
  });

  test("also when the leader is alone: its commit index may be behind what it once acknowledged", () => {
    const group = cluster(1);
    group.core(1).campaign();
    group.member(1).slowDisk = true;
    while (!group.core(1).isLeader) {
      group.member(1).work();
      group.member(1).flush();
    }
    group.core(1).readIndex("early");
    group.member(1).work();
    expect(group.member(1).reads).toEqual([]);
    group.member(1).slowDisk = false;
    group.member(1).flush();
    group.settle();
    expect(group.member(1).reads).toEqual([{ token: "early", index: 1 }]);
  });

  test("a leader checks that it has not been deposed before it answers a read", () => {
    const group = cluster(3).elect(1);
    group.isolate(1);
    group.core(1).readIndex("r");
    group.settle();
    expect(group.member(1).reads).toEqual([]);
    for (let tick = 0; tick < 25; tick++) group.core(1).tick();
    group.settle();
    expect(group.member(1).reads).toEqual([]);
    expect(group.member(1).events).toContainEqual({
      kind: "readDropped",
      token: "r",
      why: "the leader changed",
    });
  });

  test("an acknowledgement of an older round or another term confirms nothing (never 8)", () => {
    const group = cluster(3).elect(1);
    group.cut = (each) => each.kind === "heartbeatResponse";
    group.core(1).readIndex("r");
    group.settle();
    const answer = (readToken: string) =>
      group.core(1).step(message("heartbeatResponse", { from: 2, to: 1, term: 1 }, { readToken }));
    for (const token of ["", "0.1", "2.1", "1.0", "1.2", "1.x", "nonsense"]) answer(token);
    group.member(1).work();
    expect(group.member(1).reads).toEqual([]);
    answer("1.1");
    group.member(1).work();
    expect(group.member(1).reads).toEqual([{ token: "r", index: 1 }]);
  });

  test("reads that come together share one round of heartbeats", () => {
    const group = cluster(3).elect(1);
    for (let read = 0; read < 50; read++) group.core(1).readIndex(`r${read}`);
    const before = group.member(1).sent.length;
    group.settle();
    expect(
      group
        .member(1)
        .sent.slice(before)
        .filter((each) => each.kind === "heartbeat"),
    ).toHaveLength(2);
    expect(group.member(1).reads).toHaveLength(50);
  });

  test("a follower asks the leader; an answer that comes twice answers once", () => {
    const group = cluster(3).elect(1);
    group.core(2).readIndex("r");
    group.settle();
    const answer = group.delivered.find((each) => each.kind === "readIndexResponse");
    expect(group.member(2).reads).toEqual([{ token: "r", index: 1 }]);
    if (answer !== undefined) group.core(2).step(answer);
    group.settle();
    expect(group.member(2).reads).toHaveLength(1);
  });

  test("a forwarded read whose answer was lost is given up, and makes room for others", () => {
    const group = cluster(3, { maxPendingReads: 2 }).elect(1);
    group.cut = (each) => each.kind === "readIndex";
    expect(["a", "b", "c"].map((token) => group.core(2).readIndex(token).kind)).toEqual([
      "accepted",
      "accepted",
      "dropped",
    ]);
    group.tick(21);
    expect(group.member(2).events.filter((event) => event.kind === "readDropped")).toHaveLength(2);
    group.cut = () => false;
    expect(group.core(2).readIndex("d").kind).toBe("accepted");
    group.settle();
    expect(group.member(2).reads.map((read) => read.token)).toEqual(["d"]);
  });

  describe("leases", () => {
    const lease: TestOptions = { readMode: "lease" };

    test("a lease answers at once, counts from sending and runs out (never 9)", () => {
      const group = cluster(3, lease).elect(1);
      group.tick(1);
      group.core(1).readIndex("held");
      expect(group.core(1).ready().reads).toEqual([{ token: "held", index: 1 }]);
      // Heartbeats leave, their answers are late: the lease is measured from when they left.
      group.cut = (each) => each.to === 1;
      for (let tick = 0; tick < 8; tick++) group.core(1).tick();
      group.core(1).readIndex("still");
      expect(group.core(1).ready().reads).toEqual([{ token: "still", index: 1 }]);
      group.core(1).tick();
      group.core(1).readIndex("over");
      expect(group.core(1).ready().reads).toEqual([]);
    });

    test("one acknowledgement does not renew it: a quorum does", () => {
      const group = cluster(5, lease).elect(1);
      group.isolate(3, 4, 5);
      group.tick(2);
      group.core(1).readIndex("r");
      expect(group.core(1).ready().reads).toEqual([]);
    });

    test("a transfer voids it for the rest of the reign", () => {
      const group = cluster(3, lease).elect(1);
      group.tick(1);
      group.cut = (each) => each.kind === "timeoutNow";
      group.core(1).transferLeader(NodeId(2));
      group.settle();
      group.core(1).readIndex("r");
      expect(group.core(1).ready().reads).toEqual([]);
    });

    test("a restarted member gives no vote for one election timeout", () => {
      const group = cluster(3, lease).elect(1);
      group.member(3).restart();
      group.isolate(1);
      for (let tick = 0; tick < 9; tick++) group.core(2).tick();
      group.core(2).campaign();
      group.settle();
      expect(group.core(2).status().role).toBe("follower");
      group.core(2).tick();
      group.settle();
      expect(group.core(2).isLeader).toBe(false);
      for (let tick = 0; tick < 60 && group.leaders().length < 2; tick++) {
        group.core(2).tick();
        group.core(3).tick();
        group.settle();
      }
      expect(group.leaders().some((id) => id !== 1)).toBe(true);
    });
  });
});
