import { expect, test } from "vitest";
import { readIdxLabels } from "../../src/datasets/idx.ts";
import { openVectors } from "../../src/datasets/open.ts";
import { DatasetError } from "../../src/datasets/source.ts";
import { bvecs, bytesOf, fvecs, gzip, idx, npy, npyHeader, readAll, rowsOf, TempDir } from "./files.ts";

const ROWS = [
  [1, 2.5, -3],
  [4, 5, 6],
  [7, 8, 9],
  [10, 11, 12],
  [13, 14, 15],
];
const FLAT = ROWS.flat();

const GOOD = {
  "a.fvecs": fvecs(ROWS),
  "a.fvecs.gz": gzip(fvecs(ROWS)),
  "f4.npy": npy(npyHeader("<f4", "(5, 3)"), bytesOf(Float32Array.from(FLAT))),
  "f4v2.npy": npy(npyHeader("<f4", "(5, 3)"), bytesOf(Float32Array.from(FLAT)), 2),
  "f8.npy": npy(npyHeader("<f8", "(5, 3)"), bytesOf(Float64Array.from(FLAT)), 3),
  "unnamed-npy": npy(npyHeader("<f4", "(5, 3)"), bytesOf(Float32Array.from(FLAT))),
};

for (const [name, content] of Object.entries(GOOD)) {
  test(`${name} is read in batches, from any row on, up to any limit`, async () => {
    using dir = new TempDir();
    const source = await openVectors(dir.write(name, content));
    expect(source.dimension).toBe(3);
    expect(source.rows).toBe(name.endsWith("fvecs.gz") ? null : 5);
    const batches = await readAll(source, { rows: 2 });
    expect(batches.map(({ first, count }) => [first, count])).toEqual([
      [0, 2],
      [2, 2],
      [4, 1],
    ]);
    expect(await rowsOf(source)).toEqual(ROWS);
    expect(await rowsOf(source, { rows: 2, skip: 1, limit: 3 })).toEqual(ROWS.slice(1, 4));
    expect(await rowsOf(source, { rows: 2, skip: 9 })).toEqual([]);
  });
}

const BYTES = [
  [0, 1, 2, 255],
  [3, 4, 5, 128],
];
const INT8 = {
  "i1.npy": npy(npyHeader("|i1", "(2, 4)"), bytesOf(Int8Array.from([0, 1, 2, -1, 3, 4, 5, -128]))),
};
const BYTE_FILES = {
  "b.bvecs": bvecs(BYTES),
  "images-idx3-ubyte": idx(8, [2, 2, 2], Uint8Array.from(BYTES.flat())),
  "images-idx3-ubyte.gz": gzip(idx(8, [2, 2, 2], Uint8Array.from(BYTES.flat()))),
  "u1.npy": npy(npyHeader("|u1", "(2, 4)"), Uint8Array.from(BYTES.flat())),
};

for (const [name, content] of Object.entries(BYTE_FILES)) {
  test(`${name}: bytes become numbers`, async () => {
    using dir = new TempDir();
    const source = await openVectors(dir.write(name, content));
    expect(source.dimension).toBe(4);
    expect(await rowsOf(source)).toEqual(BYTES);
  });
}

test("signed bytes keep their sign in npy and IDX", async () => {
  using dir = new TempDir();
  const wanted = [
    [0, 1, 2, -1],
    [3, 4, 5, -128],
  ];
  expect(await rowsOf(await openVectors(dir.write("i1.npy", INT8["i1.npy"])))).toEqual(wanted);
  const file = dir.write("i1.idx", idx(9, [2, 4], bytesOf(Int8Array.from(wanted.flat()))));
  expect(await rowsOf(await openVectors(file))).toEqual(wanted);
});

test("wider IDX types are big-endian", async () => {
  using dir = new TempDir();
  const values = Buffer.alloc(8);
  values.writeFloatBE(1.5, 0);
  values.writeFloatBE(-2, 4);
  expect(await rowsOf(await openVectors(dir.write("f.idx", idx(0x0d, [1, 2], values))))).toEqual([[1.5, -2]]);
  const shorts = Buffer.alloc(4);
  shorts.writeInt16BE(-300, 0);
  shorts.writeInt16BE(300, 2);
  expect(await rowsOf(await openVectors(dir.write("s.idx", idx(0x0b, [1, 2], shorts))))).toEqual([
    [-300, 300],
  ]);
});

test("IDX labels are read when there is one per vector", async () => {
  using dir = new TempDir();
  const labels = dir.write("labels", gzip(idx(8, [3], Uint8Array.from([7, 0, 9]))));
  expect(await readIdxLabels(labels, 3)).toEqual([7, 0, 9]);
  await expect(readIdxLabels(labels, 4)).rejects.toThrow("3 labels for 4 vectors");
  const images = dir.write("images", idx(8, [1, 2, 2], new Uint8Array(4)));
  await expect(readIdxLabels(images, 1)).rejects.toThrow("labels have one dimension, this file has 3");
  await expect(openVectors(labels, { format: "idx" })).rejects.toThrow("one dimension holds labels");
});

