import { expect, test } from "vitest";
import { closedLoop } from "../../bench/figures-cluster/load.ts";
import { figuresText } from "../../bench/figures.ts";
import { held } from "../../bench/figures/context.ts";
import type { Figure } from "../../bench/figures/context.ts";
import { flag } from "../../bench/figures/flags.ts";
import { difference } from "../../bench/figures/history.ts";
import { qpsAtRecall } from "../../bench/figures/search.ts";
import { Meter } from "../../bench/front-doors/meter.ts";
import { hashesOf } from "../../bench/kill.ts";
import type { CurvePoint } from "../../src/cli/bench/recall-run.ts";

const point = (who: CurvePoint["who"], ef: number, recallId: number, qps: number): CurvePoint => ({
  ...{ who, ef, recallId, qps, recallEpsilon: recallId, clients: 8, k: 10, searches: 1, failures: 0 },
  latencyMs: { p50: 1, p95: 1, p99: 1, max: 1 },
});

test("speed at a recall lies between the measured points around it", () => {
  const points = [
    point("flotilla", 64, 0.995, 1000),
    point("flotilla", 32, 0.985, 4000),
    point("hnswlib", 16, 0.992, 9000),
    point("hnswlib", 32, 0.999, 5000),
  ];
  expect(qpsAtRecall(points, "flotilla").qps).toBeCloseTo(2000);
  expect(qpsAtRecall(points, "flotilla").ef).toBeCloseTo(48);
  // Already the first one suffices: no credit for speed that was not measured.
  expect(qpsAtRecall(points, "hnswlib")).toEqual({ qps: 9000, ef: 16 });
  expect(qpsAtRecall([point("flotilla", 99, 0.5, 9)], "flotilla").qps).toBe(0);
});

test("a figure is held up to and including its limit", () => {
  const figure: Figure = {
    ...{ figure: "1", what: "x", found: 0.8, limit: 0.8, rule: "atLeast", unit: "x" },
    detail: { ratio: 0.123456, name: "a" },
  };
  expect(held(figure)).toBe(true);
  expect(held({ ...figure, found: 0.79 })).toBe(false);
  expect(held({ ...figure, rule: "atMost", found: 0.81 })).toBe(false);
  expect(held({ ...figure, found: Number.NaN })).toBe(false);
  const text = figuresText([figure, { ...figure, figure: "2", found: 0.1 }]);
  expect(text).toMatch(/1 +x +0\.800 x +>= 0\.800 +held +ratio 0\.123, name a/);
  expect(text).toMatch(/2 +x +0\.100 x +>= 0\.800 +MISSED/);
});

test("states differ by a missing point, a vector or a payload, not by the order of keys", () => {
  const state = (vector: number[], payload: object) =>
    new Map([[1, { vector, payload: payload as Record<string, unknown> }]]);
  expect(difference(state([1], { a: 1, b: 2 }), state([1], { b: 2, a: 1 }))).toBeNull();
  expect(difference(state([1], {}), new Map())).toContain("point 1 is absent");
  expect(difference(new Map(), state([1], {}))).toContain("should be absent");
  expect(difference(state([1], { a: 1 }), state([1], { a: 2 }))).toContain(`["a",2]`);
  expect(difference(state([1], {}), state([2], {}))).not.toBeNull();
});

test("a benchmark's number is read or refused", () => {
  expect(flag(["--x", "1", "--times", "7"], "--times", 50)).toBe(7);
  expect(flag([], "--times", 50)).toBe(50);
  expect(() => flag(["--times"], "--times", 50)).toThrow("--times needs a number, not nothing");
});

test("a load counts every request it sent, also those that failed and those that outlast the time", async () => {
  let sent = 0;
  const send = (request: number): Promise<boolean> => {
    sent++;
    return new Promise((resolve) => setTimeout(() => resolve(request % 2 === 0), 30));
  };
  const { requests, failures, perSecond } = await closedLoop(4, 0.01, send);
  expect([requests, failures]).toEqual([sent, sent / 2]);
  expect(perSecond).toBeGreaterThan(0);
  // No node, no time of a processor: what is left is a number per request all the same.
  expect((await new Meter([]).round({ clients: 4, seconds: 0.01, send })).cpuMicros).toBe(0);
});

test("state hashes are compared only where every replica tells one", () => {
  const shards = (...hashes: readonly (string | null)[]): object => ({
    shards: hashes.map((hash) => ({ replicas: [{ state_hash: hash }] })),
  });
  expect(hashesOf(shards("a1", "b2"))).toBe("a1 b2");
  for (const unknown of [shards("a1", null), shards(), {}, null, { shards: [{}] }])
    expect(() => hashesOf(unknown)).toThrow("cannot be compared");
});
