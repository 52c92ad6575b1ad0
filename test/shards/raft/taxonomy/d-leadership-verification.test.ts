/** D: a leader proves that it leads. */
import { describe, expect, test } from "vitest";
import { bytes, cluster } from "../support/cluster.ts";

test("a no-op of the own term is the first thing a leader commits", () => {
  const group = cluster(3).elect(1);
  expect(group.member(3).applied).toMatchObject([{ term: 1, index: 1, kind: "normal" }]);
});

describe.each([
  [3, [3], true],
  [3, [2, 3], false],
  [5, [4, 5], true],
  [5, [3, 4, 5], false],
] as const)("of %d members, without %j", (size, gone, stays) => {
  test(
    stays ? "the leader goes on leading and committing" : "the leader steps down and commits nothing",
    () => {
      const group = cluster(size).elect(1);
      group.isolate(...gone);
      for (let tick = 0; tick < 25; tick++) {
        group.core(1).tick();
        group.settle();
      }
      expect(group.core(1).isLeader).toBe(stays);
      group.core(1).propose([bytes("x")]);
      group.settle();
      expect(group.member(1).commands()).toEqual(stays ? ["x"] : []);
    },
  );
});

test("a minority still serves what was committed", () => {
  const group = cluster(3).elect(1);
  group.core(1).propose([bytes("x")]);
  group.settle();
  group.isolate(3);
  group.tick(40);
  expect(group.member(3).commands()).toEqual(["x"]);
  expect(group.core(3).status().commit).toBe(2);
});

test("who answers counts as active at every moment, and who stopped does not for longer than two checks", () => {
  const group = cluster(3).elect(1);
  group.isolate(3);
  const seen: (readonly [boolean, boolean])[] = [];
  for (let tick = 0; tick < 60; tick++) {
    group.core(1).tick();
    // Also at the tick of a check, before anybody can have answered since.
    const [two, three] = [2, 3].map(
      (id) =>
        group
          .core(1)
          .status()
          .progress.find((peer) => peer.id === id)?.active,
    );
    seen.push([two === true, three === true]);
    group.settle();
  }
  expect(seen.every(([two]) => two)).toBe(true);
  expect(seen.slice(0, 5).some(([, three]) => three)).toBe(true);
  expect(seen.slice(25).some(([, three]) => three)).toBe(false);
});
