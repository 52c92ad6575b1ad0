import { File as HdfFile, ready } from "h5wasm/node";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readHdf5Matrix } from "../../src/datasets/hdf5.ts";
import { LINE_BYTES_MAX } from "../../src/datasets/jsonl.ts";
import { openVectors } from "../../src/datasets/open.ts";
import { gzip, readAll, rowsOf, TempDir } from "./files.ts";

const LINES = [
  `{"id": 7, "vector": [1, 2.5], "payload": {"name": "sieben"}}`,
  ``,
  `{"id": "acht", "vector": [3, 4]}`,
  `  {"id": 9, "vector": [5e0, -6]}  `,
];

test("jsonl: ids, vectors and payloads of each line, blank lines passed over", async () => {
  using dir = new TempDir();
  const source = await openVectors(dir.write("points.jsonl", LINES.join("\n")));
  expect(source.dimension).toBe(2);
  const [first, second] = await readAll(source, { rows: 2 });
  expect(first?.ids).toEqual([7, "acht"]);
  expect(first?.payloads).toEqual([{ name: "sieben" }, null]);
  expect([...(second?.vectors ?? [])]).toEqual([5, -6]);
  expect(second?.first).toBe(2);
  const [late] = await readAll(source, { rows: 5, skip: 1, limit: 1 });
  expect(late?.ids).toEqual(["acht"]);
});

test("jsonl: without ids the rows are numbered", async () => {
  using dir = new TempDir();
  const source = await openVectors(dir.write("p.ndjson", `{"vector":[1]}\n{"vector":[2]}\n`));
  const [batch] = await readAll(source, { rows: 9 });
  expect(batch?.ids).toBeNull();
  expect(batch?.count).toBe(2);
});

test("jsonl: long payloads end a batch before its rows do, so that a node takes it", async () => {
  using dir = new TempDir();
  const text = "x".repeat(1 << 20);
  const lines = Array.from({ length: 20 }, (_, id) =>
    JSON.stringify({ id, vector: [id], payload: { text } }),
  );
  const source = await openVectors(dir.write("fat.jsonl", lines.join("\n")));
  const batches = await readAll(source, { rows: 100 });
  expect(batches.map(({ first, count, ids }) => [first, count, ids?.[0]])).toEqual([
    [0, 8, 0],
    [8, 8, 8],
    [16, 4, 16],
  ]);
  const rest = await readAll(source, { rows: 100, skip: 15, limit: 2 });
  expect(rest.map(({ first, count }) => [first, count])).toEqual([[15, 2]]);
});

test("jsonl: a character on the border of two reads survives", async () => {
  using dir = new TempDir();
  const line = (i: number) => `{"id":${i},"vector":[${i}],"payload":{"t":"${"ü€😀".repeat(1000)}"}}`;
  const source = await openVectors(
    dir.write("p.jsonl", Array.from({ length: 100 }, (_, i) => line(i)).join("\n")),
  );
  const [batch] = await readAll(source, { rows: 100 });
  expect(batch?.count).toBe(100);
  for (const payload of batch?.payloads ?? []) expect(payload).toEqual({ t: "ü€😀".repeat(1000) });
});

const head = `{"id":1,"vector":[1,2]}\n`;
const BROKEN: readonly (readonly [content: string | Uint8Array, where: string, problem: string])[] = [
  [`${head}{"id":2,"vector":[1,2]`, "line 2", "not JSON"],
  [`${head}\n[1,2]`, "line 3", "an object like"],
  [`${head}{"id":2,"vec":[1,2]}`, "line 2", `unknown field "vec"`],
  [`${head}{"id":2,"vector":"1,2"}`, "line 2", `"vector" must be an array of numbers`],
  [`${head}{"id":2,"vector":[1,2,3]}`, "line 2", "3 numbers, that of the first line 2"],
  [`${head}{"id":2,"vector":[1,null]}`, "line 2, element 1", "null found where a finite float32 number"],
  [`${head}{"id":2,"vector":[1,1e40]}`, "line 2, element 1", "1e+40 found"],
  [`${head}{"id":-2,"vector":[1,2]}`, "line 2", `"id" must be a whole number`],
  [`${head}{"id":9007199254740993,"vector":[1,2]}`, "line 2", `"id" must be a whole number`],
  [`${head}{"id":"","vector":[1,2]}`, "line 2", `"id" must be a whole number`],
  [`${head}{"vector":[1,2]}`, "line 2", "no id, but the first line has one"],
  [`${head}{"id":2,"vector":[1,2],"payload":3}`, "line 2", `"payload" must be an object`],
  [Buffer.concat([Buffer.from(head), Buffer.from([0x22, 0xff, 0x22])]), "line 2", "not valid UTF-8"],
  [`${head}${"x".repeat(LINE_BYTES_MAX + (1 << 19))}`, "line 2", "longer than 8388608 bytes"],
  ["\n\n", "the end", "no line with a point"],
];

