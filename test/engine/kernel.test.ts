import fc from "fast-check";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { VectorArena } from "../../src/engine/kernel.ts";
import { assembleKernel } from "./assemble-kernel.ts";
import { SEED } from "./support.ts";

const anyCase = fc.integer({ min: 1, max: 70 }).chain((dimension) => {
  const float = fc.float({ min: -100, max: 100, noNaN: true });
  const vector = fc
    .array(float, { minLength: dimension, maxLength: dimension })
    .map((values) => Float32Array.from(values));
  return fc.record({ query: vector, vectors: fc.array(vector, { minLength: 1, maxLength: 40 }) });
});

test.each(["innerProduct", "squaredDistance"] as const)(
  "%s agrees with a plain loop in doubles",
  (metric) => {
    fc.assert(
      fc.property(anyCase, ({ query, vectors }) => {
        const arena = new VectorArena(query.length, metric);
        vectors.forEach((vector, slot) => {
          arena.reserve(slot + 1);
          arena.put(slot, vector);
        });
        const found = arena.distances(query, vectors.length);
        vectors.forEach((vector, slot) => {
          let exact = 0;
          let scale = 1;
          query.forEach((q, at) => {
            const v = vector[at] ?? NaN;
            exact += metric === "innerProduct" ? q * v : (q - v) ** 2;
            scale += metric === "innerProduct" ? Math.abs(q * v) : (q - v) ** 2;
          });
          const expected = metric === "innerProduct" ? 1 - exact : exact;
          expect(Math.abs((found[slot] ?? NaN) - expected)).toBeLessThanOrEqual(
            scale * query.length * 2 ** -23,
          );
        });
      }),
      { seed: SEED, numRuns: 200 },
    );
  },
);

test("equal vectors have equal distances in any slot, also where another vector lay", () => {
  const arena = new VectorArena(5, "squaredDistance");
  arena.reserve(300);
  for (let slot = 0; slot < 300; slot++) arena.put(slot, new Float32Array(5).fill(slot));
  arena.put(7, Float32Array.of(1, 2, 3, 4, 0.1));
  arena.move(7, 250);
  arena.reserve(10_000);
  const distances = arena.distances(Float32Array.of(0.3, 0.7, 0.1, 9, 3), 300);
  expect(distances[250]).toBe(distances[7]);
  expect([...arena.at(250)]).toEqual([...Float32Array.of(1, 2, 3, 4, 0.1)]);
});

test("the assembled kernel is the one that kernel.wat describes", async () => {
  const root = new URL("../..", import.meta.url).pathname;
  expect(readFileSync(`${root}/src/engine/kernel-bytes.ts`, "utf8")).toBe(await assembleKernel(root));
});
