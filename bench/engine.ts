/**
 * The engine alone, beside the bare library, in one run: apply rate, indexing, search overhead, tail scan, restart.
 * `npm run bench -- engine [--points N]`. Ratios of one run mean something, absolute figures depend on the machine.
 */
import hnswlib from "hnswlib-node";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { encodeEntry } from "../src/engine/ops-codec.ts";
import { SYSTEM_CLOCK, TurnScheduler } from "../src/engine/scheduler.ts";
import { ShardEngine } from "../src/engine/shard-engine.ts";
import type { EngineEntry } from "../src/engine/surface.ts";
import type { SearchQuery, VectorSpec } from "../src/engine/types.ts";

const SPEC: VectorSpec = { dimension: 784, distance: "Euclid", m: 16, efConstruct: 200 };
const BATCH = 100;
const QUERIES = 1_000;

/** Digits of MNIST when they lie beside the repository, else noise, which is harder for a graph. */
function vectors(count: number): Float32Array[] {
  for (const root of ["../shared/data", "../../shared/data"]) {
    const file = join(root, "mnist-train-images-idx3-ubyte.gz");
    if (!existsSync(file)) continue;
    const images = gunzipSync(readFileSync(file)).subarray(16);
    const most = Math.min(count, images.length / SPEC.dimension);
    return Array.from({ length: most }, (_, at) =>
      Float32Array.from(images.subarray(at * SPEC.dimension, (at + 1) * SPEC.dimension)),
    );
  }
  let state = 1;
  const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  return Array.from({ length: count }, () => Float32Array.from({ length: SPEC.dimension }, random));
}

function entries(points: readonly Float32Array[]): EngineEntry[] {
  const made: EngineEntry[] = [];
  for (let from = 0; from < points.length; from += BATCH) {
    const slice = points.slice(from, from + BATCH);
    const data = encodeEntry({
      origin: "bench",
      sequence: from,
      operations: [
        {
          kind: "upsert",
          points: slice.map((vector, at) => ({ id: from + at, vector, payload: { at: from + at } })),
        },
      ],
    });
    made.push({ index: made.length + 1, data });
  }
  return made;
}

const query = (vector: Float32Array): SearchQuery => ({
  vector,
  limit: 10,
  offset: 0,
  ef: 64,
  exact: false,
  scoreThreshold: null,
  withPayload: { kind: "none" },
  withVector: false,
});

async function timed<T>(run: () => T | Promise<T>): Promise<{ readonly ms: number; readonly value: T }> {
  const startedMs = performance.now();
  const value = await run();
  return { ms: performance.now() - startedMs, value };
}

const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;

async function latencies(engine: ShardEngine, asked: readonly Float32Array[]): Promise<number[]> {
  const each: number[] = [];
  for (const vector of asked) each.push((await timed(() => engine.search([query(vector)]))).ms);
  return each.sort((a, b) => a - b);
}

function bareBuild(points: readonly Float32Array[]): InstanceType<typeof hnswlib.HierarchicalNSW> {
  const index = new hnswlib.HierarchicalNSW("l2", SPEC.dimension);
  index.initIndex({
    maxElements: points.length,
    m: SPEC.m,
    efConstruction: SPEC.efConstruct,
    randomSeed: 100,
  });
  points.forEach((vector, at) => index.addPoint(Array.from(vector), at));
  index.setEf(64);
  return index;
}

export async function main(args: readonly string[]): Promise<void> {
  const flag = args.indexOf("--points");
  const count = flag < 0 ? 10_000 : Number(args[flag + 1]);
  const all = vectors(count + QUERIES);
  const points = all.slice(0, -QUERIES);
  const asked = all.slice(-QUERIES);
  const directory = mkdtempSync(join(tmpdir(), "flotilla-bench-"));
  const parts = { directory, spec: SPEC, scheduler: new TurnScheduler(), clock: SYSTEM_CLOCK };
  const report: Record<string, number> = { points: points.length };
  try {
    const bare = await timed(() => bareBuild(points));
    report["bare build, s"] = bare.ms / 1_000;
    const bareRun = await timed(() => {
      for (const vector of asked) bare.value.searchKnn(Array.from(vector), 10);
    });
    report["bare searches/s"] = (QUERIES / bareRun.ms) * 1_000;

    const log = entries(points);
    let engine = await ShardEngine.open(parts);
    const built = await timed(async () => {
      const applied = await timed(async () => {
        for (const entry of log) {
          await engine.applyEntries([entry]);
        }
      });
      report["applied, points/s"] = (points.length / applied.ms) * 1_000;
      report["tail when applied"] = engine.stats().tail;
      await engine.idle();
    });
    report["engine build / bare build"] = built.ms / bare.ms;
    report["apply rate / bare insert rate"] =
      (report["applied, points/s"] ?? 0) / (points.length / bare.ms / 1e-3);
    const run = await timed(async () => {
      for (const vector of asked) await engine.search([query(vector)]);
    });
    report["engine searches/s / bare"] = bareRun.ms / run.ms;
    const idle = await latencies(engine, asked);
    report["search p50 ms"] = percentile(idle, 0.5);
    report["search p99 ms"] = percentile(idle, 0.99);
    const saved = await timed(() => engine.close());
    report["close with save, ms"] = saved.ms;
    const reopened = await timed(async () => {
      engine = await ShardEngine.open(parts);
    });
    report["reopen / bare build"] = reopened.ms / bare.ms;
    const exact = await timed(() =>
      engine.search([{ ...query(asked[0] ?? new Float32Array(784)), exact: true }]),
    );
    report["exact search over all, ms"] = exact.ms;
    report["bytes per point"] = engine.stats().bytes.bytesPerPoint;
    await engine.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  for (const [what, value] of Object.entries(report))
    console.log(`${what.padEnd(46)} ${Number(value.toPrecision(4))}`);
}
