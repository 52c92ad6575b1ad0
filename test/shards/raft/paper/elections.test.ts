/** Raft §5.1 and §5.2, and the two request-vote boxes of figure 2: one test per sentence. */
import { describe, expect, test } from "vitest";
import { bytes, cluster, conf, entry, Member, message } from "../support/cluster.ts";
import { LogIndex, NodeId, NOBODY, Term } from "../../../../shards/raft/types.ts";
import { MemoryLog } from "../support/memory-log.ts";

const plain = { preVote: false, checkQuorum: false };
const toOne = { from: 2, to: 1 };

function member(terms: readonly number[] = [], term = terms.at(-1) ?? 0, vote = 0): Member {
  const log = new MemoryLog({ conf: conf([1, 2, 3]) });
  log.write({ snapshot: null, entries: terms.map((each, at) => entry(each, at + 1)), hardState: null });
  log.setHardState({ term: Term(term), vote: NodeId(vote), commit: LogIndex(0) });
  return new Member(1, log, plain);
}

const voteRequest = (term: number, lastIndex: number, lastTerm: number, from = 2) =>
  message(
    "voteRequest",
    { from, to: 1, term },
    { lastIndex: LogIndex(lastIndex), lastTerm: Term(lastTerm), transfer: false, deadLeader: NOBODY },
  );
const append = (
  term: number,
  prev: readonly [number, number],
  entries: readonly ReturnType<typeof entry>[] = [],
) =>
  message(
    "append",
    { ...toOne, term },
    { prevTerm: Term(prev[0]), prevIndex: LogIndex(prev[1]), entries, commit: LogIndex(0) },
  );

describe("§5.1 terms", () => {
  test.each(["follower", "candidate", "leader"] as const)(
    "if one server's current term is smaller than the other's, then it updates to the larger value (%s)",
    (role) => {
      const group = cluster(3, plain);
      if (role === "candidate") group.core(1).campaign();
      if (role === "leader") group.elect(1);
      expect(group.core(1).status().role).toBe(role);
      group.core(1).step(append(7, [0, 0]));
      expect(group.core(1).status()).toMatchObject({ term: 7, role: "follower", leader: 2, vote: 0 });
    },
  );

  test("a server that receives a request with a stale term rejects the request", () => {
    const one = member([], 5);
    one.core.step(voteRequest(4, 10, 4));
    one.core.step(append(4, [0, 0], [entry(4, 1)]));
    expect(one.work()).toEqual([]);
    expect(one.core.status()).toMatchObject({ term: 5, vote: 0, lastIndex: 0 });
    expect(one.events.filter((event) => event.kind === "messageDropped")).toHaveLength(2);
  });

  test("under check-quorum an append of a stale term is answered with the newer one, to free who sent it", () => {
    const group = cluster(3);
    group.core(1).step(append(5, [0, 0]));
    group.member(1).work();
    group.core(1).step(append(4, [0, 0]));
    expect(group.member(1).work()).toMatchObject([{ kind: "appendAccepted", to: 2, term: 5, match: 0 }]);
  });
});

