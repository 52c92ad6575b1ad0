import { readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runImport } from "../../src/cli/import.ts";
import type { ImportOptions } from "../../src/cli/import.ts";
import { fvecs, idx, TempDir } from "../datasets/files.ts";
import { FakeNode } from "./fake-node.ts";

const ROWS = Array.from({ length: 25 }, (_, row) => [row, row / 3, -(row + 1) * 1e-7]);

function options(node: FakeNode, dir: TempDir, more: Partial<ImportOptions> = {}): ImportOptions {
  return {
    collection: "my points",
    url: node.url,
    batch: 4,
    concurrency: 3,
    distance: "Euclid",
    idOffset: 0,
    skip: 0,
    restart: false,
    stateDir: join(dir.path, "state"),
    json: true,
    ...more,
  };
}

const never = new AbortController().signal;

function expectRows(node: FakeNode, from: number, to: number, offset = 0): void {
  for (let row = from; row < to; row++)
    expect(Float32Array.from(node.points.get(row + offset) ?? [])).toEqual(
      Float32Array.from(ROWS[row] ?? []),
    );
}

test("every row arrives once, exactly as float32, in a collection made for it", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  const report = await runImport(file, options(node, dir, { m: 24, apiKey: "secret" }), never);
  expect(report).toMatchObject({ rows: 25, resumedFrom: 0, batches: 7, retries: 0, interrupted: false });
  expect(node.points.size).toBe(25);
  expectRows(node, 0, 25);
  expect(node.collections.get("my points")?.body).toEqual({
    vectors: { size: 3, distance: "Euclid" },
    hnsw_config: { m: 24 },
  });
  expect(new Set(node.upserts.map(({ key }) => key)).size).toBe(7);
  expect(node.upserts.every(({ apiKey }) => apiKey === "secret")).toBe(true);
  // Complete: nothing is left to resume.
  expect(readdirSync(join(dir.path, "state"))).toEqual([]);
});

test("labels, id offset, skip and limit decide which points are made", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  const payloadLabels = dir.write(
    "labels",
    idx(
      8,
      [25],
      Uint8Array.from(ROWS, (_, row) => row % 10),
    ),
  );
  await runImport(file, options(node, dir, { payloadLabels, idOffset: 1000, skip: 5, limit: 7 }), never);
  expect([...node.points.keys()].sort()).toEqual([1005, 1006, 1007, 1008, 1009, 1010, 1011]);
  expectRows(node, 5, 12, 1000);
  expect(node.payloads.get(1011)).toEqual({ label: 1 });
});

test("ids and payloads of jsonl are kept", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write(
    "a.jsonl",
    `{"id":"a","vector":[1],"payload":{"x":[1,{"y":"ü"}]}}\n{"id":9,"vector":[2]}`,
  );
  await runImport(file, options(node, dir), never);
  expect(node.payloads.get("a")).toEqual({ x: [1, { y: "ü" }] });
  expect(node.points.get(9)).toEqual([2]);
});

test("a refused, timed out or unanswered batch is sent again under the same key", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  node.onUpsert = (_, count) => {
    if (count === 1) return { status: 429, headers: { "retry-after": "0" } };
    if (count === 2) return { status: 503 };
    if (count === 3) return { status: 408 };
    return count === 4 ? "hangUp" : null;
  };
  const report = await runImport(file, options(node, dir), never);
  expect(report).toMatchObject({ rows: 25, retries: 4 });
  expectRows(node, 0, 25);
  expect(node.upserts).toHaveLength(11);
  expect(new Set(node.upserts.map(({ key }) => key)).size).toBe(7);
});

test("batches are forwarded by the node asked, also where it redirects writes by its options", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const redirects = { status: 307, headers: { location: "http://127.0.0.1:1/" } };
  node.onUpsert = ({ query }) => (new URLSearchParams(query).get("redirect") === "false" ? null : redirects);
  const report = await runImport(dir.write("a.fvecs", fvecs(ROWS)), options(node, dir), never);
  expect(report).toMatchObject({ rows: 25, retries: 0 });
});

test("a refusal that no repetition mends ends the import and keeps the progress", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  node.onUpsert = ({ points }) => (points[0]?.id === 12 ? { status: 422 } : null);
  const failing = runImport(file, options(node, dir, { concurrency: 1 }), never);
  await expect(failing).rejects.toThrow("rows 12 to 15: 422: refused");
  node.onUpsert = () => null;
  const report = await runImport(file, options(node, dir), never);
  expect(report).toMatchObject({ resumedFrom: 12, rows: 13 });
  expectRows(node, 0, 25);
});

