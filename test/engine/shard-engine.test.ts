import { copyFileSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { EngineError } from "../../src/engine/errors.ts";
import { encodeEntry } from "../../src/engine/ops-codec.ts";
import { STATE_LIMITS } from "../../src/engine/options.ts";
import { PointStore } from "../../src/engine/point-store.ts";
import { captureSnapshot } from "../../src/engine/snapshot.ts";
import type { EngineEvent } from "../../src/engine/surface.ts";
import type { PointId, SearchQuery, VectorSpec, WriteOp } from "../../src/engine/types.ts";
import { SPEC, entry, openEngine, query, temporaryDirectory, upsert } from "./support.ts";

const at = (x: number): number[] => [x, 0, 0, 0, 0, 0];
const many = (count: number, from = 0): WriteOp =>
  upsert(...Array.from({ length: count }, (_, n) => [from + n, at(from + n)] as const));
const refused = (promise: Promise<unknown>) => expect(promise).rejects;
const ALL = { withPayload: { kind: "all" }, withVector: true } as const;

async function idsOf(engine: Awaited<ReturnType<typeof openEngine>>, asked: SearchQuery): Promise<PointId[]> {
  const [hits] = await engine.search([asked]);
  return (hits ?? []).map((hit) => hit.id);
}

describe("writing", () => {
  test("a point is found as soon as it is acknowledged, before it is in the graph", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    const outcomes = await engine.applyEntries([entry(1, upsert([7, at(1)], ["x", at(2)]))]);
    expect(outcomes).toEqual([{ kind: "applied", version: 1, touched: 2, duplicate: false }]);
    expect(engine.stats()).toMatchObject({ tail: 2, indexed: 0, points: 2, appliedIndex: 1 });
    expect(await idsOf(engine, query(at(2)))).toEqual(["x", 7]);
    await engine.idle();
    expect(engine.stats()).toMatchObject({ tail: 0, indexed: 2 });
    expect(await idsOf(engine, query(at(2)))).toEqual(["x", 7]);
  });

  test("an entry happens as a whole or not at all, also within a transaction of several", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    const missing: WriteOp = {
      kind: "updateVectors",
      points: [{ id: 99, vector: Float32Array.from(at(1)) }],
    };
    const outcomes = await engine.applyEntries([
      entry(1, upsert([1, at(1)])),
      entry(2, { kind: "delete", ids: [1] }, upsert([2, at(2)]), missing),
      entry(3, upsert([3, at(3)])),
    ]);
    expect(outcomes[1]).toMatchObject({ kind: "rejected", code: "POINT_NOT_FOUND", operation: 2 });
    expect(await idsOf(engine, query(at(0)))).toEqual([1, 3]);
    expect(engine.recomputeStateHash()).toBe(engine.stats().stateHash);
  });

  test("poison entries are rejected, each time the same, and nothing stops", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    const poison = (index: number, vector: Float32Array) =>
      entry(index, { kind: "upsert", points: [{ id: 1, vector, payload: null }] });
    const outcomes = await engine.applyEntries([
      { index: 1, data: new Uint8Array([1, 2, 3]) },
      poison(2, Float32Array.of(1, 2)),
      poison(3, Float32Array.of(1, 2, 3, NaN, 5, 6)),
      poison(4, new Float32Array(6).fill(3e38)),
      { index: 5, data: new Uint8Array(0) },
      entry(6, upsert([1, at(1)])),
      entry(7, { kind: "setPayload", ids: [1], payload: {}, key: Array(65).fill("a").join(".") }),
      entry(8, { kind: "setPayload", ids: [1], payload: { a: "x".repeat(600_000) } }),
      entry(9, { kind: "setPayload", ids: [1], payload: { b: "x".repeat(600_000) } }),
    ]);
    expect(
      outcomes.map((outcome) => (outcome?.kind === "rejected" ? outcome.code : (outcome?.kind ?? null))),
    ).toEqual([
      "BAD_ENTRY",
      "WRONG_DIMENSION",
      "BAD_VECTOR",
      "BAD_VECTOR",
      null,
      "applied",
      "LIMIT_EXCEEDED",
      "applied",
      "LIMIT_EXCEEDED",
    ]);
    expect(engine.appliedIndex()).toBe(9);
  });

  test("the same (origin, sequence) is applied once and answered with the first outcome, until it is forgotten", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    const again = encodeEntry({ origin: "o", sequence: 5, operations: [upsert([1, at(1)])] });
    const bad = encodeEntry({
      origin: "o",
      sequence: 6,
      operations: [{ kind: "updateVectors", points: [{ id: 8, vector: Float32Array.from(at(1)) }] }],
    });
    const outcomes = await engine.applyEntries([
      { index: 1, data: again },
      { index: 2, data: again },
      { index: 3, data: bad },
      entry(4, upsert([8, at(8)])),
      { index: 5, data: bad },
    ]);
    expect(outcomes[1]).toEqual({ kind: "applied", version: 1, touched: 1, duplicate: true });
    expect(outcomes[4]).toMatchObject({ kind: "rejected", code: "POINT_NOT_FOUND", duplicate: true });
    const far = 1 + STATE_LIMITS.rememberedEntries;
    const filler = Array.from({ length: far - 7 }, (_, n) => ({ index: 6 + n, data: new Uint8Array(0) }));
    await engine.applyEntries(filler);
    const [, last, , late] = await engine.applyEntries([
      entry(far - 1, upsert([2, at(2)])),
      { index: far, data: again },
      entry(far + 1, upsert([2, at(2)])),
      { index: far + 2, data: again },
    ]);
    expect(last).toEqual({ kind: "applied", version: 1, touched: 1, duplicate: true });
    expect(late).toEqual({ kind: "applied", version: far + 2, touched: 1, duplicate: false });
  });

  test("entries below the applied index are answered from memory and change nothing", async () => {
    using directory = temporaryDirectory();
    const first = entry(1, upsert([1, at(1)]));
    await using engine = await openEngine(directory.path);
    const before = await engine.applyEntries([first]);
    const hash = engine.stats().stateHash;
    expect(await engine.applyEntries([first])).toEqual(before);
    expect(engine.stats()).toMatchObject({ stateHash: hash, appliedIndex: 1 });
  });

  test("ifVersion: 0 means absent, a number means exactly this version", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    const guarded = (index: number, ifVersion: number, ...ids: number[]) =>
      entry(index, {
        kind: "upsert",
        points: ids.map((id) => ({ id, vector: Float32Array.from(at(id)), payload: null })),
        ifVersion,
      });
    const outcomes = await engine.applyEntries([
      guarded(1, 0, 1),
      guarded(2, 0, 1),
      guarded(3, 1, 1),
      guarded(4, 1, 1),
      guarded(5, 0, 2, 1),
    ]);
    expect(outcomes.map((outcome) => outcome?.kind)).toEqual([
      "applied",
      "rejected",
      "applied",
      "rejected",
      "rejected",
    ]);
    expect(outcomes[3]).toMatchObject({ code: "VERSION_CONFLICT", message: "point 1 has version 3, not 1" });
    expect(engine.retrieve([1, 2], ALL)).toMatchObject([{ id: 1, version: 3 }]);
  });

  test.each<WriteOp>([
    upsert([1, at(7)]),
    { kind: "updateVectors", points: [{ id: 1, vector: Float32Array.from(at(7)) }] },
    { kind: "delete", ids: [1] },
    { kind: "setPayload", ids: [1], payload: { a: 2 } },
    { kind: "overwritePayload", ids: [1], payload: { a: 2 } },
    { kind: "deletePayload", ids: [1], keys: ["a"] },
    { kind: "clearPayload", ids: [1] },
  ])("ifVersion guards $kind: another version changes nothing, the right one does", async (operation) => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    await engine.applyEntries([entry(1, upsert([1, at(1), { a: 1 }])), entry(2, upsert([2, at(2)]))]);
    const before = engine.stats().stateHash;
    const refusals = await engine.applyEntries(
      [0, 2].map((ifVersion, n) => entry(3 + n, { ...operation, ifVersion })),
    );
    for (const refusal of refusals)
      expect(refusal).toMatchObject({ kind: "rejected", code: "VERSION_CONFLICT" });
    expect(engine.stats().stateHash).toBe(before);
    const [done] = await engine.applyEntries([entry(5, { ...operation, ifVersion: 1 })]);
    expect(done).toMatchObject({ kind: "applied", version: 5, touched: 1 });
    expect(engine.stats().stateHash).not.toBe(before);
  });

  test("a payload grows to its limit in bytes of UTF-8, not in characters", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    const half = "é".repeat(STATE_LIMITS.payloadBytesMax / 4);
    const [, , fits, tooLarge] = await engine.applyEntries([
      entry(1, upsert([1, at(1)])),
      entry(2, { kind: "setPayload", ids: [1], payload: { a: half } }),
      entry(3, { kind: "setPayload", ids: [1], payload: { b: half.slice(20) } }),
      entry(4, { kind: "setPayload", ids: [1], payload: { b: half } }),
    ]);
    expect(fits?.kind).toBe("applied");
    expect(tooLarge).toMatchObject({ kind: "rejected", code: "LIMIT_EXCEEDED" });
  });

  test.each([
    ["points", { tailPointsMax: 64 }],
    ["bytes", { tailBytesMax: 64 * 32 }],
  ])("writes wait while the tail is at its limit of %s, searches do not", async (_, options) => {
    using directory = temporaryDirectory();
    const events: EngineEvent[] = [];
    await using engine = await openEngine(directory.path, {
      options,
      events: (event) => events.push(event),
    });
    await engine.applyEntries([entry(1, many(20))]);
    const log = Array.from({ length: 39 }, (_, n) => entry(n + 2, many(20, (n + 1) * 20)));
    const writing = engine.applyEntries(log);
    expect(await idsOf(engine, query(at(0), { limit: 1 }))).toEqual([0]);
    await writing;
    expect(engine.count()).toBe(800);
    await engine.idle();
    // Exact: points on a line are more than a graph of so few links can promise to find.
    expect(await idsOf(engine, query(at(500), { limit: 3, exact: true }))).toEqual([500, 499, 501]);
    const pressures = events.flatMap((event) => (event.kind === "backPressure" ? [event.active] : []));
    expect(pressures.length).toBeGreaterThan(0);
    expect(pressures).toEqual(pressures.map((_, nth) => nth % 2 === 0));
    expect(pressures.at(-1)).toBe(false);
  });

  test("while searches come in, writes wait for a shorter tail: each search scans it", async () => {
    const pressureAfter = async (searches: boolean): Promise<readonly number[]> => {
      using directory = temporaryDirectory();
      const tails: number[] = [];
      let nowMs = 0;
      await using engine = await openEngine(directory.path, {
        options: { tailPointsMax: 1_000, busyTailPointsMax: 50, busyForMs: Infinity, busyShare: 1 },
        // Every look at the clock finds the slice over: one entry, one point at a time.
        clock: { nowMs: () => (nowMs += 10), after: () => () => undefined },
        events: (event) => void (event.kind === "backPressure" && event.active && tails.push(event.tail)),
      });
      if (searches) await engine.search([query(at(0))]);
      await engine.applyEntries(Array.from({ length: 40 }, (_, n) => entry(n + 1, many(20, n * 20))));
      expect(engine.count()).toBe(800);
      return tails;
    };
    expect(await pressureAfter(false)).toEqual([]);
    const [tail = 0] = await pressureAfter(true);
    expect(tail).toBeGreaterThanOrEqual(50);
    expect(tail).toBeLessThan(50 + 20);
  });

  test("while searches come in, or writes with room left, the indexer leaves them a share of the time", async () => {
    const STEP_MS = 10;
    const restsAfter = async (
      searches: boolean,
      options: { readonly tailPointsMax: number; readonly busyForMs?: number; readonly burstShare?: number },
    ): Promise<readonly number[]> => {
      using directory = temporaryDirectory();
      const rests: number[] = [];
      let nowMs = 0;
      await using engine = await openEngine(directory.path, {
        options: {
          ...{ busyForMs: Infinity, busyShare: 0.25, burstShare: 0.25, ...options },
          ...{ saveIdleMs: 1e9, restAfterMs: 1e9, commitAfterMs: 1e9 },
        },
        clock: {
          // Every look at the clock finds the slice over: one point each.
          nowMs: () => (nowMs += STEP_MS),
          after: (ms, callback) => {
            if (ms < 1e9) rests.push(ms);
            setImmediate(callback);
            return () => undefined;
          },
        },
      });
      if (searches) await engine.search([query(at(0))]);
      await engine.applyEntries([entry(1, many(20))]);
      await engine.idle();
      return rests;
    };
    expect(await restsAfter(true, { tailPointsMax: 1_000, busyForMs: 0 })).toEqual([]);
    const bySearches = await restsAfter(true, { tailPointsMax: 20 });
    const byWrites = await restsAfter(false, { tailPointsMax: 1_000 });
    for (const rests of [bySearches, byWrites]) {
      expect(rests).toHaveLength(19);
      // A slice took two looks at the clock; three times as long is left to others, of which one look has passed.
      for (const ms of rests) expect(ms).toBe(3 * 2 * STEP_MS - STEP_MS);
    }
    // From three quarters of its limit on the tail is emptied first: between the last fourteen of twenty points it rests.
    expect(await restsAfter(false, { tailPointsMax: 20 })).toHaveLength(13);
    // Keeping up with twenty points in no time would take more than a quarter: a burst is left more once that is known.
    const burst = await restsAfter(false, { tailPointsMax: 1_000, burstShare: 0.1 });
    expect(burst[0]).toBe(3 * 2 * STEP_MS - STEP_MS);
    expect(burst).toContain(9 * 2 * STEP_MS - STEP_MS);
  });

  test("of the tail that a burst left, searches let writes in while it shrinks, not only when it is short", async () => {
    using directory = temporaryDirectory();
    let nowMs = 0;
    await using engine = await openEngine(directory.path, {
      options: { tailPointsMax: 10_000, busyTailPointsMax: 50, busyForMs: Infinity, busyShare: 1 },
      clock: { nowMs: () => (nowMs += 10), after: () => () => undefined },
    });
    await engine.applyEntries([entry(1, many(600))]);
    await engine.search([query(at(0))]);
    const tails: number[] = [];
    for (let n = 0; n < 10; n++) {
      await engine.applyEntries([entry(n + 2, many(20, 600 + n * 20))]);
      tails.push(engine.stats().tail);
    }
    expect(tails[0]).toBeGreaterThan(500);
    for (const [n, tail] of tails.entries())
      if (n > 0) expect(tail).toBeLessThanOrEqual((tails[n - 1] ?? 0) - 20 + 1);
    expect(tails.at(-1)).toBeGreaterThan(100);
  });
});

