/** Every hazard of the native library, and what makes it impossible. */
import fc from "fast-check";
import hnswlib from "hnswlib-node";
import { copyFileSync, existsSync, readFileSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EngineError, EngineInvariant } from "../../src/engine/errors.ts";
import { checkStructure, loadGraph, saveGraph } from "../../src/engine/graph-files.ts";
import { HnswGraph, NativeDistance } from "../../src/engine/hnsw.ts";
import { LABEL_MAX } from "../../src/engine/labels.ts";
import type { VectorSpec } from "../../src/engine/types.ts";
import { prepared } from "../../src/engine/vectors.ts";
import { SEED, SPEC, anyVector, temporaryDirectory } from "./support.ts";

const vectorOf = (seed: number): Float32Array =>
  Float32Array.from({ length: SPEC.dimension }, (_, at) => Math.sin(seed * 7.3 + at * 1.7));

function graphOf(count: number, spec: VectorSpec = SPEC): HnswGraph {
  const graph = HnswGraph.empty(spec);
  for (let label = 0; label < count; label++) graph.add(label, prepared(vectorOf(label), spec.distance));
  return graph;
}

function found(graph: HnswGraph, vector: Float32Array, k: number, ef = 200): readonly number[] {
  graph.aim(vector);
  return graph.search(k, ef).neighbors;
}

const TO = { appliedIndex: 7, sequence: 1 };
const nothing = (): void => undefined;

describe("what would kill the process", () => {
  test("a vector with a hole, NaN or infinity never reaches addPoint or searchKnn", () => {
    const graph = graphOf(3);
    for (const bad of [
      Float32Array.of(1, 2, NaN, 4, 5, 6),
      Float32Array.of(1, 2, Infinity, 4, 5, 6),
      Float32Array.of(1, 2, 3),
    ]) {
      expect(() => graph.add(9, bad)).toThrow(EngineInvariant);
      expect(() => graph.aim(bad)).toThrow(EngineInvariant);
    }
    expect(found(graph, vectorOf(1), 1)).toEqual([1]);
  });

  test("the filter that runs while a save defers tombstones cannot throw, and hides them", async () => {
    using directory = temporaryDirectory();
    const graph = graphOf(50);
    const writing = graph.write(join(directory.path, "graph"));
    graph.tombstone(4);
    expect(found(graph, vectorOf(4), 50)).not.toContain(4);
    expect(found(graph, vectorOf(4), 50)).toHaveLength(49);
    await writing;
    expect(found(graph, vectorOf(4), 50)).not.toContain(4);
    expect(graph.deletedLabels()).toEqual([4]);
  });

  test("an object whose load failed is not kept: a load is a new object or an error", async () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "garbage");
    writeFileSync(file, Buffer.alloc(200, 7));
    for (const missing of [file, join(directory.path, "missing")])
      await expect(HnswGraph.load(SPEC, { file: missing, count: 1, deleted: [] })).rejects.toThrow(
        EngineError,
      );
    expect(found(graphOf(2), vectorOf(1), 1)).toEqual([1]);
  });
});

