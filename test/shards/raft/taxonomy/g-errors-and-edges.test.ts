/** G: errors and edge cases. */
import { describe, expect, test } from "vitest";
import { bytes, cluster, conf, entry, Member, message, type TestOptions } from "../support/cluster.ts";
import { InvariantViolation } from "../../../../shards/raft/invariant.ts";
import { LogIndex, NodeId, NOBODY, Term } from "../../../../shards/raft/types.ts";
import { MemoryLog } from "../support/memory-log.ts";

describe("a group of one", () => {
  test("a member list of only itself leads without anyone else, writes and reads at once", () => {
    const group = cluster(1);
    group.tick(10);
    group.core(1).propose([bytes("x")]);
    group.core(1).readIndex("r");
    group.settle();
    expect(group.member(1).commands()).toEqual(["x"]);
    expect(group.member(1).reads).toHaveLength(1);
    expect(group.core(1).status()).toMatchObject({ leader: 1, term: 1 });
  });

  test("it restarts from any point and goes on", () => {
    const group = cluster(1).elect(1);
    for (let round = 0; round < 5; round++) {
      group.core(1).propose([bytes(`${round}`)]);
      group.settle();
      group.member(1).restart();
      group.elect(1);
    }
    expect(group.member(1).commands()).toEqual(["0", "1", "2", "3", "4"]);
    expect(group.core(1).status().term).toBe(6);
  });
});

describe("what no correct peer sends is an event, changes nothing and never throws", () => {
  const append = (term: number, prevIndex: number, entries: readonly ReturnType<typeof entry>[]) =>
    message(
      "append",
      { from: 2, to: 1, term },
      { prevIndex: LogIndex(prevIndex), prevTerm: Term(0), entries, commit: LogIndex(0) },
    );
  test.each([
    ["entries with a gap", append(3, 0, [entry(1, 1), entry(1, 3)])],
    ["entries that do not follow", append(3, 0, [entry(1, 2)])],
    ["terms that go back", append(3, 0, [entry(2, 1), entry(1, 2)])],
    ["an entry of a later term", append(3, 0, [entry(4, 1)])],
    [
      "a heartbeat that commits what was never here",
      message("heartbeat", { from: 2, to: 1, term: 3 }, { commit: LogIndex(8), readToken: "" }),
    ],
    ["an answer of a stranger", message("voteResponse", { from: 9, to: 1, term: 3 }, { granted: true })],
    ["a message for another", message("timeoutNow", { from: 2, to: 3, term: 3 }, {})],
    ["a message from nobody", message("timeoutNow", { from: 0, to: 1, term: 3 }, {})],
    ["a message without a term", message("timeoutNow", { from: 2, to: 1, term: 0 }, {})],
  ])("%s", (_, wrong) => {
    const group = cluster(3);
    const before = group.core(1).status();
    expect(group.core(1).step(wrong)).toEqual(expect.any(String));
    expect(group.core(1).status()).toEqual(before);
    expect(group.core(1).ready().events).toMatchObject([{ kind: "messageDropped" }]);
  });

  test("an acknowledgement of what was never sent", () => {
    const group = cluster(3).elect(1);
    const why = group
      .core(1)
      .step(message("appendAccepted", { from: 2, to: 1, term: 1 }, { match: LogIndex(99) }));
    expect(why).toBe("entry 99 was never sent, the log ends at 1");
    expect(group.core(1).status().commit).toBe(1);
  });

  test("an order to stand from somebody who does not lead", () => {
    const group = cluster(3).elect(1);
    expect(group.core(3).step(message("timeoutNow", { from: 2, to: 3, term: 1 }, {}))).toBe("1 leads, not 2");
    expect(group.core(3).status().role).toBe("follower");
  });
});

describe("impossible states stop the group, with the numbers", () => {
  test("a storage fault is thrown, never taken for an empty log or term 0 (never 3)", () => {
    class Failing extends MemoryLog {
      override term(index: LogIndex): Term | "compacted" | "unavailable" {
        if (index > 0) throw new Error(`cannot read entry ${index}`);
        return super.term(index);
      }
    }
    const log = new Failing({ conf: conf([1, 2, 3]) });
    log.write({ snapshot: null, entries: [entry(1, 1)], hardState: null });
    const one = new Member(1, log);
    const ask = () =>
      one.core.step(
        message(
          "preVoteRequest",
          { from: 2, to: 1, term: 1 },
          { lastIndex: LogIndex(0), lastTerm: Term(0), transfer: false, deadLeader: NOBODY },
        ),
      );
    expect(ask).toThrow("cannot read entry 1");
  });

  test.each([
    [{ electionTicks: 1 }, /electionTicks \(1\) is above heartbeatTicks \(1\)/],
    [{ heartbeatTicks: 0 }, /heartbeatTicks is a whole number from 1, not 0/],
    [{ maxApplyBytes: 0 }, /maxApplyBytes is above 0, not 0/],
    [{ maxInflightBytes: 10 }, /maxInflightBytes \(10\) holds one message/],
    [{ readMode: "lease", checkQuorum: false }, /lease reads rest on checkQuorum/],
  ] as [TestOptions, RegExp][])("settings that cannot work: %j", (options, why) => {
    const start = (): Member => new Member(1, new MemoryLog({ conf: conf([1]) }), options);
    expect(start).toThrow(InvariantViolation);
    expect(start).toThrow(why);
  });

  test("applied beyond what was handed out", () => {
    const group = cluster(3).elect(1);
    expect(() => group.core(1).applied(LogIndex(9))).toThrow(
      /applied 9 was handed out before; that went up to 1/,
    );
  });
});

describe("errors a user can act on", () => {
  test("no leader; not leader, with who is; a transfer is under way", () => {
    const group = cluster(3);
    expect(group.core(2).propose([bytes("x")])).toEqual({
      kind: "dropped",
      why: "no leader is known in term 0",
    });
    group.elect(1);
    expect(group.core(2).propose([bytes("x")])).toEqual({ kind: "dropped", why: "member 1 leads" });
    group.isolate(3);
    group.core(1).transferLeader(NodeId(3));
    expect(group.core(1).propose([bytes("x")])).toEqual({
      kind: "dropped",
      why: "leadership is moving to 3",
    });
    expect(group.core(1).transferLeader(NodeId(9))).toBe("9 is no member");
  });

  test("a transfer is abandoned after one election timeout", () => {
    const group = cluster(3).elect(1);
    group.cut = (each) => each.kind === "timeoutNow";
    group.core(1).transferLeader(NodeId(3));
    group.tick(10);
    expect(group.member(1).events).toContainEqual({ kind: "transferAbandoned", target: 3 });
    expect(group.core(1).propose([bytes("x")]).kind).toBe("accepted");
  });

  test("forwarding, switched on, hands a proposal to the leader once", () => {
    const group = cluster(3, { forwardProposals: true }).elect(1);
    expect(group.core(2).propose([bytes("x")])).toEqual({ kind: "forwarded", to: 1 });
    group.settle();
    expect(group.member(3).commands()).toEqual(["x"]);
  });
});
