/** The change that set-up makes to the library: a Float32Array means what the array of its numbers means. */
import hnswlib from "hnswlib-node";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HnswGraph, NativeDistance } from "../../src/engine/hnsw.ts";
import { temporaryDirectory } from "./support.ts";

/** Plain JavaScript, as it runs before anything is compiled. */
const CHANGE: string = new URL("../../src/typed-vectors.mjs", import.meta.url).href;
const { takeTypedVectors } = (await import(CHANGE)) as { readonly takeTypedVectors: (file: string) => void };
const SOURCE = createRequire(import.meta.url).resolve("hnswlib-node/src/addon.cc");

const DIMENSION = 7;
const row = (seed: number): Float32Array =>
  Float32Array.from({ length: DIMENSION }, (_, at) => Math.sin(seed * 3.1 + at));

describe("vectors as Float32Array", () => {
  test.each(["Euclid", "Dot"] as const)(
    "%s: same neighbours and distances as arrays of numbers",
    (distance) => {
      const spec = { dimension: DIMENSION, distance, m: 16, efConstruct: 100 };
      const typed = HnswGraph.empty(spec);
      const plain = new hnswlib.HierarchicalNSW(distance === "Euclid" ? "l2" : "ip", DIMENSION);
      plain.initIndex({ maxElements: 200, m: 16, efConstruction: 100, randomSeed: 100 });
      for (let label = 0; label < 200; label++) {
        typed.add(label, row(label));
        plain.addPoint([...row(label)], label);
      }
      plain.setEf(50);
      const native = new NativeDistance(spec);
      for (let query = 500; query < 520; query++) {
        typed.aim(row(query));
        const hits = typed.search(10, 50);
        expect(hits).toEqual(plain.searchKnn([...row(query)], 10));
        native.from(row(query));
        expect(native.to(row(hits.neighbors[0] ?? -1))).toBe(hits.distances[0]);
      }
    },
  );

  test("a view into a larger buffer is read where it begins", () => {
    const all = Float32Array.from({ length: 3 * DIMENSION }, (_, at) => at);
    const space = new hnswlib.L2Space(DIMENSION);
    const middle = all.subarray(DIMENSION, 2 * DIMENSION);
    const distance: unknown = Reflect.apply(space.distance, space, [middle, [...middle]]);
    expect(distance).toBe(0);
  });

  test("another length and another kind of array are refused, not read", () => {
    const index = new hnswlib.HierarchicalNSW("l2", DIMENSION);
    index.initIndex(10);
    const add = (point: unknown) => () => Reflect.apply(index.addPoint, index, [point, 1]);
    expect(add(new Float32Array(DIMENSION - 1))).toThrow(/array length/);
    expect(add(new Float64Array(DIMENSION))).toThrow(/must be an Array/);
    expect(add(new Uint8Array(DIMENSION))).toThrow(/must be an Array/);
  });
});

describe("the change itself", () => {
  test("made twice it is made once, and a source of another release is refused", () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "addon.cc");
    const built = readFileSync(SOURCE, "utf8");
    writeFileSync(file, built);
    takeTypedVectors(file);
    expect(readFileSync(file, "utf8")).toBe(built);
    writeFileSync(file, "class L2Space : public Nothing {};");
    expect(() => takeTypedVectors(file)).toThrow(/is there 0 times/);
  });
});
