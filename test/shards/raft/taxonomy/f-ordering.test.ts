/** F: order of inputs. (Shutdown before ticks before messages is the group loop's; here is what the core owes to it.) */
import { expect, test } from "vitest";
import { bytes, cluster, Member, conf, message } from "../support/cluster.ts";
import { LogIndex, NOBODY, Term } from "../../../../shards/raft/types.ts";
import { MemoryLog } from "../support/memory-log.ts";

test("a flood of messages that are not the leader's does not postpone an election (never 16)", () => {
  const group = cluster(3, { preVote: false, checkQuorum: false });
  const flood = [
    message("appendAccepted", { from: 2, to: 1, term: 1 }, { match: LogIndex(0) }),
    message("heartbeatResponse", { from: 3, to: 1, term: 1 }, { readToken: "" }),
    message(
      "voteRequest",
      { from: 2, to: 1, term: 1 },
      { lastIndex: LogIndex(0), lastTerm: Term(0), transfer: false, deadLeader: NOBODY },
    ),
  ];
  group.core(1).step(flood[2] as (typeof flood)[0]);
  for (let tick = 0; tick < 10; tick++) {
    for (let at = 0; at < 100; at++) for (const each of flood.slice(0, 2)) group.core(1).step(each);
    group.core(1).tick();
  }
  expect(group.core(1).status()).toMatchObject({ role: "candidate", term: 2 });
});

test("messages drained before a tick count before it: one tick after a stall starts no election", () => {
  const group = cluster(3).elect(1);
  for (let tick = 0; tick < 12; tick++) group.core(2).tick();
  expect(group.core(2).status().role).toBe("follower");
  group
    .core(2)
    .step(message("heartbeat", { from: 1, to: 2, term: 1 }, { commit: LogIndex(1), readToken: "" }));
  group.core(2).tick();
  expect(group.core(2).status()).toMatchObject({ role: "follower", electionElapsed: 1 });
});

test("the same inputs give the same outputs, byte for byte", () => {
  const run = (): string => {
    let seed = 7;
    const dice = (bound: number): number => (seed = (seed * 48271) % 2147483647) % bound;
    const log = () => new MemoryLog({ conf: conf([1, 2, 3]) });
    const members = [1, 2, 3].map((id) => new Member(id, log(), {}, dice));
    const trace: unknown[] = [];
    for (let round = 0; round < 200; round++) {
      for (const member of members) member.core.tick();
      if (round % 7 === 0) for (const member of members) member.core.propose([bytes(`${round}`)]);
      const messages = members.flatMap((member) => member.work());
      trace.push(
        messages,
        members.map((member) => member.core.status()),
      );
      for (const each of messages) members[each.to - 1]?.core.step(each);
    }
    return JSON.stringify(trace);
  };
  const first = run();
  expect(first.length).toBeGreaterThan(10_000);
  expect(run()).toBe(first);
});

test("peers are visited in sorted order", () => {
  const group = cluster(5).elect(3);
  group.core(3).propose([bytes("x")]);
  expect(
    group
      .core(3)
      .ready()
      .send.map((each) => each.to),
  ).toEqual([1, 2, 4, 5]);
});

test("writes are reported in order; one that a new term has overtaken vouches for nothing (the ABA race)", () => {
  const one = new Member(1, new MemoryLog({ conf: conf([1, 2, 3]) }), { preVote: false, checkQuorum: false });
  one.slowDisk = true;
  const append = (from: number, term: number, data: string) =>
    message(
      "append",
      { from, to: 1, term },
      {
        prevIndex: LogIndex(0),
        prevTerm: Term(0),
        entries: [{ term: Term(term), index: LogIndex(1), kind: "normal", data: bytes(data) }],
        commit: LogIndex(0),
      },
    );
  one.core.step(append(2, 1, "old"));
  one.work();
  one.core.step(append(3, 2, "new"));
  one.work();
  expect(one.flush(1)).toMatchObject([{ kind: "appendAccepted", to: 2, term: 1 }]);
  one.core.step(message("heartbeat", { from: 3, to: 1, term: 2 }, { commit: LogIndex(1), readToken: "" }));
  one.work();
  expect(one.applied).toEqual([]);
  one.flush();
  one.work();
  one.flush();
  expect(one.commands()).toEqual(["new"]);
});
