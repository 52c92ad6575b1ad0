/** Random histories: whatever way points took through tail, graph, tombstones, saves, rebuilds and restarts. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareIds } from "../../src/engine/order.ts";
import type { ShardEngine } from "../../src/engine/shard-engine.ts";
import type { Distance, PointId, ScoredPoint, WriteOp } from "../../src/engine/types.ts";
import {
  FAST_OPTIONS,
  ModelShard,
  SEED,
  SPEC,
  anyOperation,
  anyVector,
  entry,
  openEngine,
  query,
  temporaryDirectory,
} from "./support.ts";

type Step =
  | { readonly kind: "write"; readonly entries: readonly (readonly WriteOp[])[] }
  | { readonly kind: "idle" | "save" | "reopen" | "copy" };

// Few ids, so that points are updated, deleted and written again.
const fewIds: fc.Arbitrary<PointId> = fc.oneof(
  fc.integer({ min: 0, max: 25 }),
  fc.constantFrom("a", "b", "é", "\u{1f600}", "\uffee"),
);

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      entries: fc.array(fc.array(anyOperation(SPEC.dimension, fewIds), { maxLength: 3 }), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("idle", "save", "reopen", "copy") }) },
);

const anyHistory = fc.record({
  distance: fc.constantFrom<Distance[]>("Cosine", "Dot", "Euclid"),
  steps: fc.array(anyStep, { minLength: 1, maxLength: 14 }),
  queries: fc.array(anyVector(SPEC.dimension), { minLength: 1, maxLength: 3 }),
});

function compareHits(distance: Distance): (a: ScoredPoint, b: ScoredPoint) => number {
  return (a, b) =>
    a.score === b.score
      ? compareIds(a.id, b.id)
      : distance === "Euclid"
        ? a.score - b.score
        : b.score - a.score;
}

async function compare(engine: ShardEngine, model: ModelShard, vectors: readonly Float32Array[]) {
  const { distance } = engine.spec;
  const limit = model.points.size + 3;
  for (const vector of vectors) {
    const asked = query(vector, { limit, ef: 500 });
    const [walked, exact] = await engine.search([asked, { ...asked, exact: true }]);
    expect(walked).toEqual(exact);
    expect([...(exact ?? [])].sort(compareHits(distance))).toEqual(exact);
    const scores = model.scores(vector, distance);
    expect(new Set(exact?.map((hit) => hit.id))).toEqual(new Set(scores.keys()));
    for (const hit of exact ?? []) {
      expect(Math.abs(hit.score - (scores.get(hit.id) ?? NaN))).toBeLessThan(1e-4);
      expect(hit.version).toBe(model.points.get(hit.id)?.version);
    }
    // A short list is the beginning of the long one, equal scores included.
    const [short] = await engine.search([query(vector, { limit: 3, offset: 1, ef: 500 })]);
    expect(short).toEqual(exact?.slice(1, 4));
  }
  expect(engine.count()).toBe(model.points.size);
  const all = engine.scroll(null, 1_000, { withPayload: { kind: "all" }, withVector: true });
  expect(all.points.map(({ id }) => id)).toEqual([...model.points.keys()].sort(compareIds));
  for (const point of all.points) {
    const { id, ...rest } = point;
    expect(rest).toEqual(model.points.get(id));
  }
}

describe("whatever a point went through", () => {
  test("tail, graph and tombstones together answer as an exact scan over the live points", async () => {
    await fc.assert(
      fc.asyncProperty(anyHistory, async ({ distance, steps, queries }) => {
        using directory = temporaryDirectory();
        using other = temporaryDirectory();
        const open = { spec: { ...SPEC, distance }, options: FAST_OPTIONS };
        let engine = await openEngine(directory.path, open);
        const twin = await openEngine(other.path, open);
        const model = new ModelShard();
        let index = 0;
        try {
          for (const step of steps) {
            switch (step.kind) {
              case "write": {
                const entries = step.entries.map((operations) => entry(++index, ...operations));
                const outcomes = await engine.applyEntries(entries);
                // One by one on the twin: the same outcomes, whatever shared a transaction.
                for (const [at, one] of entries.entries())
                  expect(await twin.applyEntries([one])).toEqual([outcomes[at]]);
                step.entries.forEach((operations, at) => {
                  const done = model.apply(index - entries.length + 1 + at, operations);
                  expect(outcomes[at]?.kind).toBe(done ? "applied" : "rejected");
                });
                break;
              }
              case "idle":
                await engine.idle();
                break;
              case "save":
                await engine.saveGraph();
                break;
              case "reopen":
                await engine.close();
                engine = await openEngine(directory.path, open);
                break;
              case "copy": {
                await using copy = await twin.capture();
                await engine.restore(copy);
                break;
              }
            }
            await compare(engine, model, queries.slice(0, 1));
          }
          await compare(engine, model, queries);
          await engine.idle();
          await compare(engine, model, queries);
          expect(engine.stats().stateHash).toBe(twin.stats().stateHash);
          expect(engine.recomputeStateHash()).toBe(engine.stats().stateHash);
        } finally {
          await engine.close();
          await twin.close();
        }
      }),
      { seed: SEED, numRuns: 40 },
    );
  }, 120_000);
});
