import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { slotOf, evenSlots, slotTable } from "../../src/catalog/slots.ts";
import { compareHits, mergeHits, mergePages } from "../../src/cluster/merge.ts";
import { compareIds } from "../../src/engine/order.ts";
import { splitWrites } from "../../src/cluster/split.ts";
import { decodeEntry, encodeEntry } from "../../src/engine/ops-codec.ts";
import type { PointId, ScoredPoint, WriteOp } from "../../src/cluster/types.ts";

const ids: fc.Arbitrary<PointId> = fc.oneof(
  fc.nat({ max: 30 }),
  fc.constantFrom("a", "b", "B", "ä", "10", "9", "\uffff", "\u{1f600}"),
);
const hit = (id: PointId, score: number): ScoredPoint => ({ id, score, version: 1, payload: null });
/** Few different scores, so that ties decide often. */
const collections = fc
  .array(fc.tuple(ids, fc.integer({ min: -2, max: 2 })), { maxLength: 40 })
  .map((pairs) => [...new Map(pairs).entries()].map(([id, score]) => hit(id, score)));
const pages = fc.record({ offset: fc.nat({ max: 12 }), limit: fc.integer({ min: 1, max: 12 }) });
const distances = fc.constantFrom("Cosine" as const, "Dot" as const, "Euclid" as const);

const shardsOf = <T extends { readonly id: PointId }>(points: readonly T[], shards: number): T[][] => {
  const table = slotTable(evenSlots(shards));
  const held = Array.from({ length: shards }, (): T[] => []);
  for (const point of points) held[table[slotOf(point.id)] ?? 0]?.push(point);
  return held;
};

test("hits of several shards read as those of one that holds all", () => {
  fc.assert(
    fc.property(
      collections,
      fc.integer({ min: 1, max: 5 }),
      pages,
      distances,
      (all, shards, page, distance) => {
        const order = compareHits(distance);
        const answers = shardsOf(all, shards).map((held) =>
          held.sort(order).slice(0, page.offset + page.limit),
        );
        const whole = [...all].sort(order).slice(page.offset, page.offset + page.limit);
        expect(mergeHits(distance, answers, page)).toEqual(whole);
      },
    ),
    { seed: 21, numRuns: 500 },
  );
});

test("similarities descend, distances ascend, equal scores go by id: numbers first", () => {
  const hits = [hit("a", 1), hit(10, 1), hit(9, 1), hit("B", 1), hit(1, 2)];
  expect([...hits].sort(compareHits("Dot")).map(({ id }) => id)).toEqual([1, 9, 10, "B", "a"]);
  // By code point, as the point store's index has them: by UTF-16 unit the astral one would come first.
  const far = [hit("\u{1f600}", 1), hit("\uffff", 1)];
  expect(far.sort(compareHits("Dot")).map(({ id }) => id)).toEqual(["\uffff", "\u{1f600}"]);
  expect([...hits].sort(compareHits("Euclid")).map(({ id }) => id)).toEqual([9, 10, "B", "a", 1]);
});

test("pages of several shards, read to the end, give every point once and in order", () => {
  fc.assert(
    fc.property(
      collections,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 7 }),
      (all, shards, limit) => {
        const held = shardsOf(all, shards).map((points) => points.sort((a, b) => compareIds(a.id, b.id)));
        const seen: PointId[] = [];
        let from: PointId | null = null;
        do {
          const answers = held.map((points) => {
            const rest = points.filter(({ id }) => from === null || compareIds(id, from) >= 0);
            return { points: rest.slice(0, limit), next: rest[limit]?.id ?? null };
          });
          const page = mergePages(answers, limit);
          expect(page.points.length).toBeLessThanOrEqual(limit);
          seen.push(...page.points.map(({ id }) => id));
          from = page.next;
        } while (from !== null);
        expect(seen).toEqual(all.map(({ id }) => id).sort(compareIds));
      },
    ),
    { seed: 22, numRuns: 300 },
  );
});

describe("cutting a write", () => {
  const vector = (): Float32Array => new Float32Array(8);
  const operations: fc.Arbitrary<WriteOp> = fc.oneof(
    fc.array(ids, { maxLength: 20 }).map((some): WriteOp => ({
      kind: "upsert",
      points: some.map((id) => ({ id, vector: vector(), payload: { text: `of ${id}` } })),
    })),
    fc.array(ids, { maxLength: 20 }).map((some): WriteOp => ({ kind: "delete", ids: some, ifVersion: 3 })),
    fc
      .array(ids, { maxLength: 20 })
      .map((some): WriteOp => ({ kind: "setPayload", ids: some, payload: { big: "x".repeat(50) } })),
  );
  const idsOf = (operation: WriteOp): readonly PointId[] =>
    "points" in operation ? operation.points.map(({ id }) => id) : operation.ids;

  test("keeps, per id, every operation in order, and puts nothing on another shard", () => {
    fc.assert(
      fc.property(
        fc.array(operations, { maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 100, max: 2000 }),
        (write, shards, entryBytes) => {
          const table = slotTable(evenSlots(shards));
          const shardOf = (id: PointId): number => table[slotOf(id)] ?? 0;
          const history = (all: readonly WriteOp[]): Map<PointId, string[]> => {
            const kinds = new Map<PointId, string[]>();
            for (const operation of all) {
              for (const id of idsOf(operation)) {
                kinds.set(id, [...(kinds.get(id) ?? []), `${operation.kind} ${operation.ifVersion}`]);
              }
            }
            return kinds;
          };
          const cut = splitWrites(write, { entryBytes, shardOf });
          const flat = cut.flatMap(({ entries }) => entries.flat());
          expect(history(flat)).toEqual(history(write));
          for (const { shard, entries } of cut) {
            for (const entry of entries) {
              expect(entry.length).toBeGreaterThan(0);
              for (const operation of entry) {
                for (const id of idsOf(operation)) expect(shardOf(id)).toBe(shard);
              }
            }
          }
          expect(splitWrites(write, { entryBytes, shardOf })).toEqual(cut);
        },
      ),
      { seed: 23, numRuns: 300 },
    );
  });

  test("fills entries up to the limit; what alone is larger goes alone", () => {
    const point = (id: number, floats: number) => ({ id, vector: new Float32Array(floats), payload: null });
    const points = [point(1, 100), point(2, 100), point(3, 2000), point(4, 100)];
    const [only] = splitWrites([{ kind: "upsert", points }], { entryBytes: 1000, shardOf: () => 0 });
    expect(only?.entries.map((entry) => entry.flatMap(idsOf))).toEqual([[1, 2], [3], [4]]);
  });

  test.each<[what: string, write: readonly WriteOp[]]>([
    ["points", [{ kind: "delete", ids: Array.from({ length: 250_000 }, (_, id) => id) }]],
    ["operations", Array.from({ length: 25_000 }, (_, id): WriteOp => ({ kind: "clearPayload", ids: [id] }))],
  ])("puts no more %s into an entry than the state machine takes", (_, write) => {
    const [only] = splitWrites(write, { entryBytes: 16 << 20, shardOf: () => 0 });
    const entries = only?.entries ?? [];
    const read = entries.map((some) =>
      decodeEntry(encodeEntry({ origin: "", sequence: 0, operations: some })),
    );
    expect(read.map(({ kind }) => kind)).toEqual(["entry", "entry", "entry"]);
    expect(entries.flat().flatMap(idsOf)).toEqual(write.flatMap(idsOf));
  });
});