describe("§5.2 leader election", () => {
  test("when servers start up, they begin as followers", () => {
    expect(member([1, 2], 4).core.status()).toMatchObject({ role: "follower", term: 4, leader: 0 });
  });

  test("a follower that receives no communication over the election timeout begins an election", () => {
    const one = member([], 3);
    for (let tick = 0; tick < 9; tick++) one.core.tick();
    expect(one.core.status().role).toBe("follower");
    one.core.tick();
    expect(one.core.status()).toMatchObject({ role: "candidate", term: 4, vote: 1 });
  });

  test("to begin an election it increments its term, votes for itself and asks each of the others", () => {
    const one = member([1], 2);
    one.core.campaign();
    const requests = one.work();
    expect(requests).toMatchObject([
      { kind: "voteRequest", to: 2, term: 3, lastIndex: 1, lastTerm: 1 },
      { kind: "voteRequest", to: 3, term: 3, lastIndex: 1, lastTerm: 1 },
    ]);
    expect(one.log.hardState()).toMatchObject({ term: 3, vote: 1 });
  });

  test("a leader sends heartbeats to all followers, as often as it was told", () => {
    const group = cluster(3, plain).elect(1);
    group.core(1).tick();
    expect(
      group
        .member(1)
        .work()
        .map((each) => [each.kind, each.to]),
    ).toEqual([
      ["heartbeat", 2],
      ["heartbeat", 3],
    ]);
  });

  test.each([
    [1, 0, true],
    [3, 0, false],
    [3, 1, true],
    [5, 1, false],
    [5, 2, true],
  ])(
    "a candidate wins with votes from a majority of the full cluster (of %d, %d others: %s)",
    (size, others, won) => {
      const group = cluster(size, plain);
      group.core(1).campaign();
      group.member(1).work();
      for (let id = 2; id < 2 + others; id++)
        group.core(1).step(message("voteResponse", { from: id, to: 1, term: 1 }, { granted: true }));
      group.member(1).work();
      expect(group.core(1).isLeader).toBe(won);
    },
  );

  test("each server votes for at most one candidate in a given term, first come first served", () => {
    const one = member();
    one.core.step(voteRequest(1, 0, 0, 2));
    one.core.step(voteRequest(1, 0, 0, 3));
    expect(one.work()).toMatchObject([
      { to: 2, granted: true },
      { to: 3, granted: false },
    ]);
    one.core.step(voteRequest(1, 0, 0, 2));
    expect(one.work()).toMatchObject([{ to: 2, granted: true }]);
  });

  test("the vote survives a restart: it is on disk before the answer leaves (figure 2, persistent state)", () => {
    const one = member();
    one.slowDisk = true;
    one.core.step(voteRequest(1, 0, 0, 2));
    expect(one.work()).toEqual([]);
    expect(one.flush()).toMatchObject([{ to: 2, granted: true }]);
    one.restart();
    one.slowDisk = false;
    one.core.step(voteRequest(1, 0, 0, 3));
    expect(one.work()).toMatchObject([{ to: 3, granted: false }]);
  });

  test("becoming follower in the same term keeps the vote (never 1)", () => {
    const one = member();
    one.core.campaign();
    one.work();
    one.core.step(append(1, [0, 0]));
    one.core.step(voteRequest(1, 0, 0, 3));
    expect(one.core.status()).toMatchObject({ role: "follower", term: 1, vote: 1 });
    expect(one.work().filter((each) => each.kind === "voteResponse")).toMatchObject([{ granted: false }]);
  });

  test("a candidate that hears from a leader of a term at least as large returns to follower", () => {
    const one = member();
    one.core.campaign();
    one.core.step(append(1, [0, 0]));
    expect(one.core.status()).toMatchObject({ role: "follower", leader: 2, term: 1 });
  });

  test("a candidate that hears from a leader of a smaller term stays candidate", () => {
    const one = member([], 4);
    one.core.campaign();
    one.core.step(append(4, [0, 0]));
    expect(one.core.status()).toMatchObject({ role: "candidate", term: 5 });
  });

  test("when the vote is split, each candidate times out and begins a new election", () => {
    const group = cluster(2, plain);
    group.cut = () => true;
    group.core(1).campaign();
    group.core(2).campaign();
    group.settle();
    group.tick(10);
    expect(group.core(1).status()).toMatchObject({ role: "candidate", term: 2 });
  });

  test("election timeouts are chosen at random from a fixed interval, one to two timeouts", () => {
    const drawn = new Set<number>();
    for (let roll = 0; roll < 10; roll++) {
      const log = new MemoryLog({ conf: conf([1, 2, 3]) });
      drawn.add(new Member(1, log, plain, (bound) => roll % bound).core.status().electionTimeout);
    }
    expect([...drawn]).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  test("a refused request of a higher term does not postpone the own election (never 16)", () => {
    const one = member([2], 2);
    for (let tick = 0; tick < 9; tick++) {
      one.core.tick();
      one.core.step(voteRequest(3 + tick, 1, 1));
    }
    expect(one.core.status().electionElapsed).toBe(9);
    one.core.tick();
    expect(one.core.status().role).toBe("candidate");
  });
});

describe("§5.4.1 election restriction", () => {
  test.each([
    [[1, 1], 1, 2, true],
    [[1, 1], 1, 3, true],
    [[1, 1], 1, 1, false],
    [[1, 1], 2, 1, true],
    [[1, 2], 1, 9, false],
    [[1, 2], 2, 1, false],
  ])(
    "the voter denies its vote if its own log (terms %j) is more up to date than term %d, index %d",
    (own, term, index, granted) => {
      const one = member(own, 2);
      one.core.step(voteRequest(5, index, term));
      expect(one.work()).toMatchObject([{ kind: "voteResponse", granted }]);
    },
  );
});

describe("§9.6 of the dissertation: pre-vote", () => {
  test("a pre-vote changes neither term nor vote, on either side", () => {
    const group = cluster(3);
    group.core(2).campaign();
    for (const request of group.member(2).work()) group.core(request.to).step(request);
    for (const id of [1, 2, 3]) expect(group.core(id).status()).toMatchObject({ term: 0, vote: 0 });
    expect(group.core(2).status().role).toBe("preCandidate");
  });

  test("a member that was cut off does not unseat a working leader when it comes back", () => {
    const group = cluster(3).elect(1);
    group.isolate(3);
    group.tick(60);
    expect(group.core(3).status()).toMatchObject({ role: "preCandidate", term: 1 });
    group.cut = () => false;
    group.tick(2);
    expect(group.leaders()).toEqual([1]);
    expect(group.core(1).status().term).toBe(1);
  });

  test("a leader that cannot reach a quorum steps down, and says why", () => {
    const group = cluster(3).elect(1);
    group.isolate(1);
    for (let tick = 0; tick < 20; tick++) group.core(1).tick();
    group.settle();
    expect(group.core(1).status()).toMatchObject({ role: "follower", leader: 0 });
    expect(group.member(1).events.some((event) => event.kind === "steppedDown")).toBe(true);
    expect(group.core(1).propose([bytes("x")])).toMatchObject({ kind: "dropped" });
  });
});