describe("what was replaced or deleted", () => {
  test("never comes back: not from the graph, a save, a rebuild or a restart", async () => {
    using directory = temporaryDirectory();
    const events: EngineEvent[] = [];
    const open = { options: { rebuildMin: 10 }, events: (event: EngineEvent) => void events.push(event) };
    let engine = await openEngine(directory.path, open);
    await engine.applyEntries([entry(1, many(100))]);
    await engine.idle();
    await engine.saveGraph();
    await engine.applyEntries([entry(2, { kind: "delete", ids: [10, 11] }), entry(3, upsert([12, at(500)]))]);
    const check = async (): Promise<void> => {
      expect(await idsOf(engine, query(at(11), { limit: 4 }))).toEqual([9, 13, 8, 14]);
      expect(await idsOf(engine, query(at(500), { limit: 1 }))).toEqual([12]);
    };
    await check();
    await engine.close();
    engine = await openEngine(directory.path, open);
    await check();
    expect(engine.stats()).toMatchObject({ tombstones: 3, points: 98 });
    await engine.applyEntries([
      entry(4, { kind: "delete", ids: Array.from({ length: 30 }, (_, n) => 50 + n) }),
    ]);
    await engine.idle();
    await check();
    expect(events.filter(({ kind }) => kind === "rebuildFinished")).toHaveLength(1);
    expect(engine.stats()).toMatchObject({ tombstones: 0, points: 68, indexed: 68, rebuilds: 1 });
    await engine.close();
  });

  test("while the graph is rebuilt it takes no place in the new one, whether it was in there already or not", async () => {
    using directory = temporaryDirectory();
    let nowMs = 0;
    await using engine = await openEngine(directory.path, {
      options: { rebuildMin: 12, busyForMs: 0 },
      // Every look at the clock finds the slice over: one point at a time.
      clock: { nowMs: () => (nowMs += 10), after: () => () => undefined },
    });
    await engine.applyEntries([entry(1, many(100))]);
    await engine.idle();
    const ids = (count: number, from: number): number[] => Array.from({ length: count }, (_, n) => from + n);
    await engine.applyEntries([entry(2, { kind: "delete", ids: ids(30, 50) })]);
    while ((engine.stats().rebuilding?.done ?? 0) < 20) await new Promise(setImmediate);
    await engine.applyEntries([entry(3, { kind: "delete", ids: [...ids(10, 5), ...ids(5, 95)] })]);
    expect(engine.stats().rebuilding?.total).toBe(70);
    await engine.idle();
    expect(engine.stats()).toMatchObject({ points: 55, indexed: 55, tombstones: 10, rebuilds: 1, tail: 0 });
    const left = [...ids(5, 0), ...ids(35, 15), ...ids(15, 80)];
    expect(await idsOf(engine, query(at(-1), { limit: 55, ef: 100 }))).toEqual(left);
  });
});