const mixed = Buffer.concat([fvecs([[1, 2, 3]]), fvecs([[1, 2, 3, 4]]), fvecs([[1, 2]])]);
const BROKEN: readonly (readonly [name: string, content: Uint8Array, where: string, problem: string])[] = [
  [
    "cut.fvecs",
    fvecs(ROWS).subarray(0, 16 * 5 - 3),
    "record 4 at byte 64",
    "a record has 16 bytes, 13 are left",
  ],
  [
    "cut.fvecs.gz",
    gzip(fvecs(ROWS).subarray(0, 77)),
    "record 4 at byte 64",
    "a record has 16 bytes, 13 are left",
  ],
  ["cut.bvecs", bvecs(BYTES).subarray(0, 15), "record 1 at byte 8", "a record has 8 bytes, 7 are left"],
  ["mixed.fvecs", mixed, "record 1 at byte 16", "its dimension is 4, that of the records before it 3"],
  [
    "odd.fvecs",
    Buffer.concat([fvecs([[1, 2, 3]]), fvecs([[1, 2, 3, 4, 5]])]),
    "record 1 at byte 16",
    "its dimension is 5, that of the records before it 3",
  ],
  [
    "nan.fvecs",
    fvecs([
      [1, 2],
      [3, Number.NaN],
    ]),
    "row 1, element 1",
    "NaN found",
  ],
  ["wild.fvecs", Buffer.from("hello world, no vectors"), "byte 0", "dimension is 1 to 65536"],
  ["empty.fvecs", Buffer.alloc(0), "byte 0", "4 bytes are needed, 0 are left"],
  ["magic.idx", Buffer.from([1, 2, 8, 1, 0, 0, 0, 0]), "byte 0", "begins with two zero bytes"],
  ["type.idx", idx(0x0a, [1, 2], new Uint8Array(2)), "byte 2", "IDX type 0x0a is unknown"],
  ["short.idx", idx(8, [2, 4], new Uint8Array(7)), "the end", "make a file of 20 bytes, this one has 19"],
  ["short.idx.gz", gzip(idx(8, [2, 4], new Uint8Array(7))), "byte 12", "8 bytes are needed, 7 are left"],
  ["inf.idx", idx(0x0d, [1, 1], Buffer.from([0x7f, 0x80, 0, 0])), "row 0, element 0", "Infinity found"],
  ["magic.npy", Buffer.from("PK not a numpy array"), "byte 0", "begins with \\x93NUMPY"],
  ["v9.npy", npy(npyHeader("<f4", "(1, 1)"), new Uint8Array(4), 9), "byte 6", "npy version 9 is unknown"],
  ["order.npy", npy(npyHeader("<f4", "(1, 1)", "True"), new Uint8Array(4)), "the header", "Fortran order"],
  ["big.npy", npy(npyHeader(">f4", "(1, 1)"), new Uint8Array(4)), "the header", `.astype("<f4")`],
  ["one.npy", npy(npyHeader("<f4", "(4,)"), new Uint8Array(16)), "the header", "(rows, dimension) is needed"],
  ["short.npy", npy(npyHeader("<f4", "(2, 2)"), new Uint8Array(12)), "the end", "(2, 2) of <f4 makes a file"],
  [
    "huge.npy",
    npy(npyHeader("<f8", "(1, 2)"), bytesOf(Float64Array.of(1, 1e300))),
    "row 0, element 1",
    "Infinity found where a finite float32 number is needed",
  ],
  ["damaged.bvecs.gz", gzip(bvecs(BYTES)).fill(0x55, 12, 20), "byte 0", "cannot be read further"],
  ["unknown.bin", Buffer.from([9, 9, 9, 9]), "byte 0", "say --format with one of fvecs, bvecs, idx"],
];

for (const [name, content, where, problem] of BROKEN) {
  test(`${name}: the error names the file, ${where} and what is wrong`, async () => {
    using dir = new TempDir();
    const file = dir.write(name, content);
    const failure = await openVectors(file).then(
      (source) =>
        readAll(source, { rows: 2 }).then(
          () => null,
          (error: unknown) => error,
        ),
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(DatasetError);
    expect((failure as DatasetError).message).toContain(`${file}: ${where}: `);
    expect((failure as DatasetError).message).toContain(problem);
  });
}

test("a missing file is an error that names it", async () => {
  await expect(openVectors("/nowhere/at/all.fvecs")).rejects.toThrow("/nowhere/at/all.fvecs: opening: ");
});
