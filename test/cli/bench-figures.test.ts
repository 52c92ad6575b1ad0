import fc from "fast-check";
import { expect, test } from "vitest";
import { exactDistance } from "../../src/cli/bench/distances.ts";
import { NO_HIT, recallByDistance, recallById, summarise } from "../../src/cli/bench/statistics.ts";
import { table } from "../../src/cli/bench/table.ts";

test("percentiles are samples by nearest rank", () => {
  const hundred = Float64Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(summarise(hundred)).toEqual({ p50: 50, p95: 95, p99: 99, max: 100 });
  expect(summarise(Float64Array.of(7))).toEqual({ p50: 7, p95: 7, p99: 7, max: 7 });
  expect(summarise(new Float64Array(0)).p99).toBe(0);
  expect(hundred[0]).toBe(100);
});

const truth = {
  k: 3,
  ids: Uint32Array.of(1, 2, 3, 4, 5, 6),
  distances: Float64Array.of(1, 2, 3, 1, 1, 1),
};

test("recall by id counts true ids once, whatever their order", () => {
  expect(recallById({ k: 3, ids: Uint32Array.of(3, 1, 2, 4, 5, 6) }, truth)).toBe(1);
  expect(recallById({ k: 3, ids: Uint32Array.of(1, 1, 1, 9, 8, NO_HIT) }, truth)).toBeCloseTo(1 / 6);
  // Of a deeper truth only the first k places count.
  expect(recallById({ k: 1, ids: Uint32Array.of(2, 4) }, truth)).toBe(0.5);
});

test("recall by distance counts what is as near as the k-th, within epsilon, and each id once", () => {
  const distances: Record<number, number> = { 1: 1, 2: 2, 3: 3, 7: 3.02, 8: 3.5 };
  const distanceOf = (query: number, id: number) => (query === 0 ? (distances[id] ?? 99) : 1);
  const first = (ids: number[]) => ({ k: 3, ids: Uint32Array.from([...ids, 10, 11, 12]) });
  expect(recallByDistance(first([1, 2, 7]), truth, 0.01, distanceOf)).toBe(1);
  expect(recallByDistance(first([1, 2, 7]), truth, 0.001, distanceOf)).toBeCloseTo(5 / 6);
  expect(recallByDistance(first([1, 1, NO_HIT]), truth, 0.01, distanceOf)).toBeCloseTo(4 / 6);
});

test("a negative k-th distance (inner product) widens outwards, not inwards", () => {
  const dot = { k: 1, ids: Uint32Array.of(1), distances: Float64Array.of(-100) };
  expect(recallByDistance({ k: 1, ids: Uint32Array.of(2) }, dot, 0.01, () => -99.5)).toBe(1);
  expect(recallByDistance({ k: 1, ids: Uint32Array.of(2) }, dot, 0.001, () => -99.5)).toBe(0);
});

test("distances are those of the metrics' names", () => {
  const a = Float32Array.of(9, 3, 4);
  const b = Float32Array.of(0, 0);
  expect(exactDistance("Euclid", a, 1, b, 0, 2)).toBe(5);
  expect(exactDistance("Dot", a, 1, Float32Array.of(2, 1), 0, 2)).toBe(-10);
  expect(exactDistance("Cosine", a, 1, Float32Array.of(6, 8), 0, 2)).toBeCloseTo(0);
  expect(exactDistance("Cosine", a, 1, b, 0, 2)).toBe(1);
  fc.assert(
    fc.property(fc.float32Array({ noNaN: true, min: -10, max: 10, minLength: 2, maxLength: 8 }), (v) => {
      expect(exactDistance("Euclid", v, 0, v, 0, v.length)).toBe(0);
    }),
    { seed: 3 },
  );
});

test("a table puts numbers right and words left", () => {
  expect(
    table(
      ["who", "n"],
      [
        ["a", "1,000"],
        ["bcde", "7"],
      ],
    ),
  ).toBe(["who       n", "----  -----", "a     1,000", "bcde      7"].join("\n"));
});
