/**
 * HDF5 in the layout of the public ann-benchmarks sets: two-dimensional datasets `train`, `test` and `distances`,
 * and `neighbors` with row numbers of `train`.
 */
import { Dataset, File as HdfFile, ready } from "h5wasm/node";
import { ByteReader, fileFacts } from "./byte-reader.ts";
import { checkDimension, checkFinite, DatasetError, rowWindow } from "./source.ts";
import type { BatchOptions, VectorBatch, VectorSource } from "./source.ts";

const SIGNATURE = Buffer.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Rows of the named dataset as vectors. */
export async function openHdf5(file: string, dataset = "train"): Promise<VectorSource> {
  const { rows, dimension } = await withMatrix(file, dataset, (matrix) => matrix);
  checkDimension(file, `dataset ${dataset}`, dimension);
  return {
    file,
    format: "hdf5",
    dimension,
    rows,
    batches: (options) => readHdf5({ file, dataset, rows, dimension }, options),
  };
}

/** A whole small matrix of a file: `neighbors` or `distances`. */
export async function readHdf5Matrix(
  file: string,
  dataset: string,
): Promise<{ readonly rows: number; readonly columns: number; readonly values: Float64Array }> {
  return await withMatrix(file, dataset, ({ handle, rows, dimension }) => ({
    rows,
    columns: dimension,
    values: Float64Array.from(numbers(file, dataset, handle, 0, rows)),
  }));
}

async function* readHdf5(
  at: { readonly file: string; readonly dataset: string; readonly rows: number; readonly dimension: number },
  options: BatchOptions,
): AsyncGenerator<VectorBatch> {
  const { file, dataset, dimension } = at;
  const { from, to } = rowWindow(at.rows, options);
  for (let first = from; first < to;) {
    const count = Math.min(options.rows, to - first);
    // The file is opened per batch: no handle stays open when the reader stops in the middle.
    const vectors = await withMatrix(file, dataset, ({ handle }) =>
      Float32Array.from(numbers(file, dataset, handle, first, first + count)),
    );
    checkFinite(file, { first, dimension, vectors });
    yield { first, count, dimension, vectors, ids: null, payloads: null };
    first += count;
  }
}

interface Matrix {
  readonly handle: Dataset;
  readonly rows: number;
  readonly dimension: number;
}

async function withMatrix<T>(file: string, dataset: string, use: (matrix: Matrix) => T): Promise<T> {
  // The library reads here and there in a file, which packed bytes do not allow.
  if ((await fileFacts(file)).compressed)
    throw new DatasetError(file, "byte 0", "HDF5 cannot be read while it is packed; gunzip it first");
  await using reader = await ByteReader.open(file);
  if (!(await reader.read(SIGNATURE.length)).equals(SIGNATURE))
    throw new DatasetError(file, "byte 0", "not an HDF5 file: it does not begin with \\x89HDF");
  // Left alone it prints what is wrong, frame by frame, and goes on.
  (await ready).activate_throwing_error_handler();
  const root = reading(file, "opening", () => new HdfFile(file, "r"));
  try {
    const handle = reading(file, `dataset ${dataset}`, () => root.get(dataset));
    if (!(handle instanceof Dataset))
      throw new DatasetError(
        file,
        `dataset ${dataset}`,
        `not there; the file has ${root.keys().join(", ") || "nothing"}`,
      );
    const [rows, dimension, ...more] = handle.shape ?? [];
    if (rows === undefined || dimension === undefined || more.length > 0)
      throw new DatasetError(
        file,
        `dataset ${dataset}`,
        `shape (${(handle.shape ?? []).join(", ")}) found; (rows, dimension) is needed`,
      );
    return use({ handle, rows, dimension });
  } finally {
    root.close();
  }
}

/** The library tells a failure frame by frame, outermost first: the last one is the reason. */
function reading<T>(file: string, position: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const { message } = cause as Error;
    const frames = [...message.matchAll(/^ *#\d+: .*? line \d+ in \w+\(\): (.*)$/gm)];
    const why = frames.at(-1)?.[1] ?? message;
    throw new DatasetError(file, position, `damaged or cut off, the library says: ${why}`, { cause });
  }
}

function numbers(
  file: string,
  dataset: string,
  handle: Dataset,
  from: number,
  to: number,
):
  Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array {
  const values = reading(file, `dataset ${dataset}, rows ${from} to ${to - 1}`, () =>
    handle.slice([[from, to]]),
  );
  if (
    values instanceof Float32Array ||
    values instanceof Float64Array ||
    values instanceof Int8Array ||
    values instanceof Uint8Array ||
    values instanceof Int16Array ||
    values instanceof Uint16Array ||
    values instanceof Int32Array ||
    values instanceof Uint32Array
  )
    return values;
  throw new DatasetError(
    file,
    `dataset ${dataset}`,
    `values of type ${String(handle.dtype)} found; floats or whole numbers up to 32 bits are needed`,
  );
}