test("stopped in the middle: batches in flight are finished and the next run goes on after them", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  const stop = new AbortController();
  node.onUpsert = (_, count) => {
    if (count === 3) stop.abort();
    return null;
  };
  const first = await runImport(file, options(node, dir), stop.signal);
  expect(first.interrupted).toBe(true);
  expect(first.rows).toBeGreaterThanOrEqual(12);
  expect(first.rows).toBeLessThan(25);
  expect(node.points.size).toBe(first.rows);
  const firstKeys = new Set(node.upserts.map(({ key }) => key?.slice(0, 43)));
  const second = await runImport(file, options(node, dir, { batch: 5 }), never);
  expect(second).toMatchObject({ resumedFrom: first.rows, rows: 25 - first.rows, interrupted: false });
  expectRows(node, 0, 25);
  // Still the same run, so that a batch whose acknowledgement was lost would be recognised.
  expect(new Set(node.upserts.map(({ key }) => key?.slice(0, 43)))).toEqual(firstKeys);
});

test("a gap is never counted as progress: what finished behind an unfinished batch is sent again", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  node.onUpsert = ({ points }) => (points[0]?.id === 4 ? { status: 400 } : null);
  await expect(runImport(file, options(node, dir), never)).rejects.toThrow("rows 4 to 7");
  node.onUpsert = () => null;
  const report = await runImport(file, options(node, dir), never);
  expect(report.resumedFrom).toBe(4);
  expectRows(node, 0, 25);
});

test("when points of the earlier run are gone, the import begins at the first row as a new run", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  node.onUpsert = ({ points }) => (points[0]?.id === 20 ? { status: 400 } : null);
  await expect(runImport(file, options(node, dir), never)).rejects.toThrow("rows 20");
  const keys = new Set(node.upserts.map(({ key }) => key));
  node.points.clear();
  node.upserts.length = 0;
  node.onUpsert = () => null;
  const report = await runImport(file, options(node, dir), never);
  expect(report).toMatchObject({ resumedFrom: 0, rows: 25 });
  expect(node.upserts.some(({ key }) => keys.has(key))).toBe(false);
});

test("--restart begins at the first row; a changed file is another import", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  node.onUpsert = ({ points }) => (points[0]?.id === 20 ? { status: 400 } : null);
  await expect(runImport(file, options(node, dir), never)).rejects.toThrow("rows 20");
  await expect(runImport(file, options(node, dir, { restart: true }), never)).rejects.toThrow("rows 20");
  expect(node.upserts.filter(({ points }) => points[0]?.id === 0)).toHaveLength(2);
  node.onUpsert = () => null;
  dir.write("a.fvecs", fvecs([...ROWS, [1, 2, 3]]));
  expect(await runImport(file, options(node, dir), never)).toMatchObject({ resumedFrom: 0, rows: 26 });
});

test("a directory that cannot keep the progress is refused before anything is sent", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  // Nothing can be made below a link that leads nowhere, whoever asks.
  symlinkSync(join(dir.path, "nowhere", "deep"), join(dir.path, "link"));
  const stateDir = join(dir.path, "link");
  await expect(runImport(file, options(node, dir, { stateDir }), never)).rejects.toThrow(
    /^progress cannot be kept in .*link: .*; --state-dir takes another directory$/,
  );
  expect(node.upserts).toEqual([]);
});

test("--restart forgets the earlier run at once, also when it is itself cut short", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  node.onUpsert = ({ points }) => (points[0]?.id === 20 ? { status: 400 } : null);
  await expect(runImport(file, options(node, dir), never)).rejects.toThrow("rows 20");
  const state = join(dir.path, "state");
  const kept = (): unknown => JSON.parse(readFileSync(join(state, readdirSync(state)[0] ?? ""), "utf8"));
  expect(kept()).toMatchObject({ acknowledged: 20 });
  let atFirst: unknown = null;
  node.onUpsert = () => {
    // What a SIGKILL now would leave behind.
    atFirst ??= kept();
    return null;
  };
  await runImport(file, options(node, dir, { restart: true }), never);
  expect(atFirst).toMatchObject({ acknowledged: 0, samples: [] });
});

test("a missing collection without --distance and a wrong dimension are refused before anything is sent", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  const { distance, ...bare } = options(node, dir);
  expect(distance).toBe("Euclid");
  await expect(runImport(file, bare, never)).rejects.toThrow("does not exist; say --distance");
  node.collections.set("my points", { size: 7, body: null });
  await expect(runImport(file, bare, never)).rejects.toThrow("3 numbers, those of collection");
  expect(node.upserts).toHaveLength(0);
});

test("a broken row late in the file fails the import with its place, what came before is acknowledged", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const rows = ROWS.map((row, i) => (i === 17 ? [1, Number.NaN, 1] : row));
  const file = dir.write("a.fvecs", fvecs(rows));
  await expect(runImport(file, options(node, dir), never)).rejects.toThrow("row 17, element 1: NaN");
  expect(node.points.size).toBe(16);
});
