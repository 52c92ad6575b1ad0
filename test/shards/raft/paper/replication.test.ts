/** Raft §5.3 and §5.4, and the append-entries boxes of figure 2: one test per sentence. */
import { describe, expect, test } from "vitest";
import { bytes, cluster, conf, entry, Member, message } from "../support/cluster.ts";
import { InvariantViolation } from "../../../../shards/raft/invariant.ts";
import { LogIndex, NOBODY, Term } from "../../../../shards/raft/types.ts";
import { MemoryLog } from "../support/memory-log.ts";

const plain = { preVote: false, checkQuorum: false };

function follower(terms: readonly number[], commit = 0): Member {
  const log = new MemoryLog({ conf: conf([1, 2, 3]) });
  log.write({ snapshot: null, entries: terms.map((each, at) => entry(each, at + 1)), hardState: null });
  log.setHardState({ term: Term(terms.at(-1) ?? 0), vote: NOBODY, commit: LogIndex(commit) });
  return new Member(1, log, plain);
}

const append = (term: number, prev: readonly [number, number], terms: readonly number[] = [], commit = 0) =>
  message(
    "append",
    { from: 2, to: 1, term },
    {
      prevTerm: Term(prev[0]),
      prevIndex: LogIndex(prev[1]),
      entries: terms.map((each, at) => entry(each, prev[1] + 1 + at)),
      commit: LogIndex(commit),
    },
  );
const termsOf = (member: Member): number[] => member.log.all().map((each) => each.term);

describe("§5.3 log replication", () => {
  test("the leader appends the command to its log, then issues appends in parallel to all others", () => {
    const group = cluster(3, plain).elect(1);
    expect(group.core(1).propose([bytes("x")])).toEqual({ kind: "accepted", first: 2, term: 1 });
    const ready = group.core(1).ready();
    expect(ready.persist?.entries).toMatchObject([{ index: 2, term: 1 }]);
    expect(ready.send).toMatchObject([
      { kind: "append", to: 2, prevIndex: 1, prevTerm: 1, entries: [{ index: 2 }] },
      { kind: "append", to: 3, prevIndex: 1, prevTerm: 1, entries: [{ index: 2 }] },
    ]);
  });

  test("an entry is committed once the leader that created it has it on a majority, and then applied", () => {
    const group = cluster(5, plain).elect(1);
    group.isolate(3, 4, 5);
    group.core(1).propose([bytes("x")]);
    group.settle();
    expect(group.member(1).commands()).toEqual([]);
    group.isolate(4, 5);
    group.tick(2);
    expect(group.member(1).commands()).toEqual(["x"]);
  });

  test("this also commits all preceding entries in the leader's log, including those of previous leaders", () => {
    const group = cluster(3, plain).elect(1);
    group.cut = (each) => each.kind === "append" && each.entries.length > 0;
    group.core(1).propose([bytes("old")]);
    group.settle();
    expect(group.core(1).status().commit).toBe(1);
    group.cut = () => false;
    group
      .core(1)
      .step(message("heartbeat", { from: 3, to: 1, term: 2 }, { commit: LogIndex(0), readToken: "" }));
    group.elect(1);
    expect(group.core(1).status().term).toBe(3);
    expect(group.member(3).commands()).toEqual(["old"]);
  });

  test("a follower learns that an entry is committed and applies it, in log order", () => {
    const one = follower([]);
    one.core.step(append(1, [0, 0], [1, 1, 1], 2));
    one.work();
    expect(one.applied.map((each) => each.index)).toEqual([1, 2]);
  });

  test("it refuses if its log has no entry at prevLogIndex whose term matches (figure 2, 2)", () => {
    const one = follower([1, 1, 2]);
    one.core.step(append(3, [1, 3], [3]));
    one.core.step(append(3, [3, 9], [3]));
    expect(one.work()).toMatchObject([
      { kind: "appendRejected", index: 3, hintIndex: 2, hintTerm: 1 },
      { kind: "appendRejected", index: 9, hintIndex: 3, hintTerm: 2 },
    ]);
    expect(termsOf(one)).toEqual([1, 1, 2]);
  });

  test.each([
    [[1, 1, 2, 2], [1, 2], [3], [1, 1, 3]],
    [
      [1, 1, 2, 2],
      [1, 1],
      [1, 3, 3],
      [1, 1, 3, 3],
    ],
    [
      [1, 1],
      [1, 2],
      [3, 3],
      [1, 1, 3, 3],
    ],
  ] as const)(
    "a conflicting entry and all that follow it are deleted, missing ones appended (figure 2, 3 and 4): %j",
    (own, prev, sent, result) => {
      const one = follower([...own]);
      one.core.step(append(3, prev, sent));
      one.work();
      expect(termsOf(one)).toEqual(result);
    },
  );

  test("entries it has already are not deleted, nor what follows them: an append may come late", () => {
    const one = follower([1, 1, 1]);
    one.core.step(append(1, [1, 1], [1]));
    expect(one.work()).toMatchObject([{ kind: "appendAccepted", match: 2 }]);
    expect(termsOf(one)).toEqual([1, 1, 1]);
  });

  test("commitIndex becomes the smaller of leaderCommit and the last new entry, not the last own one (figure 2, 5; never 4)", () => {
    const one = follower([1, 1, 1, 1]);
    one.core.step(append(2, [1, 2], [], 4));
    one.work();
    expect(one.core.status().commit).toBe(2);
  });

  test("it answers the last entry it verified, not its last one (never 5)", () => {
    const one = follower([1, 1, 1, 1]);
    one.core.step(append(2, [1, 2]));
    expect(one.work()).toMatchObject([{ kind: "appendAccepted", match: 2 }]);
  });

  test("an append that reaches below commit is answered with commit and rewrites nothing (never 6)", () => {
    const one = follower([1, 1, 1], 3);
    one.core.step(append(2, [0, 0], [2, 2]));
    expect(one.work()).toMatchObject([{ kind: "appendAccepted", match: 3 }]);
    expect(termsOf(one)).toEqual([1, 1, 1]);
  });

  test("an acknowledgement leaves only when the entries are durable (never 2)", () => {
    const one = follower([]);
    one.slowDisk = true;
    one.core.step(append(1, [0, 0], [1]));
    expect(one.work()).toEqual([]);
    expect(one.flush()).toMatchObject([{ kind: "appendAccepted", match: 1 }]);
  });

  test("the leader decrements nextIndex and retries until the logs agree, skipping a term per answer", () => {
    const group = cluster(3, plain);
    const entries = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    const behind = [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3];
    const fill = (id: number, terms: number[]): void => {
      const { log } = group.member(id);
      log.write({ snapshot: null, entries: terms.map((each, at) => entry(each, at + 1)), hardState: null });
      log.setHardState({ term: Term(terms.at(-1) ?? 0), vote: NOBODY, commit: LogIndex(0) });
      group.member(id).restart();
    };
    fill(1, entries);
    fill(2, entries);
    fill(3, behind);
    group.elect(1);
    expect(termsOf(group.member(3))).toEqual([...entries, 7]);
    const refusals = group.delivered.filter((each) => each.kind === "appendRejected");
    expect(refusals.length).toBeLessThanOrEqual(2);
  });

  test("a leader never overwrites or deletes entries in its log; it only appends", () => {
    const group = cluster(3, plain).elect(1);
    group.core(1).propose([bytes("x")]);
    group.settle();
    const before = group.member(1).log.all();
    group.core(1).step(append(1, [0, 0], [1, 1]));
    group.settle();
    expect(group.member(1).log.all()).toEqual(before);
    expect(group.member(1).events.at(-1)).toMatchObject({ kind: "messageDropped", from: 2 });
  });

  test("a conflict with a committed entry stops the group, with the numbers", () => {
    const one = follower([1, 1, 1], 3);
    const log = one.core;
    expect(() => log.step(append(2, [1, 3], [2], 4))).not.toThrow();
    const other = new MemoryLog({ conf: conf([1, 2, 3]) });
    other.setHardState({ term: Term(1), vote: NOBODY, commit: LogIndex(4) });
    expect(() => new Member(1, other, plain)).toThrow(InvariantViolation);
    expect(() => new Member(1, other, plain)).toThrow(/commit 4 lies within the log/);
  });
});

