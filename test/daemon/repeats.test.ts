import { expect, test } from "vitest";
import { Repeats } from "../../src/threads/repeats.ts";

test("the same line is due once a minute, and says how often it was left out; others are not held up", () => {
  const repeats = new Repeats();
  expect([0, 1, 59_999].map((ms) => repeats.due("refused", ms))).toEqual([0, null, null]);
  expect(repeats.due("another", 2)).toBe(0);
  expect([60_000, 60_001, 120_000].map((ms) => repeats.due("refused", ms))).toEqual([2, null, 1]);
});

test("somebody who makes up lines costs no memory, and is forgotten in order", () => {
  const repeats = new Repeats();
  for (let at = 0; at < 1_001; at++) repeats.due(`line ${at}`, 0);
  expect(repeats.due("line 1000", 1)).toBeNull();
  expect(repeats.due("line 0", 1)).toBe(0);
});
