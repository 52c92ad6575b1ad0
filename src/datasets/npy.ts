/** npy, NumPy's array file (versions 1 to 3): little-endian float32 or float64, or bytes, two dimensions, C order. */
import { ByteReader, fileFacts } from "./byte-reader.ts";
import { checkDimension, checkFinite, DatasetError, rowWindow } from "./source.ts";
import type { BatchOptions, VectorBatch, VectorSource } from "./source.ts";

/** NumPy writes about 128 bytes; a header past this is not one of an array of numbers. */
const HEADER_BYTES_MAX = 64 * 1024;
const MAGIC = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]);

const TYPES = {
  "<f4": { bytes: 4, fill: fillFloat32 },
  "<f8": { bytes: 8, fill: fillFloat64 },
  "|u1": { bytes: 1, fill: (bytes: Buffer, into: Float32Array) => into.set(bytes) },
  "|i1": {
    bytes: 1,
    fill: (bytes: Buffer, into: Float32Array) =>
      into.set(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)),
  },
} as const;
type Descr = keyof typeof TYPES;

interface Layout {
  readonly file: string;
  readonly descr: Descr;
  readonly rows: number;
  readonly dimension: number;
  /** Where the values begin. */
  readonly start: number;
}

export async function openNpy(file: string): Promise<VectorSource> {
  const facts = await fileFacts(file);
  const layout = await readHeader(file);
  const needs = layout.start + layout.rows * layout.dimension * TYPES[layout.descr].bytes;
  if (!facts.compressed && facts.bytes !== needs)
    throw new DatasetError(
      file,
      "the end",
      `shape (${layout.rows}, ${layout.dimension}) of ${layout.descr} makes a file of ${needs} bytes, this one has ${facts.bytes}`,
    );
  return {
    file,
    format: "npy",
    dimension: layout.dimension,
    rows: layout.rows,
    batches: (options) => readNpy(layout, options),
  };
}

async function readHeader(file: string): Promise<Layout> {
  await using reader = await ByteReader.open(file);
  const magic = await reader.readExactly(8, "the magic number");
  if (!magic.subarray(0, 6).equals(MAGIC))
    throw new DatasetError(file, "byte 0", "an npy file begins with \\x93NUMPY, this one does not");
  const version = magic[6] as number;
  if (version < 1 || version > 3)
    throw new DatasetError(file, "byte 6", `npy version ${version} is unknown; 1, 2 and 3 can be read`);
  const sizeBytes = version === 1 ? 2 : 4;
  const size = (await reader.readExactly(sizeBytes, "the header's length")).readUIntLE(0, sizeBytes);
  if (size > HEADER_BYTES_MAX)
    throw new DatasetError(
      file,
      "byte 8",
      `a header of ${size} bytes is announced; at most ${HEADER_BYTES_MAX} are expected`,
    );
  const text = (await reader.readExactly(size, "the header")).toString("utf8");
  return { file, ...parseHeader(file, text), start: reader.position };
}

/** The header is a Python dict literal whose three keys are always written. */
function parseHeader(file: string, text: string): Pick<Layout, "descr" | "rows" | "dimension"> {
  const where = "the header";
  const descr = /['"]descr['"]\s*:\s*['"]([^'"]+)['"]/.exec(text)?.[1];
  if (descr === undefined)
    throw new DatasetError(file, where, `no simple 'descr' in ${text.trim()}; an array of numbers is needed`);
  if (!Object.hasOwn(TYPES, descr))
    throw new DatasetError(
      file,
      where,
      `values of type ${descr} cannot be read; save the array with .astype("<f4") (or <f8, uint8, int8)`,
    );
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  if (order !== "False")
    throw new DatasetError(
      file,
      where,
      "the values are in Fortran order; save numpy.ascontiguousarray(a) instead",
    );
  const shape = /['"]shape['"]\s*:\s*\(([^)]*)\)/.exec(text)?.[1];
  const sizes = (shape ?? "").split(",").flatMap((part) => (part.trim() === "" ? [] : [Number(part)]));
  const [rows, dimension] = sizes;
  if (
    sizes.length !== 2 ||
    rows === undefined ||
    dimension === undefined ||
    !sizes.every(Number.isSafeInteger)
  )
    throw new DatasetError(file, where, `shape (${shape ?? ""}) found; (rows, dimension) is needed`);
  checkDimension(file, where, dimension);
  return { descr: descr as Descr, rows, dimension };
}

async function* readNpy(layout: Layout, options: BatchOptions): AsyncGenerator<VectorBatch> {
  const { file, descr, dimension, start } = layout;
  const type = TYPES[descr];
  const { from, to } = rowWindow(layout.rows, options);
  const rowBytes = dimension * type.bytes;
  await using reader = await ByteReader.open(file, start + from * rowBytes);
  for (let first = from; first < to;) {
    const count = Math.min(options.rows, to - first);
    const bytes = await reader.readExactly(count * rowBytes, `rows ${first} to ${first + count - 1}`);
    const vectors = new Float32Array(count * dimension);
    type.fill(bytes, vectors);
    if (type.bytes > 1) checkFinite(file, { first, dimension, vectors });
    yield { first, count, dimension, vectors, ids: null, payloads: null };
    first += count;
  }
}

function fillFloat32(bytes: Buffer, into: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < into.length; i++) into[i] = view.getFloat32(4 * i, true);
}

function fillFloat64(bytes: Buffer, into: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < into.length; i++) into[i] = view.getFloat64(8 * i, true);
}