describe("searching", () => {
  test("equal scores come in order of ids, numbers first", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    const ids: PointId[] = ["b", 10, "\u{1f600}", 9, "\uffee", "a"];
    await engine.applyEntries([entry(1, upsert(...ids.map((id) => [id, at(1)] as const)))]);
    const expected = [9, 10, "a", "b", "\uffee", "\u{1f600}"];
    expect(await idsOf(engine, query(at(0)))).toEqual(expected);
    await engine.idle();
    expect(await idsOf(engine, query(at(0)))).toEqual(expected);
    expect(await idsOf(engine, query(at(0), { limit: 2 }))).toEqual([9, 10]);
    expect(engine.scroll(9, 2, ALL)).toMatchObject({ points: [{ id: 9 }, { id: 10 }], next: "a" });
  });

  test("threshold, offset, the excluded point, payload and vector are as asked for", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    await engine.applyEntries([
      entry(1, upsert([1, at(1), { a: { b: 1, c: 2 }, d: 3 }], [2, at(2)], [3, at(3)])),
    ]);
    expect(await idsOf(engine, query(at(0), { scoreThreshold: 2 }))).toEqual([1, 2]);
    expect(await idsOf(engine, query(at(0), { offset: 1, limit: 1 }))).toEqual([2]);
    expect(await idsOf(engine, query(at(0), { excludeId: 1, limit: 2 }))).toEqual([2, 3]);
    const [hits] = await engine.search([
      query(at(0), { limit: 1, withVector: true, withPayload: { kind: "include", keys: ["a.b", "no"] } }),
    ]);
    expect(hits).toEqual([
      { id: 1, version: 1, score: 1, payload: { a: { b: 1 } }, vector: Float32Array.from(at(1)) },
    ]);
    const excluded = { withPayload: { kind: "exclude", keys: ["a.b"] }, withVector: false } as const;
    expect(engine.retrieve([1], excluded)).toEqual([{ id: 1, version: 1, payload: { a: { c: 2 }, d: 3 } }]);
  });

  test("a search by inner product finds as many as were asked for, though a walk cannot reach the short vectors", async () => {
    using directory = temporaryDirectory();
    const spec: VectorSpec = { dimension: 2, distance: "Dot", m: 4, efConstruct: 16 };
    await using engine = await openEngine(directory.path, { spec });
    const points = Array.from({ length: 600 }, (_, n) => [n, [n + 1, (n * 7919) % 601]] as const);
    await engine.applyEntries([entry(1, upsert(...points))]);
    await engine.idle();
    const asked = query([1, 1], { limit: 300 });
    const exact = await idsOf(engine, { ...asked, exact: true });
    expect(await idsOf(engine, asked)).toEqual(exact);
    expect(exact).toHaveLength(300);
    expect(new Set(await idsOf(engine, query([1, 1], { limit: 1_000 }))).size).toBe(600);
  });

  test.each<[string, Partial<SearchQuery>, RegExp]>([
    ["a vector of another length", { vector: Float32Array.of(1) }, /has 1 elements, not 6/],
    ["NaN", { vector: Float32Array.of(1, 2, 3, 4, 5, NaN) }, /must be finite/],
    ["a limit over its maximum", { limit: 20_000 }, /at most 16384, not 20000 \+ 0/],
    ["a negative offset", { offset: -1 }, /at most 16384/],
    ["an ef over its maximum", { ef: 100_000 }, /between 1 and 16384, not 100000/],
    ["an ef of 0", { ef: 0 }, /between 1 and 16384/],
  ])("%s is refused before native code sees it", async (_, wrong, message) => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    await refused(engine.search([{ ...query(at(0)), ...wrong }])).toThrow(message);
  });

  test("an answer that would be too large is refused, whoever asks for it; what fits is answered", async () => {
    using directory = temporaryDirectory();
    // 6 floats, 256 for the point, and a payload of 1,008: two of them fit, a third does not.
    await using engine = await openEngine(directory.path, { options: { answerBytesMax: 2_600 } });
    const points = [1, 2, 3].map((n) => [n, at(n), { text: "x".repeat(997) }] as const);
    await engine.applyEntries([entry(1, upsert(...points))]);
    const refusal = { code: "TOO_LARGE", message: expect.stringContaining("more than 2600 bytes") };
    const whole = (limit: number) => query(at(0), { limit, ...ALL });
    await refused(engine.search([whole(3)])).toMatchObject(refusal);
    await refused(engine.search([whole(2), whole(1)])).toMatchObject(refusal);
    expect(() => engine.retrieve([1, 2, 3], ALL)).toThrow(expect.objectContaining(refusal));
    expect(() => engine.scroll(null, 3, ALL)).toThrow(expect.objectContaining(refusal));
    expect((await engine.search([whole(2)]))[0]).toHaveLength(2);
    expect(engine.retrieve([1, 2], ALL)).toHaveLength(2);
    expect(engine.scroll(null, 2, ALL)).toMatchObject({ points: [{ id: 1 }, { id: 2 }], next: 3 });
    const few = { withPayload: { kind: "include", keys: ["other"] }, withVector: true } as const;
    expect(engine.scroll(null, 3, few).points).toHaveLength(3);
  });

  test("a page is as long as asked for, however it is read", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path);
    await engine.applyEntries([entry(1, many(300))]);
    const page = (from: PointId | null, limit: number) => {
      const { points, next } = engine.scroll(from, limit, {
        withPayload: { kind: "none" },
        withVector: false,
      });
      return [points.length, points[0]?.id, points.at(-1)?.id, next];
    };
    expect(page(null, 129)).toEqual([129, 0, 128, 129]);
    expect(page(100, 128)).toEqual([128, 100, 227, 228]);
    expect(page(null, 300)).toEqual([300, 0, 299, null]);
    expect(page(44, 256)).toEqual([256, 44, 299, null]);
    expect(page(44, 1_000)).toEqual([256, 44, 299, null]);
    expect(page(7, 0)).toEqual([0, undefined, undefined, 7]);
  });

  test("an aborted search stops at its next slice with the signal's reason", async () => {
    using directory = temporaryDirectory();
    await using engine = await openEngine(directory.path, { options: { sliceMs: 0 } });
    await engine.applyEntries([entry(1, many(50))]);
    const abort = new AbortController();
    const search = engine.search([query(at(0), { exact: true })], { signal: abort.signal });
    abort.abort(new Error("the client is gone"));
    await refused(search).toThrow("the client is gone");
  });
});

