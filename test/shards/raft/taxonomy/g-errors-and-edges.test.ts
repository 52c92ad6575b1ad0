/** G: errors and edge cases. */
import { describe, expect, test } from "vitest";
import {
  bytes,
  Cluster,
  cluster,
  conf,
  entry,
  Member,
  message,
  type TestOptions,
} from "../support/cluster.ts";
import { confChange } from "../../../../shards/raft/conf-change.ts";
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

describe("concurrent events", () => {
  const inputs: Readonly<Record<string, (one: Member) => void>> = {
    proposal: ({ core }) => core.propose([bytes("x")]),
    change: ({ core }) => core.proposeConfChange(confChange([{ kind: "addLearner", node: NodeId(4) }])),
    transfer: ({ core }) => core.transferLeader(NodeId(2)),
    read: ({ core }) => core.readIndex("r"),
    tick: ({ core }) => {
      core.tick();
    },
    "later leader": ({ core }) =>
      core.step(message("heartbeat", { from: 3, to: 1, term: 5 }, { commit: LogIndex(0), readToken: "" })),
  };

  test.each(orders(Object.keys(inputs)).map((order) => [order.join(", "), order] as const))(
    "%s",
    (_, order) => {
      const group = cluster(3).elect(1);
      const one = group.member(1);
      for (const name of order) inputs[name]?.(one);
      one.work();
      // Whatever came first: the later term rules, nothing is committed that only this member has, no read is answered.
      expect(one.core.status()).toMatchObject({ role: "follower", term: 5, leader: 3, commit: 1 });
      expect(one.reads).toEqual([]);
      expect(one.commands()).toEqual([]);
    },
  );

  /** Each input once in each place: enough to have every pair in both orders. */
  function orders(names: readonly string[]): string[][] {
    return names.flatMap((_, shift) => {
      const turned = [...names.slice(shift), ...names.slice(0, shift)];
      return [turned, [...turned].reverse()];
    });
  }
});

test("members may have different timing: a fast one among slow ones neither rules nor disturbs for ever", () => {
  const founding = { conf: conf([1, 2, 3]) };
  const slow = { electionTicks: 100 };
  const group = new Cluster([
    new Member(1, new MemoryLog(founding)),
    new Member(2, new MemoryLog(founding), slow),
    new Member(3, new MemoryLog(founding), slow),
  ]);
  group.tick(25);
  expect(group.leaders()).toEqual([1]);
  const { term } = group.core(1).status();
  group.isolate(1);
  group.tick(230);
  const [survivor] = group.leaders().filter((id) => id !== 1);
  expect(survivor).toBeDefined();
  expect(group.core(survivor ?? 0).status().term).toBeGreaterThan(term);
  group.core(survivor ?? 0).propose([bytes("by two of three")]);
  group.settle();
  group.cut = () => false;
  const later = group.core(survivor ?? 0).status().term;
  group.tick(60);
  expect(group.leaders()).toEqual([survivor]);
  expect(group.core(1).status()).toMatchObject({ leader: survivor, term: later });
  expect(group.member(1).commands()).toEqual(["by two of three"]);
});
