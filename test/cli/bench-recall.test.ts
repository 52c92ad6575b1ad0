import { Command } from "commander";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { groundTruth } from "../../src/cli/bench/ground-truth.ts";
import { WorkDir, writeSet } from "../../src/cli/bench/loaded-set.ts";
import type { RecallReport } from "../../src/cli/bench/report.ts";
import { exactDistance } from "../../src/cli/bench/distances.ts";
import { registerBench } from "../../src/cli/bench-recall.ts";
import { loadBenchmarkSet } from "../../src/datasets/benchmark-set.ts";
import { bvecs, TempDir } from "../datasets/files.ts";
import { FakeNode } from "./fake-node.ts";

/** Deterministic bytes with many ties. */
function rows(count: number, dimension: number): number[][] {
  let state = 12345;
  const next = () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 16) % 4;
  };
  return Array.from({ length: count }, () => Array.from({ length: dimension }, next));
}

beforeEach(() => {
  vi.spyOn(console, "error").mockReturnValue();
});
afterEach(() => {
  process.exitCode = 0;
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

for (const distance of ["Euclid", "Cosine", "Dot"] as const) {
  test(`ground truth for ${distance} equals a plain scan, ties by id, and is computed once`, async () => {
    using dir = new TempDir();
    using work = new WorkDir();
    const dataset = dir.write("set.bvecs", bvecs(rows(600, 5)));
    const set = await loadBenchmarkSet({ dataset, dataDirs: [], cacheDir: dir.path, distance });
    const files = writeSet(work.path, set);
    const first = await groundTruth({ set, ...files, k: 7, cacheDir: dir.path });
    expect(first.cached).toBe(false);
    expect(files.queries.count).toBe(60);
    for (let query = 0; query < files.queries.count; query++) {
      const wanted = Array.from({ length: files.base.count }, (_, id) => ({
        id,
        distance: exactDistance(distance, set.queries, query * 5, set.base, id * 5, 5),
      })).sort((a, b) => a.distance - b.distance || a.id - b.id);
      expect([...first.truth.ids.subarray(query * 7, query * 7 + 7)]).toEqual(
        wanted.slice(0, 7).map(({ id }) => id),
      );
    }
    const second = await groundTruth({ set, ...files, k: 7, cacheDir: dir.path });
    expect(second.cached).toBe(true);
    expect(second.truth).toEqual(first.truth);
    const other = await groundTruth({ set, ...files, k: 8, cacheDir: dir.path });
    expect(other.cached).toBe(false);
  });
}

test("ground truth that cannot be kept is computed all the same, and said so", async () => {
  using dir = new TempDir();
  using work = new WorkDir();
  const dataset = dir.write("set.bvecs", bvecs(rows(600, 5)));
  const set = await loadBenchmarkSet({ dataset, dataDirs: [], cacheDir: dir.path });
  const said: string[] = [];
  const parts = { set, ...writeSet(work.path, set), k: 7, report: (line: string) => said.push(line) };
  // A file is no directory, whoever asks.
  const lost = await groundTruth({ ...parts, cacheDir: dataset });
  const kept = await groundTruth({ ...parts, cacheDir: dir.path });
  expect(lost.truth).toEqual(kept.truth);
  expect(said).toEqual([expect.stringMatching(/^the exact neighbours cannot be kept .*ENOTDIR/)]);
});

test("a report that cannot be written is shown before the failure is", async () => {
  using dir = new TempDir();
  await using node = await FakeNode.start();
  const printed = vi.spyOn(console, "log").mockReturnValue();
  await expect(bench(dir, node, "--out", dir.write("file", ""))).rejects.toThrow(/EEXIST|ENOTDIR/);
  expect(JSON.parse(String(printed.mock.calls.at(-1)?.[0]))).toMatchObject({ kind: "flotilla-bench-recall" });
});

async function bench(dir: TempDir, node: FakeNode, ...more: string[]): Promise<RecallReport> {
  vi.stubEnv("FLOTILLA_CACHE_DIR", join(dir.path, "cache"));
  const file = dir.write("set.bvecs", bvecs(rows(400, 12)));
  const printed = vi.spyOn(console, "log").mockReturnValue();
  const program = new Command();
  registerBench(program);
  const args = ["--url", node.url, "--dataset", file, "--out", join(dir.path, "out"), "--json"];
  await program.parseAsync(
    ["bench", "recall", "--quick", "--ef", "8,64", "--k", "1,10", "--clients", "1,3", ...args, ...more],
    { from: "user" },
  );
  return JSON.parse(String(printed.mock.calls.at(-1)?.[0])) as RecallReport;
}

test("an exact node is found to be exact, next to bare hnswlib, and nothing is left on it", async () => {
  using dir = new TempDir();
  await using node = await FakeNode.start();
  const report = await bench(dir, node, "--min-recall", "0.999");
  expect(process.exitCode).toBe(0);
  expect(node.collections.size).toBe(0);
  expect(report.set).toMatchObject({ base: 360, queries: 40, dimension: 12, distance: "Euclid" });
  expect(report.set.files[0]?.sha256).toMatch(/^[0-9a-f]{64}$/);
  // 2 ef x 2 k x (bare, 1 client, 3 clients).
  expect(report.points).toHaveLength(12);
  for (const point of report.points) {
    if (point.who === "flotilla") expect([point.recallId, point.recallEpsilon]).toEqual([1, 1]);
    expect(point.recallEpsilon).toBeGreaterThanOrEqual(point.recallId);
    expect(point.failures).toBe(0);
    expect(point.qps).toBeGreaterThan(0);
    expect(point.latencyMs.p99).toBeGreaterThanOrEqual(point.latencyMs.p50);
  }
  const best = report.points.filter(({ who, ef }) => who === "hnswlib" && ef === 64);
  expect(Math.min(...best.map(({ recallEpsilon }) => recallEpsilon))).toBeGreaterThan(0.9);
  expect(report.bare.insertsPerSecond).toBeGreaterThan(0);
  expect(report.machine.build.hnswlib).toMatch(/native|portable/);
  expect(node.searches[0]).toMatchObject({ limit: 1, with_payload: false, params: { hnsw_ef: 8 } });

  const written = readdirSync(join(dir.path, "out"));
  expect(written.map((name) => name.split(".").at(-1)).sort()).toEqual(["html", "json", "txt"]);
  const page = readFileSync(
    join(dir.path, "out", written.find((name) => name.endsWith("html")) ?? ""),
    "utf8",
  );
  // One polyline per k and answerer; nothing is loaded from elsewhere.
  expect(page.match(/<polyline /g)).toHaveLength(6);
  expect(page).not.toMatch(/(src|href)=/);
  expect(page).not.toContain("NaN");
});

test("recall below --min-recall is exit code 1, and the report still says what was found", async () => {
  using dir = new TempDir();
  await using node = await FakeNode.start();
  node.forget = 3;
  const report = await bench(dir, node, "--min-recall", "0.9");
  expect(process.exitCode).toBe(1);
  expect(report.bestRecall).toEqual({ k: 10, recall: 0.7 });
  const ks1 = report.points.filter(({ who, k }) => who === "flotilla" && k === 1);
  expect(ks1.every(({ recallId }) => recallId === 0)).toBe(true);
});

test("a refused search is a failure, and neither speed nor latency", async () => {
  using dir = new TempDir();
  await using node = await FakeNode.start();
  node.refuseSearches = true;
  const report = await bench(dir, node);
  const own = report.points.filter(({ who }) => who === "flotilla");
  expect(own).toHaveLength(8);
  for (const { failures, searches, qps, latencyMs } of own) {
    expect(failures).toBeGreaterThanOrEqual(40);
    expect([searches, qps, latencyMs.max]).toEqual([0, 0, 0]);
  }
  const page = readdirSync(join(dir.path, "out")).find((name) => name.endsWith("html")) ?? "";
  expect(readFileSync(join(dir.path, "out", page), "utf8")).not.toMatch(/NaN|Infinity/);
});