describe("a graph in any doubt", () => {
  test("is discarded and rebuilt; answers are exact meanwhile, and right afterwards", async () => {
    using directory = temporaryDirectory();
    const events: EngineEvent[] = [];
    // Points on a line and an exact duplicate are as hard for a graph as it gets: ask for all candidates.
    const near200 = query(at(200), { limit: 3, ef: 500 });
    const open = { options: { tailPointsMax: 50 }, events: (event: EngineEvent) => void events.push(event) };
    let engine = await openEngine(directory.path, open);
    for (let from = 0; from < 400; from += 40)
      await engine.applyEntries([entry(from / 40 + 1, many(40, from))]);
    await engine.idle();
    await engine.close();
    const data = join(directory.path, "data-1");
    const file = readdirSync(data).find((name) => name.endsWith(".hnsw")) ?? "none";
    const bytes = readFileSync(join(data, file));
    bytes[5_000] = (bytes[5_000] ?? 0) ^ 1;
    writeFileSync(join(data, file), bytes);
    engine = await openEngine(directory.path, open);
    expect(engine.stats().rebuilding).toMatchObject({ done: 0, total: 400 });
    expect(await idsOf(engine, near200)).toEqual([200, 199, 201]);
    await engine.applyEntries([entry(11, upsert([1_000, at(200)]), { kind: "delete", ids: [199] })]);
    expect(await idsOf(engine, near200)).toEqual([200, 1_000, 201]);
    await engine.idle();
    expect(engine.stats()).toMatchObject({ rebuilding: null, indexed: 400, tail: 0 });
    expect(await idsOf(engine, near200)).toEqual([200, 1_000, 201]);
    expect(events.map(({ kind }) => kind)).toContain("graphDiscarded");
    await engine.close();
  });

  test.each([
    ["labels that are given away again", entry(2, many(3, 5))],
    ["tombstones of points that are there", entry(2, { kind: "delete", ids: [1] })],
  ])("is discarded when a power failure left older points beside it: %s", async (_, lost) => {
    using directory = temporaryDirectory();
    const store = join(directory.path, "data-1", "points.sqlite");
    const left = join(directory.path, "left");
    const events: EngineEvent[] = [];
    let engine = await openEngine(directory.path);
    await engine.applyEntries([entry(1, many(5))]);
    await engine.idle();
    await engine.checkpoint();
    copyFileSync(store, left);
    await engine.applyEntries([lost]);
    await engine.idle();
    expect(await engine.saveGraph()).toBe(true);
    const answers = await engine.search([query(at(0))]);
    await engine.close();
    copyFileSync(left, store);

    engine = await openEngine(directory.path, { events: (event) => events.push(event) });
    expect(engine.appliedIndex()).toBe(1);
    expect(await idsOf(engine, query(at(0)))).toEqual([0, 1, 2, 3, 4]);
    expect(events.map(({ kind }) => kind)).toContain("graphDiscarded");
    await engine.applyEntries([lost]);
    await engine.idle();
    expect(await engine.search([query(at(0))])).toEqual(answers);
    await engine.close();
  });
});

