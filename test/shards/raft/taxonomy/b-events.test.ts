/** B: what happened is told once, in order, with the change itself. (Listeners are the driver's: see the group's tests.) */
import { expect, test } from "vitest";
import { bytes, cluster } from "../support/cluster.ts";

test("leader changes are told in order and not repeated while nothing changes", () => {
  const group = cluster(3).elect(1);
  group.tick(30);
  const told = group.member(2).events.filter((event) => event.kind === "leaderChanged");
  expect(told).toEqual([{ kind: "leaderChanged", leader: 1, term: 1 }]);
  group.isolate(1);
  group.tick(40);
  const then = group.member(2).events.filter((event) => event.kind === "leaderChanged");
  expect(then.map((event) => event.leader)).toEqual([1, 0, 2]);
});

test("commits are told by what is to be applied: each entry once, in order, on every member", () => {
  const group = cluster(3).elect(1);
  for (let n = 0; n < 20; n++) group.core(1).propose([bytes(`${n}`)]);
  group.settle();
  group.tick(3);
  for (const id of [1, 2, 3])
    expect(group.member(id).applied.map((entry) => entry.index)).toEqual(
      Array.from({ length: 21 }, (_, at) => at + 1),
    );
});

test("nothing new, no work: a core at rest has no ready", () => {
  const group = cluster(3).elect(1);
  for (const id of [1, 2, 3]) expect(group.core(id).hasReady()).toBe(false);
});

test("a dropped message is an event with who, what and why, and needs no work", () => {
  const group = cluster(3).elect(1);
  group.core(2).step({ ...group.delivered[0], to: group.member(3).id } as never);
  expect(group.core(2).hasWork()).toBe(false);
  expect(group.core(2).hasReady()).toBe(true);
  expect(group.core(2).ready().events).toMatchObject([
    { kind: "messageDropped", why: "it is for 3, this is 2" },
  ]);
});
