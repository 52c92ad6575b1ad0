/** IDX, the format of MNIST: magic number with type and rank, big-endian sizes, then the values, row after row. */
import { ByteReader, fileFacts } from "./byte-reader.ts";
import { checkDimension, checkFinite, DatasetError, rowWindow } from "./source.ts";
import type { BatchOptions, VectorBatch, VectorSource } from "./source.ts";

type ReadValue = (view: DataView, at: number) => number;
interface IdxType {
  readonly bytes: number;
  readonly read: ReadValue;
}

const TYPES: ReadonlyMap<number, IdxType> = new Map([
  [0x08, { bytes: 1, read: (view, at) => view.getUint8(at) }],
  [0x09, { bytes: 1, read: (view, at) => view.getInt8(at) }],
  [0x0b, { bytes: 2, read: (view, at) => view.getInt16(at) }],
  [0x0c, { bytes: 4, read: (view, at) => view.getInt32(at) }],
  [0x0d, { bytes: 4, read: (view, at) => view.getFloat32(at) }],
  [0x0e, { bytes: 8, read: (view, at) => view.getFloat64(at) }],
]);

interface IdxHeader {
  readonly type: IdxType;
  readonly shape: readonly number[];
  readonly headBytes: number;
}

async function readHeader(file: string): Promise<IdxHeader> {
  const facts = await fileFacts(file);
  await using reader = await ByteReader.open(file);
  const magic = await reader.readExactly(4, "the magic number");
  const type = TYPES.get(magic[2] as number);
  if (magic[0] !== 0 || magic[1] !== 0)
    throw new DatasetError(
      file,
      "byte 0",
      `an IDX file begins with two zero bytes, this one with ${hex(magic[0])} ${hex(magic[1])}`,
    );
  if (type === undefined)
    throw new DatasetError(
      file,
      "byte 2",
      `IDX type ${hex(magic[2])} is unknown; 0x08 (u8), 0x09 (i8), 0x0b (i16), 0x0c (i32), 0x0d (f32) and 0x0e (f64) can be read`,
    );
  const rank = magic[3] as number;
  if (rank < 1 || rank > 8)
    throw new DatasetError(file, "byte 3", `${rank} dimensions announced; 1 to 8 can be read`);
  const sizes = await reader.readExactly(4 * rank, "the sizes");
  const shape = Array.from({ length: rank }, (_, i) => sizes.readUInt32BE(4 * i));
  const headBytes = 4 + 4 * rank;
  const needs = headBytes + shape.reduce((product, size) => product * size, 1) * type.bytes;
  if (!facts.compressed && facts.bytes !== needs)
    throw new DatasetError(
      file,
      "the end",
      `sizes ${shape.join(" x ")} make a file of ${needs} bytes, this one has ${facts.bytes}`,
    );
  return { type, shape, headBytes };
}

function hex(byte: number | undefined): string {
  return `0x${(byte ?? 0).toString(16).padStart(2, "0")}`;
}

/** Images and other arrays of rank 2 or more; what follows the first size is one vector. */
export async function openIdx(file: string): Promise<VectorSource> {
  const header = await readHeader(file);
  const [rows = 0, ...rest] = header.shape;
  if (rest.length === 0)
    throw new DatasetError(
      file,
      "byte 3",
      "one dimension holds labels, not vectors; give the file of images here and this one as labels",
    );
  const dimension = rest.reduce((product, size) => product * size, 1);
  checkDimension(file, "byte 8", dimension);
  return {
    file,
    format: "idx",
    dimension,
    rows,
    batches: (options) => readIdx(file, header, dimension, options),
  };
}

async function* readIdx(
  file: string,
  header: IdxHeader,
  dimension: number,
  options: BatchOptions,
): AsyncGenerator<VectorBatch> {
  const { type, shape, headBytes } = header;
  const { from, to } = rowWindow(shape[0] ?? 0, options);
  const rowBytes = dimension * type.bytes;
  await using reader = await ByteReader.open(file, headBytes + from * rowBytes);
  for (let first = from; first < to;) {
    const count = Math.min(options.rows, to - first);
    const bytes = await reader.readExactly(count * rowBytes, `rows ${first} to ${first + count - 1}`);
    const vectors = new Float32Array(count * dimension);
    if (type === TYPES.get(0x08)) vectors.set(bytes);
    else {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let i = 0; i < vectors.length; i++) vectors[i] = type.read(view, i * type.bytes);
      checkFinite(file, { first, dimension, vectors });
    }
    yield { first, count, dimension, vectors, ids: null, payloads: null };
    first += count;
  }
}

/** The labels beside a file of images: one whole number per row, `rows` of them. */
export async function readIdxLabels(file: string, rows: number): Promise<readonly number[]> {
  const { type, shape, headBytes } = await readHeader(file);
  if (shape.length !== 1)
    throw new DatasetError(
      file,
      "byte 3",
      `labels have one dimension, this file has ${shape.length} (${shape.join(" x ")})`,
    );
  if (shape[0] !== rows)
    throw new DatasetError(file, "byte 4", `${shape[0]} labels for ${rows} vectors; there must be one each`);
  await using reader = await ByteReader.open(file, headBytes);
  const bytes = await reader.readExactly(rows * type.bytes, "the labels");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: rows }, (_, i) => type.read(view, i * type.bytes));
}