describe("the point store", () => {
  test("a file that is no database is one clear error that names it", async () => {
    using directory = temporaryDirectory();
    await (await openEngine(directory.path)).close();
    const file = join(directory.path, "data-1", "points.sqlite");
    writeFileSync(file, Buffer.alloc(40_000, 3));
    await refused(openEngine(directory.path)).toThrow(file);
    await refused(openEngine(directory.path)).toMatchObject({ code: "STORE_CORRUPT" });
  });

  test("vectors of another shape are refused", async () => {
    using directory = temporaryDirectory();
    await (await openEngine(directory.path)).close();
    await refused(openEngine(directory.path, { spec: { ...SPEC, dimension: 7 } })).toMatchObject({
      code: "STORE_VERSION",
    });
  });

  test("a storage fault stops the shard: nothing follows it, and it says so", async () => {
    using directory = temporaryDirectory();
    const events: EngineEvent[] = [];
    const engine = await openEngine(directory.path, { events: (event) => events.push(event) });
    await engine.applyEntries([entry(1, many(3))]);
    // A gap in the log is as bad as a failing disk: what is there can no longer be what the log says.
    await refused(engine.applyEntries([entry(9, many(1))])).toThrow(/entry 9 follows 1/);
    await refused(engine.applyEntries([entry(2, many(1))])).toMatchObject({ code: "SHARD_STOPPED" });
    await refused(engine.search([query(at(0))])).toMatchObject({ code: "SHARD_STOPPED" });
    expect(engine.stats().failure).toMatch(/entry 9/);
    expect(events.map(({ kind }) => kind)).toContain("stopped");
    await engine.close();
  });

  test("a shard that cannot be made durable is closed all the same, and can be opened again", async () => {
    using directory = temporaryDirectory();
    let engine = await openEngine(directory.path);
    await engine.applyEntries([entry(1, many(3))]);
    const checkpoint = vi.spyOn(PointStore.prototype, "checkpoint").mockImplementation(() => {
      throw new EngineError("STORE_FULL", "the disk is full");
    });
    await refused(engine.close().finally(() => checkpoint.mockRestore())).toThrow("the disk is full");
    engine = await openEngine(directory.path);
    await engine.applyEntries([entry(engine.appliedIndex() + 1, upsert(["after", at(1)]))]);
    expect(await engine.checkpoint()).toBe(engine.appliedIndex());
    await engine.close();
  });
});

