/** What every reader of vector files hands out: bounded batches in the order of the file, or an error that says where. */
import type { Payload, PointId } from "../engine/types.ts";

/** Consecutive rows of a file. The arrays are fresh and belong to the caller. */
export interface VectorBatch {
  /** Row number, from 0, of the first vector. */
  readonly first: number;
  readonly count: number;
  readonly dimension: number;
  /** `count * dimension` finite numbers, row after row. */
  readonly vectors: Float32Array;
  /** null when the format carries none: the row number is the id then. */
  readonly ids: readonly PointId[] | null;
  readonly payloads: readonly (Payload | null)[] | null;
}

export interface BatchOptions {
  /** Rows per batch, at least 1; the last batch may have fewer. */
  readonly rows: number;
  /** Rows passed over at the beginning. */
  readonly skip?: number;
  /** Rows handed out at most, after those skipped. */
  readonly limit?: number;
}

export type VectorFormat = "fvecs" | "bvecs" | "idx" | "npy" | "jsonl" | "hdf5";

/** A file of vectors whose header was read and found good. Holds no file open between calls. */
export interface VectorSource {
  readonly file: string;
  readonly format: VectorFormat;
  readonly dimension: number;
  /** null where only reading to the end would tell (jsonl, compressed fvecs and bvecs). */
  readonly rows: number | null;
  /** Throws {@link DatasetError} at the first malformed row; the batches before it are good. */
  batches(options: BatchOptions): AsyncGenerator<VectorBatch>;
}

/** The largest dimension a collection takes. */
export const DIMENSION_MAX = 65_536;

/** A file that is not what it should be: which file, where in it, what was found and what would be right. */
export class DatasetError extends Error {
  override readonly name = "DatasetError";
  readonly file: string;
  /** A byte, line or row, in words. */
  readonly position: string;
  constructor(file: string, position: string, problem: string, options?: ErrorOptions) {
    super(`${file}: ${position}: ${problem}`, options);
    this.file = file;
    this.position = position;
  }
}

/** Throws a {@link DatasetError} unless the dimension is one a collection can have. */
export function checkDimension(file: string, position: string, dimension: number): void {
  if (Number.isSafeInteger(dimension) && dimension >= 1 && dimension <= DIMENSION_MAX) return;
  throw new DatasetError(
    file,
    position,
    `a vector's dimension is 1 to ${DIMENSION_MAX}, this says ${dimension}; is this the right format?`,
  );
}

/** Throws a {@link DatasetError} naming the first row and element that is NaN, infinite or beyond float32. */
export function checkFinite(
  file: string,
  batch: { readonly first: number; readonly dimension: number; readonly vectors: Float32Array },
): void {
  const { vectors, dimension, first } = batch;
  for (let at = 0; at < vectors.length; at++) {
    const value = vectors[at] as number;
    if (value - value === 0) continue;
    const row = first + Math.floor(at / dimension);
    throw new DatasetError(
      file,
      `row ${row}, element ${at % dimension}`,
      `${value} found where a finite float32 number is needed`,
    );
  }
}

/** The rows a call covers, cut by what the file holds. */
export function rowWindow(
  rows: number,
  options: BatchOptions,
): { readonly from: number; readonly to: number } {
  const from = Math.min(rows, options.skip ?? 0);
  return { from, to: Math.min(rows, from + (options.limit ?? Number.POSITIVE_INFINITY)) };
}
