/** Raft §6 (and §4 of the dissertation): one test per sentence. */
import { describe, expect, test } from "vitest";
import { bytes, Cluster, cluster, conf, Member, message } from "../support/cluster.ts";
import {
  confChange,
  encodeConfChange,
  LEAVE_JOINT,
  type ConfChangeStep,
} from "../../../../shards/raft/conf-change.ts";
import type { Message } from "../../../../shards/raft/message.ts";
import { LogIndex, NodeId, NOBODY, Term } from "../../../../shards/raft/types.ts";
import { MemoryLog } from "../support/memory-log.ts";

const add = (node: number): ConfChangeStep => ({ kind: "addVoter", node: NodeId(node) });
const learn = (node: number): ConfChangeStep => ({ kind: "addLearner", node: NodeId(node) });
const remove = (node: number): ConfChangeStep => ({ kind: "remove", node: NodeId(node) });

/** `voters` of a founding configuration, and more nodes that may join. */
function group(voters: number[], joiners: number[] = [], learners: number[] = []): Cluster {
  return new Cluster(
    [...voters, ...learners, ...joiners]
      .sort((a, b) => a - b)
      .map((id) => new Member(id, new MemoryLog({ conf: conf(voters, learners) }))),
  );
}

describe("§6 cluster membership changes", () => {
  test("a change of several voters first goes through joint consensus, and then leaves it by itself", () => {
    const all = group([1, 2, 3], [4, 5]).elect(1);
    const seen: string[] = [];
    expect(all.core(1).proposeConfChange(confChange([add(4), add(5), remove(2), remove(3)])).kind).toBe(
      "accepted",
    );
    all.settle();
    for (const event of all.member(1).events)
      if (event.kind === "configurationApplied")
        seen.push(`${event.conf.voters}|${event.conf.votersOutgoing}`);
    expect(seen).toEqual(["1,4,5|1,2,3", "1,4,5|"]);
    expect(all.member(5).conf).toEqual(conf([1, 4, 5]));
  });

  test.each([
    ["the old half alone", [4, 5]],
    ["the new half alone", [2, 3]],
  ])("agreement needs separate majorities from both the old and new configurations: not %s", (_, cut) => {
    const all = group([1, 2, 3], [4, 5]).elect(1);
    all
      .core(1)
      .proposeConfChange(confChange([add(4), add(5), remove(2), remove(3)], { transition: "explicit" }));
    all.settle();
    expect(all.member(1).conf.votersOutgoing).toEqual([1, 2, 3]);
    all.isolate(...cut);
    const before = all.core(1).status().commit;
    all.core(1).propose([bytes("x")]);
    all.tick(3);
    expect(all.core(1).status().commit).toBe(before);
    all.cut = () => false;
    all.tick(3);
    expect(all.core(1).status().commit).toBe(before + 1);
  });

  test("an election in a joint configuration needs both majorities", () => {
    const all = group([1, 2, 3], [4, 5]).elect(1);
    all
      .core(1)
      .proposeConfChange(confChange([add(4), add(5), remove(2), remove(3)], { transition: "explicit" }));
    all.settle();
    all.isolate(1, 2, 3);
    all.tick(25);
    all.core(2).campaign();
    all.settle();
    expect(all.leaders()).toEqual([]);
    all.cut = () => false;
    all.elect(2);
  });

  test("servers catch up as non-voting members before they count for majorities", () => {
    const all = group([1], [2], []).elect(1);
    all.core(1).proposeConfChange(confChange([learn(2)]));
    all.settle();
    all.isolate(2);
    all.core(1).propose([bytes("alone")]);
    all.settle();
    expect(all.member(1).commands()).toEqual(["alone"]);
    all.core(2).campaign();
    expect(all.core(2).status().role).toBe("follower");
    all.cut = () => false;
    all.tick(2);
    expect(all.member(2).commands()).toEqual(["alone"]);
  });

  test("a learner answers a vote request: its view of who votes may be old", () => {
    const all = cluster(3, { preVote: false, checkQuorum: false }, [3]);
    all
      .core(3)
      .step(
        message(
          "voteRequest",
          { from: 2, to: 3, term: 1 },
          { lastIndex: LogIndex(0), lastTerm: Term(0), transfer: false, deadLeader: NOBODY },
        ),
      );
    expect(all.member(3).work()).toMatchObject([{ kind: "voteResponse", granted: true }]);
  });

  test("a leader that is not part of the new configuration steps down once it has committed it", () => {
    const all = group([1, 2, 3]).elect(1);
    all.core(1).proposeConfChange(confChange([remove(1)]));
    all.settle();
    expect(all.core(1).status()).toMatchObject({ role: "follower", isVoter: false });
    expect(all.member(1).events).toContainEqual({
      kind: "steppedDown",
      term: 1,
      why: "a membership change removed it",
    });
    all.tick(25);
    expect(all.leaders()).toHaveLength(1);
    expect(all.leaders()).not.toContain(1);
  });

  describe("while a member is lost for good, a leader that is removed (adr/0008)", () => {
    /** Node 4 is dead; the leader commits its own removal, but nobody hears that, and something comes on top. */
    function removedUnheard(all: Cluster, leader: number): void {
      const unheard = (each: Message): boolean => each.from === leader && each.kind === "append";
      all.core(leader).proposeConfChange(confChange([remove(leader)]));
      const { lastIndex } = all.core(leader).status();
      all.cut = (each) =>
        [each.from, each.to].includes(NodeId(4)) ||
        (unheard(each) &&
          each.kind === "append" &&
          (each.commit >= lastIndex || each.prevIndex >= lastIndex));
      all.core(leader).propose([bytes("on top")]);
      all.settle();
      all.isolate(4);
    }

    test("may leave the others without anybody they could elect", () => {
      const all = group([1, 2, 3, 4]).elect(1);
      all.isolate(4);
      removedUnheard(all, 1);
      expect(all.core(1).status()).toMatchObject({ role: "follower", conf: conf([2, 3, 4]) });
      for (const id of [2, 3]) {
        all.core(id).campaign();
        all.tick(30);
      }
      expect(all.core(2).status().conf).toEqual(conf([1, 2, 3, 4]));
      expect(all.leaders()).toEqual([]);
    });

    test("blocks nobody when it has handed its office over first", () => {
      const all = group([1, 2, 3, 4]).elect(1);
      all.isolate(4);
      expect(all.core(1).transferLeader(NodeId(2))).toBeNull();
      all.settle();
      expect(all.leaders()).toEqual([2]);
      all.core(2).proposeConfChange(confChange([remove(1)]));
      all.tick(2);
      all.core(2).propose([bytes("after")]);
      all.settle();
      expect(all.core(3).status().conf).toEqual(conf([2, 3, 4]));
      expect(all.member(3).commands()).toEqual(["after"]);
    });
  });

  test("a removed server cannot disrupt the cluster: requests are ignored while a leader is alive", () => {
    const all = group([1, 2, 3]).elect(1);
    all.isolate(3);
    all.core(1).proposeConfChange(confChange([remove(3)]));
    all.settle();
    all.cut = (each) => each.to === 3;
    all.tick(60);
    expect(all.leaders()).toEqual([1]);
    expect(all.core(1).status().term).toBe(1);
    expect(all.core(2).status().term).toBe(1);
  });

  test("one change at a time: a second one is refused while the first is unapplied (never 11)", () => {
    const all = group([1, 2, 3], [4, 5]).elect(1);
    expect(all.core(1).proposeConfChange(confChange([add(4)])).kind).toBe("accepted");
    expect(all.core(1).proposeConfChange(confChange([add(5)]))).toMatchObject({
      kind: "refused",
      why: "a change may be waiting at index 2, applied is 1",
    });
    all.settle();
    expect(all.core(1).proposeConfChange(confChange([add(5)])).kind).toBe("accepted");
  });

  test("nobody campaigns with a committed but unapplied change (never 11)", () => {
    const all = group([1, 2, 3], [4]).elect(1);
    all.core(1).proposeConfChange(confChange([add(4)]));
    all.member(1).work();
    const member = all.member(2);
    member.core.step(
      message(
        "append",
        { from: 1, to: 2, term: 1 },
        {
          prevIndex: LogIndex(1),
          prevTerm: Term(1),
          entries: all.member(1).log.all().slice(1),
          commit: LogIndex(2),
        },
      ),
    );
    member.core.campaign();
    expect(member.core.status().role).toBe("follower");
    member.work();
    expect(member.events).toContainEqual({
      kind: "campaignRefused",
      why: "the membership change at 2 is committed but not applied",
    });
  });

  test("two voters never change in one simple step (never 10)", () => {
    const all = group([1, 2, 3]).elect(1);
    const outcome = all.core(1).proposeConfChange(confChange([remove(1)]));
    expect(outcome.kind).toBe("accepted");
    const lone = group([1]).elect(1);
    expect(lone.core(1).proposeConfChange(confChange([remove(1)]))).toEqual({
      kind: "refused",
      why: "removed all voters",
    });
    expect(lone.core(1).proposeConfChange(LEAVE_JOINT)).toMatchObject({ kind: "refused" });
  });

  test("a new leader finishes what the old one began: the joint phase is left after a leader change (never 14)", () => {
    const all = group([1, 2, 3], [4, 5]).elect(1);
    all.core(1).proposeConfChange(confChange([add(4), add(5)]));
    // The old leader gets the joint phase committed everywhere, but its leaving reaches nobody.
    all.cut = (each) => each.kind === "append" && each.entries.some((one) => one.index === 3);
    all.settle();
    expect(all.member(2).conf).toMatchObject({ votersOutgoing: [1, 2, 3], autoLeave: true });
    all.isolate(1);
    all.tick(12);
    all.tick(12);
    expect(all.leaders().filter((id) => id !== 1)).toHaveLength(1);
    expect(all.member(2).conf).toEqual(conf([1, 2, 3, 4, 5]));
  });

  test("each configuration is announced at the index of its own entry, also when many are applied together", () => {
    const all = group([1, 2, 3], [4]).elect(1);
    const member = all.member(3);
    member.slowDisk = true;
    all.core(1).proposeConfChange(confChange([learn(4)]));
    all.settle();
    all.core(1).propose([bytes("a")]);
    all.settle();
    member.slowDisk = false;
    member.flush();
    all.tick();
    expect(member.events.filter((event) => event.kind === "configurationApplied")).toEqual([
      { kind: "configurationApplied", conf: conf([1, 2, 3], [4]), index: 2 },
    ]);
  });

  test("a change that a snapshot overtook on its way to the state machine changes nothing any more", () => {
    const member = new Member(3, new MemoryLog({ conf: conf([1, 2, 3]) }));
    const change = (index: number, data: Uint8Array): Message =>
      message(
        "append",
        { from: 1, to: 3, term: 1 },
        {
          prevIndex: LogIndex(index - 1),
          prevTerm: Term(index > 1 ? 1 : 0),
          entries: [{ term: Term(1), index: LogIndex(index), kind: "confChangeV2", data }],
          commit: LogIndex(index),
        },
      );
    const swap = confChange([add(4), remove(2)], { transition: "explicit" });
    member.core.step(change(1, encodeConfChange(swap)));
    member.work();
    expect(member.conf.votersOutgoing).toEqual([1, 2, 3]);
    member.slowDisk = true;
    member.core.step(change(2, encodeConfChange(LEAVE_JOINT)));
    member.work();
    const meta = { index: LogIndex(9), term: Term(1), conf: conf([1, 3, 4]) };
    member.core.step(message("snapshot", { from: 1, to: 3, term: 1 }, { meta }));
    member.work();
    member.flush();
    expect(member.core.status()).toMatchObject({ applied: 9, conf: conf([1, 3, 4]) });
  });

  test("the configuration survives a restart: the boundary's, and every change applied since (never 14)", () => {
    const all = group([1], [2, 3]).elect(1);
    for (const step of [learn(2), add(2), add(3)]) {
      all.core(1).proposeConfChange(confChange([step]));
      all.settle();
    }
    all.member(3).restart();
    expect(all.core(3).status().conf).toEqual(conf([1, 2, 3]));
    expect(all.member(3).log.initialState().conf).toEqual(conf([1]));
  });
});