describe("snapshots", () => {
  test("a copy is as of one index, though writes went on; restored, it answers the same", async () => {
    using from = temporaryDirectory();
    using to = temporaryDirectory();
    await using source = await openEngine(from.path);
    await using target = await openEngine(to.path);
    await source.applyEntries([entry(1, many(200))]);
    await source.idle();
    await source.saveGraph();
    const capturing = source.capture();
    await source.applyEntries([entry(2, { kind: "delete", ids: [5] })]);
    await using copy = await capturing;
    await target.applyEntries([entry(1, upsert(["old", at(5)]))]);
    await target.restore(copy);
    expect(target.appliedIndex()).toBe(copy.index);
    expect(target.recomputeStateHash()).toBe(target.stats().stateHash);
    if (copy.index === 1) await target.applyEntries([entry(2, { kind: "delete", ids: [5] })]);
    expect(target.stats().stateHash).toBe(source.stats().stateHash);
    expect(await idsOf(target, query(at(5), { limit: 2 }))).toEqual([4, 6]);
  });

  test("a saved graph that is newer than the copied points stays behind: its labels would be given away again", async () => {
    using directory = temporaryDirectory();
    const engine = await openEngine(directory.path);
    await engine.applyEntries([entry(1, many(20)), entry(2, upsert([20, at(20)]))]);
    await engine.idle();
    await engine.close();
    const data = join(directory.path, "data-1");
    const filesAsOf = async (index: number): Promise<readonly string[]> => {
      await using copy = await captureSnapshot({
        store: { copyTo: async (file) => copyFileSync(join(data, "points.sqlite"), file) },
        ...{
          spec: SPEC,
          data,
          into: join(directory.path, `capture-${index}`),
          save: () => Promise.resolve(),
        },
        ...{ isBusy: () => false, indexOf: () => index },
      });
      return copy.files.map(({ name }) => name.replace(/\d.*/, ""));
    };
    expect(await filesAsOf(1)).toEqual(["points.sqlite"]);
    expect(await filesAsOf(2)).toEqual(["points.sqlite", "graph-", "graph.json"]);
  });

  test("a copy with one wrong byte is refused and changes nothing", async () => {
    using from = temporaryDirectory();
    using to = temporaryDirectory();
    await using source = await openEngine(from.path);
    await using target = await openEngine(to.path);
    await source.applyEntries([entry(1, many(20))]);
    await target.applyEntries([entry(1, upsert(["kept", at(1)]))]);
    await using copy = await source.capture();
    const wrong = {
      ...copy,
      read: async (name: string, offset: number, length: number) => {
        const bytes = await copy.read(name, offset, length);
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
        return bytes;
      },
    };
    await refused(target.restore(wrong)).toMatchObject({ code: "SNAPSHOT_CORRUPT" });
    // Its files as of one index, said to be of another: what follows in the log would not follow on them.
    const mislabelled = { ...copy, index: copy.index + 1, read: copy.read.bind(copy) };
    await refused(target.restore(mislabelled)).toMatchObject({ code: "SNAPSHOT_CORRUPT" });
    expect(await idsOf(target, query(at(0)))).toEqual(["kept"]);
    expect(readdirSync(to.path).sort()).toEqual(["CURRENT", "data-1"]);
  });
});

test("a closed shard answers CLOSED", async () => {
  using directory = temporaryDirectory();
  const engine = await openEngine(directory.path);
  await engine.close();
  await engine.close();
  await refused(engine.search([])).toThrow(EngineError);
  expect(() => engine.count()).toThrow(/closed/);
});