describe("§5.4.2 committing entries from previous terms", () => {
  test("an entry of an older term is not committed by counting replicas (figure 8; never 7)", () => {
    const group = cluster(3, plain);
    for (const id of [1, 2]) {
      const { log } = group.member(id);
      log.write({ snapshot: null, entries: [entry(1, 1), entry(2, 2)], hardState: null });
      log.setHardState({ term: Term(2), vote: NOBODY, commit: LogIndex(1) });
      group.member(id).restart();
    }
    // Member 2 holds entry 2 and says so, but the new leader's own entry does not reach anybody.
    group.cut = (each) => each.kind === "append" && each.entries.some((one) => one.term === 3);
    group.elect(1);
    group.core(1).step(message("appendAccepted", { from: 2, to: 1, term: 3 }, { match: LogIndex(2) }));
    group.settle();
    expect(group.core(1).status()).toMatchObject({ commit: 1, lastIndex: 3 });
    group.cut = () => false;
    group.tick(3);
    expect(group.core(1).status().commit).toBe(3);
  });
});

describe("figure 2, volatile state on leaders", () => {
  test("next is the leader's last index + 1 and match is 0 for everybody else, learners too", () => {
    const group = cluster(4, plain, [4]);
    group.core(1).campaign();
    group.cut = (each) => each.kind === "append";
    group.settle();
    const others = group
      .core(1)
      .status()
      .progress.filter((peer) => peer.id !== 1);
    expect(others.map(({ id, match, next, learner }) => ({ id, match, next, learner }))).toEqual([
      { id: 2, match: 0, next: 1, learner: false },
      { id: 3, match: 0, next: 1, learner: false },
      { id: 4, match: 0, next: 1, learner: true },
    ]);
  });

  test("the leader does not count its own entry before it is durable (never 2)", () => {
    const group = cluster(3, plain).elect(1);
    group.member(1).slowDisk = true;
    group.isolate(3);
    group.core(1).propose([bytes("x")]);
    group.settle();
    // Member 2 has it, the leader's own disk has not: one of three.
    expect(group.member(2).log.lastIndex()).toBe(2);
    expect(group.core(1).status().commit).toBe(1);
    group.member(1).flush();
    group.settle();
    expect(group.core(1).status().commit).toBe(2);
  });
});
