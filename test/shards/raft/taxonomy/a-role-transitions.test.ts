/** A: roles and how they change; what is not allowed changes nothing. */
import { describe, expect, test } from "vitest";
import { cluster, conf, Member, message } from "../support/cluster.ts";
import { LogIndex, NodeId } from "../../../../shards/raft/types.ts";
import { MemoryLog } from "../support/memory-log.ts";

const heartbeat = (from: number, to: number, term: number) =>
  message("heartbeat", { from, to, term }, { commit: LogIndex(0), readToken: "" });
const roles = (member: Member): string[] =>
  member.events.flatMap((event) => (event.kind === "roleChanged" ? [event.role] : []));

describe("legal transitions", () => {
  test("follower to candidate, through pre-candidate, to leader", () => {
    const group = cluster(3).elect(1);
    expect(roles(group.member(1))).toEqual(["preCandidate", "candidate", "leader"]);
  });

  test("without pre-vote, follower to candidate to leader", () => {
    expect(roles(cluster(3, { preVote: false }).elect(1).member(1))).toEqual(["candidate", "leader"]);
  });

  test("candidate to follower, when another leads", () => {
    const group = cluster(3, { preVote: false });
    group.core(1).campaign();
    group.core(1).step(heartbeat(2, 1, 1));
    group.member(1).work();
    expect(roles(group.member(1))).toEqual(["candidate", "follower"]);
    expect(group.core(1).status()).toMatchObject({ leader: 2, vote: 1 });
  });

  test("leader to follower, when a later term begins", () => {
    const group = cluster(3).elect(1);
    group.core(1).step(heartbeat(2, 1, 9));
    expect(group.core(1).status()).toMatchObject({ role: "follower", term: 9, leader: 2, vote: 0 });
  });

  test("learner to voting follower, when it is promoted; and back, when it is demoted", () => {
    const group = cluster(3, {}, [3]).elect(1);
    const change = (kind: "addVoter" | "addLearner"): boolean => {
      group.core(1).proposeConfChange({
        entryKind: "confChange",
        transition: "auto",
        steps: [{ kind, node: NodeId(3) }],
        context: new Uint8Array(0),
      });
      group.settle();
      return group.core(3).status().isVoter;
    };
    expect(group.core(3).status().isVoter).toBe(false);
    expect(change("addVoter")).toBe(true);
    expect(change("addLearner")).toBe(false);
    expect(group.core(3).status().role).toBe("follower");
  });
});

describe("illegal ones say why and change nothing", () => {
  test("a learner does not campaign, however long it hears nothing", () => {
    const group = cluster(3, {}, [3]);
    for (let tick = 0; tick < 100; tick++) group.core(3).tick();
    expect(group.core(3).status()).toMatchObject({ role: "follower", term: 0 });
    group.core(3).campaign();
    group.member(3).work();
    expect(group.member(3).events).toMatchObject([
      { kind: "campaignRefused", why: expect.stringContaining("no voter") },
    ]);
  });

  test("a member that is configured as one of several never elects itself alone", () => {
    const group = cluster(3);
    group.isolate(1);
    group.tick(100);
    expect(group.core(1).isLeader).toBe(false);
    expect(group.core(1).status().term).toBe(0);
  });

  test("a removed member does not campaign (never 13)", () => {
    const one = new Member(1, new MemoryLog({ conf: conf([2, 3]) }));
    for (let tick = 0; tick < 100; tick++) one.core.tick();
    expect(one.core.status()).toMatchObject({ role: "follower", term: 0 });
  });

  test("a leader that is asked to campaign goes on leading", () => {
    const group = cluster(3).elect(1);
    group.core(1).campaign();
    group.settle();
    expect(group.core(1).status()).toMatchObject({ role: "leader", term: 1 });
  });

  test("a second leader in the same term is dropped, by the leader and by its followers", () => {
    const group = cluster(3).elect(1);
    expect(group.core(1).step(heartbeat(2, 1, 1))).toMatch(/two leaders in term 1/);
    expect(group.core(3).step(heartbeat(2, 3, 1))).toMatch(/two leaders in term 1/);
    expect(group.leaders()).toEqual([1]);
    expect(group.core(3).status().leader).toBe(1);
  });
});
