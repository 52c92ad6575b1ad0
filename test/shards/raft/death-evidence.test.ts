/** adr/0004: evidence brings a pre-vote forward, and nothing else. */
import { describe, expect, test } from "vitest";
import { cluster, type Cluster, conf, Member, message, type TestOptions } from "./support/cluster.ts";
import { InvariantViolation } from "../../../shards/raft/invariant.ts";
import { LogIndex, NodeId, Term } from "../../../shards/raft/types.ts";
import { MemoryLog } from "./support/memory-log.ts";

const options: TestOptions = { deathEvidence: true, electionTicks: 20 };
const one = NodeId(1);

function presumeDead(group: Cluster, id: number): void {
  group.core(id).reportConnectionLost(one);
  group.core(id).reportConnectionRefused(one);
}

/** The leader is gone: nothing reaches it and nothing comes from it. */
function deadLeader(size = 3): Cluster {
  const group = cluster(size, options).elect(1);
  group.isolate(1);
  return group;
}

function tickOthers(group: Cluster, times: number): void {
  for (let tick = 0; tick < times; tick++) {
    for (const member of group.members.values()) if (member.id !== 1) member.core.tick();
    group.settle();
  }
}

test("with evidence on both sides a successor leads within a fifth of the election timeout", () => {
  const group = deadLeader();
  presumeDead(group, 2);
  presumeDead(group, 3);
  tickOthers(group, 5);
  expect(group.leaders()).toHaveLength(2);
  expect(group.leaders()).toContain(1);
  const successor = group.core(group.leaders().find((id) => id !== 1) ?? 0).status();
  expect(successor).toMatchObject({ term: 2, commit: 2 });
});

test.each([
  ["a broken connection alone", (group: Cluster) => group.core(2).reportConnectionLost(one)],
  ["a refusal alone", (group: Cluster) => group.core(2).reportConnectionRefused(one)],
  [
    "evidence against somebody who does not lead",
    (group: Cluster) => {
      group.core(2).reportConnectionLost(NodeId(3));
      group.core(2).reportConnectionRefused(NodeId(3));
    },
  ],
])("%s starts nothing", (_, report) => {
  const group = deadLeader();
  report(group);
  tickOthers(group, 8);
  expect(group.core(2).status().role).toBe("follower");
});

test("who has no evidence of its own ignores the request; the term does not move", () => {
  const group = deadLeader();
  presumeDead(group, 2);
  tickOthers(group, 12);
  expect(group.core(2).status()).toMatchObject({ role: "preCandidate", term: 1 });
  expect(group.core(3).status()).toMatchObject({ role: "follower", leader: 1, term: 1 });
  expect(group.member(3).events.some((event) => event.kind === "voteRefused")).toBe(true);
});

test("after three attempts only the ordinary timeout counts", () => {
  const group = deadLeader();
  presumeDead(group, 2);
  for (let tick = 0; tick < 19; tick++) group.core(2).tick();
  const asked = group
    .member(2)
    .work()
    .filter((each) => each.kind === "preVoteRequest" && each.to === 3);
  expect(asked).toHaveLength(3);
});

test.each([
  ["a connection", (group: Cluster) => group.core(2).reportConnected(one)],
  [
    "a sign of life",
    (group: Cluster) =>
      group
        .core(2)
        .step(message("heartbeat", { from: 1, to: 2, term: 1 }, { commit: LogIndex(1), readToken: "" })),
  ],
])("%s wipes the evidence out before it was used", (_, live) => {
  const group = deadLeader();
  presumeDead(group, 2);
  live(group);
  for (let tick = 0; tick < 10; tick++) group.core(2).tick();
  expect(group.core(2).status()).toMatchObject({ role: "follower", leader: 1 });
});

test("a leader that is alive and cut off from a minority stays, undisturbed", () => {
  const group = cluster(5, options).elect(1);
  presumeDead(group, 2);
  group.cut = (each) => (each.from === 1 && each.to === 2) || (each.from === 2 && each.to === 1);
  group.tick(60);
  expect(group.leaders()).toEqual([1]);
  expect(group.core(1).status().term).toBe(1);
});

test("even if all of it is a lie there is one leader per term", () => {
  const group = cluster(5, options).elect(1);
  for (const id of [2, 3, 4, 5]) presumeDead(group, id);
  const leaderOf = new Map<number, number>();
  for (let tick = 0; tick < 120; tick++) {
    group.tick();
    for (const id of group.leaders()) {
      const { term } = group.core(id).status();
      expect(leaderOf.get(term) ?? id).toBe(id);
      leaderOf.set(term, id);
    }
  }
  expect(group.leaders()).toHaveLength(1);
});

test("evidence does not make a member vote twice in a term, or for a shorter log", () => {
  const group = deadLeader();
  presumeDead(group, 3);
  const ask = (kind: "voteRequest" | "preVoteRequest", from: number, term: number, lastIndex: number) => {
    group
      .core(3)
      .step(
        message(
          kind,
          { from, to: 3, term },
          { lastIndex: LogIndex(lastIndex), lastTerm: Term(1), transfer: false, deadLeader: one },
        ),
      );
    return group.member(3).work();
  };
  expect(ask("preVoteRequest", 2, 2, 0)).toMatchObject([{ granted: false }]);
  expect(ask("voteRequest", 2, 2, 1)).toMatchObject([{ granted: true }]);
  expect(ask("voteRequest", 1, 2, 9)).toMatchObject([{ granted: false }]);
});

describe("what it needs", () => {
  const start = (wrong: TestOptions): Member => new Member(1, new MemoryLog({ conf: conf([1]) }), wrong);
  test("it is refused together with lease reads", () => {
    expect(() => start({ deathEvidence: true, readMode: "lease" })).toThrow(InvariantViolation);
    expect(() => start({ deathEvidence: true, readMode: "lease" })).toThrow(/lease reads assume/);
  });
  test("it is refused without pre-vote", () => {
    expect(() => start({ deathEvidence: true, preVote: false })).toThrow(/needs preVote/);
  });
  test("switched off, reports change nothing", () => {
    const group = cluster(3).elect(1);
    group.isolate(1);
    presumeDead(group, 2);
    presumeDead(group, 3);
    tickOthers(group, 8);
    expect(group.core(2).status().role).toBe("follower");
  });
});
