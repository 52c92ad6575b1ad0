/**
 * fvecs and bvecs, the formats of the TEXMEX sets: each record is its dimension as a little-endian int32, then that
 * many float32 or bytes.
 */
import { ByteReader, fileFacts } from "./byte-reader.ts";
import { checkDimension, checkFinite, DatasetError, rowWindow } from "./source.ts";
import type { BatchOptions, VectorBatch, VectorSource } from "./source.ts";

const HEAD_BYTES = 4;

export async function openVecs(file: string, format: "fvecs" | "bvecs"): Promise<VectorSource> {
  const facts = await fileFacts(file);
  await using reader = await ByteReader.open(file);
  const dimension = (await reader.readExactly(HEAD_BYTES, "the first record's dimension")).readInt32LE(0);
  checkDimension(file, "byte 0", dimension);
  const recordBytes = HEAD_BYTES + dimension * (format === "fvecs" ? 4 : 1);
  const whole = Math.floor(facts.bytes / recordBytes);
  if (!facts.compressed && facts.bytes % recordBytes !== 0)
    throw await wrongLength(file, { recordBytes, dimension, whole, bytes: facts.bytes });
  const rows = facts.compressed ? null : whole;
  return {
    file,
    format,
    dimension,
    rows,
    batches: (options) => readVecs({ file, format, dimension, recordBytes, rows }, options),
  };
}

interface Layout {
  readonly file: string;
  readonly format: "fvecs" | "bvecs";
  readonly dimension: number;
  readonly recordBytes: number;
  readonly rows: number | null;
}

async function* readVecs(layout: Layout, options: BatchOptions): AsyncGenerator<VectorBatch> {
  const { file, format, dimension, recordBytes } = layout;
  const { from, to } = rowWindow(layout.rows ?? Number.POSITIVE_INFINITY, options);
  await using reader = await ByteReader.open(file, from * recordBytes);
  for (let first = from; first < to;) {
    const at = reader.position;
    const bytes = await reader.read(Math.min(options.rows, to - first) * recordBytes);
    if (bytes.length === 0) return;
    if (bytes.length % recordBytes !== 0) {
      const row = first + Math.floor(bytes.length / recordBytes);
      throw truncated(file, row, at + (row - first) * recordBytes, recordBytes, bytes.length % recordBytes);
    }
    const count = bytes.length / recordBytes;
    const vectors = new Float32Array(count * dimension);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let row = 0; row < count; row++) {
      const head = row * recordBytes;
      const found = view.getInt32(head, true);
      if (found !== dimension) throw dimensionChanged(file, first + row, at + head, dimension, found);
      const body = head + HEAD_BYTES;
      const target = row * dimension;
      if (format === "bvecs") vectors.set(bytes.subarray(body, body + dimension), target);
      else for (let i = 0; i < dimension; i++) vectors[target + i] = view.getFloat32(body + 4 * i, true);
    }
    if (format === "fvecs") checkFinite(file, { first, dimension, vectors });
    yield { first, count, dimension, vectors, ids: null, payloads: null };
    first += count;
  }
}

/** A length that is no multiple of the record: either the dimension changes on the way or the end is missing. */
async function wrongLength(
  file: string,
  at: {
    readonly recordBytes: number;
    readonly dimension: number;
    readonly whole: number;
    readonly bytes: number;
  },
): Promise<DatasetError> {
  await using reader = await ByteReader.open(file);
  for (let row = 0; row < at.whole; row++) {
    const found = (await reader.readExactly(HEAD_BYTES, `record ${row}`)).readInt32LE(0);
    if (found !== at.dimension) return dimensionChanged(file, row, row * at.recordBytes, at.dimension, found);
    await reader.skip(at.recordBytes - HEAD_BYTES);
  }
  const start = at.whole * at.recordBytes;
  return truncated(file, at.whole, start, at.recordBytes, at.bytes - start);
}

function truncated(file: string, row: number, at: number, needs: number, has: number): DatasetError {
  return new DatasetError(
    file,
    `record ${row} at byte ${at}`,
    `the file ends inside it: a record has ${needs} bytes, ${has} are left`,
  );
}

function dimensionChanged(
  file: string,
  row: number,
  at: number,
  wanted: number,
  found: number,
): DatasetError {
  return new DatasetError(
    file,
    `record ${row} at byte ${at}`,
    `its dimension is ${found}, that of the records before it ${wanted}; all must agree`,
  );
}
