import { expect, test } from "vitest";
import { DIVERGED, divergences, groupViews, type NodeGroups } from "../../src/cluster/group-views.ts";

const GROUP = 1024;
const LEADER = 1;
const LEARNER = 4;

/** State hashes by index; the last is where it is now. */
type Marks = Readonly<Record<number, string>>;

/** Answers of nodes 1, 2, ... that each hold the group, with what their engines say. */
function answers(
  held: readonly (Marks | null)[],
  errors: Readonly<Record<number, string>> = {},
): ReadonlyMap<number, NodeGroups> {
  return new Map(
    held.map((marks, at) => {
      const node = at + 1;
      const known = Object.entries(marks ?? {}).map(([index, stateHash]) => ({
        index: Number(index),
        stateHash,
      }));
      const last = known.at(-1);
      const status = {
        group: GROUP,
        node,
        state: "running",
        role: node === LEADER ? "leader" : "follower",
        term: 3,
        commit: 900,
        learner: node === LEARNER,
        conf: { voters: held.map((_, voter) => voter + 1), learners: [], votersOutgoing: [] },
        peers: [],
      };
      const engine =
        last === undefined
          ? null
          : { appliedIndex: last.index, stateHash: last.stateHash, hashMarks: known.slice(0, -1) };
      const report = { group: GROUP, status, engine, error: errors[node] ?? null };
      return [node, { node, groups: [report] } as never];
    }),
  );
}

test("replicas that agree wherever they can be compared have not diverged", () => {
  const found = answers([{ 256: "a", 300: "b" }, { 256: "a", 301: "c" }, { 256: "a" }, null]);
  expect(divergences(found)).toEqual([]);
  expect(groupViews(found).get(GROUP)).toMatchObject({ leader: 1, open: [1, 2, 3, 4], diverged: [] });
});

test("one that differs from the leader is named, with the first index at which it did", () => {
  const found = answers([
    { 256: "a", 512: "b", 600: "c" },
    { 256: "x", 512: "y", 600: "z" },
  ]);
  expect(divergences(found)).toEqual([
    { group: GROUP, node: 2, index: 256, stateHash: "x", expected: "a", isServing: true },
  ]);
  expect(groupViews(found).get(GROUP)).toMatchObject({ open: [1, 2], diverged: [2] });
});

test("a leader whom two others contradict alike is the one that was damaged", () => {
  const found = answers([{ 256: "x" }, { 256: "a" }, { 256: "a" }]);
  expect(divergences(found)).toMatchObject([{ node: 1, stateHash: "x", expected: "a" }]);
  expect(divergences(answers([{ 256: "x" }, { 256: "a" }, { 256: "b" }]))).toMatchObject([
    { node: 2, expected: "x" },
    { node: 3, expected: "x" },
  ]);
});

test("nobody is accused on a leader's word where a third one, which would tell, has not got to; a learner is not waited for", () => {
  const early = [{ 300: "x" }, { 299: "a" }, { 300: "b" }];
  expect(divergences(answers(early))).toEqual([]);
  const whole = [{ 300: "x" }, { 300: "b", 310: "c" }, { 300: "b" }, { 7: "l" }];
  expect(divergences(answers(whole))).toMatchObject([{ node: 1, expected: "b" }]);
  expect(divergences(answers([{ 300: "a" }, { 300: "x" }]))).toMatchObject([{ node: 2 }]);
});

test("two that differ where the leader has no mark any more accuse nobody", () => {
  expect(divergences(answers([{ 512: "a" }, { 256: "x" }, { 256: "y" }]))).toEqual([]);
});

test("one that was taken out of service stays out when its marks are forgotten, and may still lead until it hands over", () => {
  const found = answers([{ 512: "a" }, { 256: "x" }], { 2: `${DIVERGED}as of entry 256` });
  expect(divergences(found)).toEqual([]);
  expect(groupViews(found).get(GROUP)).toMatchObject({ leader: 1, open: [1], diverged: [2] });
  const led = answers([{ 256: "x" }, { 256: "a" }, { 256: "a" }], { 1: `${DIVERGED}as of entry 256` });
  expect(divergences(led)).toMatchObject([{ node: 1, isServing: false }]);
  expect(groupViews(led).get(GROUP)).toMatchObject({ leader: 1, open: [2, 3], diverged: [1] });
});

test("a leader that was taken out of service accuses nobody", () => {
  const led = answers([{ 256: "x" }, { 256: "a" }], { 1: `${DIVERGED}as of entry 256` });
  expect(divergences(led)).toMatchObject([{ node: 1, isServing: false }]);
  expect(groupViews(led).get(GROUP)).toMatchObject({ leader: 1, open: [2], diverged: [1] });
  expect(divergences(answers([{ 256: "x" }, { 256: "a" }, { 256: "b" }], { 1: DIVERGED }))).toEqual([]);
  expect(divergences(answers([{ 256: "x" }, { 256: "a" }], { 1: DIVERGED, 2: DIVERGED }))).toEqual([]);
});

test("one that was taken out of service on the leader's word can still bear witness against it", () => {
  const found = answers([{ 256: "x" }, { 256: "a" }, { 256: "a" }], { 2: DIVERGED });
  expect(divergences(found)).toMatchObject([{ node: 1, isServing: true }]);
});

test("a leader that was found out by two others accuses neither of them where it meets only one", () => {
  const found = answers([
    { 256: "x", 300: "y" },
    { 256: "a", 300: "b" },
    { 256: "a", 299: "c" },
  ]);
  expect(divergences(found)).toMatchObject([{ node: 1, index: 256 }]);
  const earlier = answers([{ 200: "w", 256: "x" }, { 200: "v", 256: "a" }, { 256: "a" }]);
  expect(divergences(earlier)).toMatchObject([{ node: 1, index: 256 }]);
});

test("a replica that stopped for another reason is neither compared nor open", () => {
  const found = answers([{ 256: "a" }, { 256: "x" }], { 2: "the disk is full" });
  expect(divergences(found)).toEqual([]);
  expect(groupViews(found).get(GROUP)).toMatchObject({ open: [1], diverged: [] });
});