describe("where the library says yes and means no", () => {
  test("a save into a missing directory is an error, though writeIndex resolves", async () => {
    using directory = temporaryDirectory();
    const missing = join(directory.path, "missing");
    await expect(saveGraph(graphOf(3), { directory: missing, ...TO }, nothing)).rejects.toThrow(/ENOENT/);
  });

  test("a file cut anywhere is recognised: the disk was full, though writeIndex resolves", async () => {
    using directory = temporaryDirectory();
    const whole = join(directory.path, "whole");
    const graph = graphOf(300);
    await graph.write(whole);
    const size = await checkStructure(whole, SPEC, 300);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 96, max: size - 1 }), async (length) => {
        const cut = join(directory.path, "cut");
        copyFileSync(whole, cut);
        truncateSync(cut, length);
        await expect(checkStructure(cut, SPEC, 300)).rejects.toThrow(EngineError);
      }),
      { seed: SEED, numRuns: 40 },
    );
  });

  test("a saved graph is loaded as it was: points, tombstones, answers", async () => {
    using directory = temporaryDirectory();
    const graph = graphOf(200);
    for (const label of [3, 50, 199]) graph.tombstone(label);
    await saveGraph(graph, { directory: directory.path, ...TO }, nothing);
    const loaded = await loadGraph(directory.path, SPEC);
    if (loaded.kind !== "loaded") throw new Error(`not loaded: ${JSON.stringify(loaded)}`);
    expect(loaded.graph.count).toBe(200);
    expect(loaded.graph.deletedLabels()).toEqual([3, 50, 199]);
    expect(found(loaded.graph, vectorOf(3), 200)).toEqual(found(graph, vectorOf(3), 200));
  });

  test("a graph of another dimension, metric, m or efConstruct is not loaded", async () => {
    using directory = temporaryDirectory();
    await saveGraph(graphOf(10), { directory: directory.path, ...TO }, nothing);
    const others: VectorSpec[] = [
      { ...SPEC, dimension: 5 },
      { ...SPEC, distance: "Dot" },
      { ...SPEC, m: 9 },
      { ...SPEC, efConstruct: 65 },
    ];
    for (const other of others)
      expect(await loadGraph(directory.path, other)).toMatchObject({ kind: "doubtful" });
  });

  test("one flipped bit anywhere in the file is recognised", async () => {
    using directory = temporaryDirectory();
    const { file } = await saveGraph(graphOf(30), { directory: directory.path, ...TO }, nothing);
    const path = join(directory.path, file);
    const whole = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(7), async (at, bit) => {
        const flipped = Buffer.from(whole);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
        writeFileSync(path, flipped);
        expect(await loadGraph(directory.path, SPEC)).toMatchObject({ kind: "doubtful" });
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  test("a manifest that is cut, or a file that is gone, is doubtful; neither of them is none", async () => {
    using directory = temporaryDirectory();
    expect(await loadGraph(directory.path, SPEC)).toEqual({ kind: "none" });
    const { file } = await saveGraph(graphOf(5), { directory: directory.path, ...TO }, nothing);
    const manifest = join(directory.path, "graph.json");
    const text = readFileSync(manifest, "utf8");
    for (const bad of [text.slice(0, -3), "{}", "null", text.replace(file, "../x")]) {
      writeFileSync(manifest, bad);
      expect(await loadGraph(directory.path, SPEC)).toMatchObject({ kind: "doubtful" });
    }
    writeFileSync(manifest, text.replace(file, "graph-7-9.hnsw"));
    expect(await loadGraph(directory.path, SPEC)).toMatchObject({ kind: "doubtful" });
  });

  test("an empty graph is saved, loaded with capacity 0, and grows", async () => {
    using directory = temporaryDirectory();
    await saveGraph(HnswGraph.empty(SPEC), { directory: directory.path, ...TO }, nothing);
    const loaded = await loadGraph(directory.path, SPEC);
    if (loaded.kind !== "loaded") throw new Error("not loaded");
    expect(found(loaded.graph, vectorOf(1), 5)).toEqual([]);
    for (let label = 0; label < 2_000; label++) loaded.graph.add(label, vectorOf(label));
    expect(loaded.graph.count).toBe(2_000);
  });

  test("ef is what each search asks for, not what a load or the search before left", async () => {
    using directory = temporaryDirectory();
    // So few links in so many dimensions that a walk with few candidates gets lost.
    const sparse = { ...SPEC, dimension: 24, m: 4, efConstruct: 16 };
    const points = 1_000;
    const vector = (seed: number): Float32Array =>
      Float32Array.from(
        { length: sparse.dimension },
        (_, at) => (Math.sin(seed * 97.3 + at * 61.7) * 1e4) % 1,
      );
    const graph = HnswGraph.empty(sparse);
    for (let label = 0; label < points; label++) graph.add(label, vector(label));
    await saveGraph(graph, { directory: directory.path, ...TO }, nothing);
    const loaded = await loadGraph(directory.path, sparse);
    if (loaded.kind !== "loaded") throw new Error("not loaded");
    const distance = new NativeDistance(sparse);
    const recall = (ef: number): number => {
      let right = 0;
      for (let asked = 0.5; asked < 20; asked++) {
        distance.from(vector(asked));
        const all = Array.from({ length: points }, (_, label) => distance.to(vector(label)));
        const tenth = all.sort((a, b) => a - b)[9] ?? 0;
        loaded.graph.aim(vector(asked));
        right += loaded.graph.search(10, ef).distances.filter((found) => found <= tenth).length;
      }
      return right / 200;
    };
    const [wide, narrow, wideAgain] = [recall(points), recall(10), recall(points)];
    expect(wide).toBe(1);
    expect(narrow).toBeLessThan(0.95);
    expect(wideAgain).toBe(1);
  });

  test("labels that would be cut to 32 bits are refused; the largest one works", () => {
    const graph = graphOf(1);
    for (const label of [2 ** 32, 2 ** 32 + 5, -1, 0.5, NaN])
      expect(() => graph.add(label, vectorOf(1))).toThrow(EngineInvariant);
    graph.add(LABEL_MAX, vectorOf(2));
    expect(found(graph, vectorOf(2), 1)).toEqual([LABEL_MAX]);
    expect(graph.has(LABEL_MAX)).toBe(true);
  });

  test("a label is used once, deleted or not", () => {
    const graph = graphOf(3);
    graph.tombstone(1);
    graph.tombstone(1);
    expect(() => graph.add(1, vectorOf(8))).toThrow(EngineInvariant);
    expect(() => graph.add(2, vectorOf(8))).toThrow(EngineInvariant);
    expect(graph.tombstones).toBe(1);
  });
});

describe("what it costs", () => {
  test("a graph that is being written refuses additions: the library takes no lock", async () => {
    using directory = temporaryDirectory();
    const graph = graphOf(20);
    const writing = graph.write(join(directory.path, "graph"));
    expect(graph.isSaving).toBe(true);
    expect(() => graph.add(20, vectorOf(20))).toThrow(EngineInvariant);
    expect(() => graph.free()).toThrow(EngineInvariant);
    await expect(graph.write(join(directory.path, "other"))).rejects.toThrow(EngineInvariant);
    await writing;
    graph.add(20, vectorOf(20));
    expect(found(graph, vectorOf(20), 1)).toEqual([20]);
  });

  test("k above the capacity, which throws in the library, gives all there are", () => {
    expect(found(graphOf(5), vectorOf(0), 100_000, 16_384)).toHaveLength(5);
  });

  test("a freed graph gives its memory back and is never called again", () => {
    const graph = graphOf(10);
    graph.free();
    graph.free();
    expect(graph.bytes).toBe(0);
    expect(() => graph.search(1, 10)).toThrow(EngineInvariant);
    expect(() => graph.add(11, vectorOf(1))).toThrow(EngineInvariant);
  });

  test("a typed array is converted; what it is converted into is not kept", () => {
    const graph = HnswGraph.empty(SPEC);
    const vector = vectorOf(1);
    graph.add(1, vector);
    vector.fill(9);
    graph.add(2, vector);
    expect(found(graph, vectorOf(1), 1)).toEqual([1]);
  });
});

describe("what is built on", () => {
  test("the same inserts in the same order give the same bytes", async () => {
    using directory = temporaryDirectory();
    const files = ["a", "b"].map((name) => join(directory.path, name));
    for (const file of files) await graphOf(100).write(file);
    const [a, b] = files.map((file) => readFileSync(file));
    expect(a?.equals(b ?? Buffer.alloc(0))).toBe(true);
  });

  test.each(["Cosine", "Dot", "Euclid"] as const)(
    "%s: a point scores the same in graph and tail",
    (distance) => {
      const spec = { ...SPEC, distance };
      const native = new NativeDistance(spec);
      fc.assert(
        fc.property(anyVector(SPEC.dimension), anyVector(SPEC.dimension), (a, b) => {
          const graph = HnswGraph.empty(spec);
          graph.add(0, prepared(b, distance));
          graph.aim(prepared(a, distance));
          native.from(prepared(a, distance));
          expect(graph.search(1, 10).distances).toEqual([native.to(prepared(b, distance))]);
        }),
        { seed: SEED, numRuns: 50 },
      );
    },
  );

  test("the library's cosine space is not used: it normalises in float32, the engine in doubles", () => {
    const index = new hnswlib.HierarchicalNSW("cosine", 2);
    index.initIndex(1);
    index.addPoint([3, 4], 0);
    expect(index.getPoint(0)).not.toEqual([3, 4]);
    expect([...prepared(Float32Array.of(3, 4), "Cosine")]).toEqual([...Float32Array.of(0.6, 0.8)]);
  });

  test("a save that a crash interrupts leaves no file in the way of the next", async () => {
    using directory = temporaryDirectory();
    writeFileSync(join(directory.path, "graph-3-1.hnsw.tmp"), "half");
    const { file } = await saveGraph(graphOf(5), { directory: directory.path, ...TO }, nothing);
    expect(readdirSync(directory.path).sort()).toEqual([file, "graph.json"].sort());
    expect(existsSync(join(directory.path, "graph-3-1.hnsw.tmp"))).toBe(false);
  });
});