for (const [content, where, problem] of BROKEN) {
  test(`jsonl: the error names ${where} and says: ${problem}`, async () => {
    using dir = new TempDir();
    const file = dir.write("p.jsonl", content);
    const reading = openVectors(file).then((source) => readAll(source, { rows: 10 }));
    await expect(reading).rejects.toThrow(`${file}: ${where}: `);
    await expect(openVectors(file).then((source) => readAll(source, { rows: 10 }))).rejects.toThrow(problem);
  });
}

async function writeHdf5(file: string): Promise<void> {
  await ready;
  const root = new HdfFile(file, "w");
  const rows = Float32Array.from({ length: 12 }, (_, i) => i / 2);
  root.create_dataset({ name: "train", data: rows, shape: [4, 3] });
  root.create_dataset({ name: "test", data: Float64Array.of(1, 2, 3), shape: [1, 3] });
  root.create_dataset({ name: "neighbors", data: Int32Array.of(2, 0), shape: [1, 2] });
  root.create_dataset({ name: "bytes", data: Uint8Array.of(1, 255), shape: [1, 2] });
  root.create_dataset({ name: "flat", data: Float32Array.of(1, 2), shape: [2] });
  root.create_dataset({ name: "broken", data: Float32Array.of(1, Number.NaN), shape: [1, 2] });
  root.close();
}

test("hdf5: the ann-benchmarks layout, in batches", async () => {
  using dir = new TempDir();
  const file = join(dir.path, "set.hdf5");
  await writeHdf5(file);
  const train = await openVectors(file);
  expect([train.rows, train.dimension]).toEqual([4, 3]);
  expect((await readAll(train, { rows: 3 })).map(({ first, count }) => [first, count])).toEqual([
    [0, 3],
    [3, 1],
  ]);
  expect(await rowsOf(train, { rows: 2, skip: 1, limit: 2 })).toEqual([
    [1.5, 2, 2.5],
    [3, 3.5, 4],
  ]);
  expect(await rowsOf(await openVectors(file, { dataset: "test" }))).toEqual([[1, 2, 3]]);
  expect(await rowsOf(await openVectors(file, { dataset: "bytes" }))).toEqual([[1, 255]]);
  expect([...(await readHdf5Matrix(file, "neighbors")).values]).toEqual([2, 0]);
});

test("hdf5: a missing or wrong dataset and a file that is none are named", async () => {
  using dir = new TempDir();
  const file = join(dir.path, "set.hdf5");
  await writeHdf5(file);
  await expect(openVectors(file, { dataset: "base" })).rejects.toThrow(
    "dataset base: not there; the file has",
  );
  await expect(openVectors(file, { dataset: "flat" })).rejects.toThrow("shape (2) found; (rows, dimension)");
  const broken = await openVectors(file, { dataset: "broken" });
  await expect(readAll(broken, { rows: 1 })).rejects.toThrow("row 0, element 1: NaN found");
  const other = dir.write("other.hdf5", "these are not the bytes");
  await expect(openVectors(other)).rejects.toThrow(`${other}: byte 0: not an HDF5 file`);
});

test("hdf5: a file that is cut off, overwritten or packed is one line that says so", async () => {
  using dir = new TempDir();
  const file = join(dir.path, "set.hdf5");
  await writeHdf5(file);
  const bytes = readFileSync(file);
  const cut = dir.write("cut.hdf5", bytes.subarray(0, bytes.length / 2));
  await expect(openVectors(cut)).rejects.toThrow(/^.*cut\.hdf5: opening: damaged .* says: .*truncated.*$/);
  const over = dir.write("over.hdf5", Buffer.concat([bytes.subarray(0, 8), Buffer.alloc(2_000, 7)]));
  await expect(openVectors(over)).rejects.toThrow(/^.*over\.hdf5: opening: damaged .*$/);
  const packed = dir.write("set.hdf5.gz", gzip(bytes));
  await expect(openVectors(packed)).rejects.toThrow(
    `${packed}: byte 0: HDF5 cannot be read while it is packed`,
  );
});
