/** C: what a new leader knows of the others. */
import { expect, test } from "vitest";
import { bytes, cluster } from "../support/cluster.ts";

test("next is last + 1 and match is 0 for every peer, whatever earlier leaders knew", () => {
  const group = cluster(3).elect(1);
  group.core(1).propose([bytes("a"), bytes("b")]);
  group.settle();
  group.cut = (message) => message.kind === "append" && message.term > 1;
  group.core(1).transferLeader(group.member(2).id);
  group.settle();
  expect(group.core(2).isLeader).toBe(true);
  const peers = group
    .core(2)
    .status()
    .progress.filter((peer) => peer.id !== 2);
  expect(peers.map((peer) => [peer.id, peer.state, peer.match, peer.next])).toEqual([
    [1, "probe", 0, 4],
    [3, "probe", 0, 4],
  ]);
});

test("the leader's own place is what it holds itself", () => {
  const group = cluster(3).elect(1);
  expect(group.core(1).status().progress[0]).toMatchObject({ id: 1, state: "replicate", match: 1, next: 2 });
});

test("learners are tracked apart from voters: they get everything and count for nothing", () => {
  const group = cluster(3, {}, [3]).elect(1);
  group.core(1).propose([bytes("x")]);
  group.settle();
  expect(group.member(3).commands()).toEqual(["x"]);
  expect(
    group
      .core(1)
      .status()
      .progress.map((peer) => peer.learner),
  ).toEqual([false, false, true]);
  group.isolate(2);
  group.core(1).propose([bytes("y")]);
  group.settle();
  expect(group.member(1).commands()).toEqual(["x"]);
});

test("a restarted leader is a follower that knows nothing of anybody", () => {
  const group = cluster(3).elect(1);
  group.member(1).restart();
  expect(group.core(1).status()).toMatchObject({
    role: "follower",
    term: 1,
    vote: 1,
    leader: 0,
    progress: [],
  });
});
