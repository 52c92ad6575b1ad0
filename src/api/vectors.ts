/** Vectors as they come from outside, checked and converted in one pass. */
import { ApiError } from "./errors.ts";

/**
 * What the squares of a vector's elements may add up to, here as in the engine: beyond it a distance leaves the range
 * of float32. Refused before the log, since of a write that is not waited for nobody would hear that it was refused.
 */
export const SQUARES_MAX = 2 ** 125;

/**
 * The values as float32. BAD_REQUEST when one is not a number; INVALID when their count is not `dimension`, one is not
 * finite as a float32 (1e39 is not), or their squares are more than {@link SQUARES_MAX}. `where` names the vector, and
 * is called only to say what is wrong with it.
 */
export function vectorFrom(values: ArrayLike<unknown>, dimension: number, where: () => string): Float32Array {
  if (values.length !== dimension) throw wrongLength(values.length, dimension, where);
  const vector = new Float32Array(dimension);
  let squares = 0;
  for (let i = 0; i < dimension; i++) {
    const value = values[i];
    if (typeof value !== "number") throw notANumber(value, i, where);
    vector[i] = value;
    const stored = vector[i] as number;
    squares += stored * stored;
  }
  if (!(squares <= SQUARES_MAX)) throw outOfRange(vector, values, where);
  return vector;
}

/** As {@link vectorFrom} for what is float32 already: checked, and not copied. */
export function checkedVector(vector: Float32Array, dimension: number, where: () => string): Float32Array {
  if (vector.length !== dimension) throw wrongLength(vector.length, dimension, where);
  let squares = 0;
  for (let i = 0; i < dimension; i++) {
    const value = vector[i] as number;
    squares += value * value;
  }
  if (!(squares <= SQUARES_MAX)) throw outOfRange(vector, vector, where);
  return vector;
}

function wrongLength(length: number, dimension: number, where: () => string): ApiError {
  return new ApiError(
    "INVALID",
    `Wrong input: Vector dimension error: expected dim: ${dimension}, got ${length} in ${where()}`,
  );
}

function notANumber(value: unknown, at: number, where: () => string): ApiError {
  const kind = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
  return new ApiError(
    "BAD_REQUEST",
    `Wrong input: element ${at} of ${where()} must be a number, not ${kind}`,
  );
}

/** Squares of finite elements are finite as 64-bit floats, so that an element which is not shows in their sum. */
function outOfRange(vector: Float32Array, sent: ArrayLike<unknown>, where: () => string): ApiError {
  const at = vector.findIndex((value) => !Number.isFinite(value));
  return new ApiError(
    "INVALID",
    at === -1
      ? `Wrong input: the squares of the elements of ${where()} must add up to at most 2^125`
      : `Wrong input: element ${at} of ${where()} must be finite as a 32-bit float, ${String(sent[at])} is not`,
  );
}

/**
 * The number whose shortest decimal is the shortest one that reads back as this float32: 0.1, where widening to 64
 * bits would show 0.10000000149011612.
 */
export function shortest(value: number): number {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return value;
  if (size >= 1e-4 && size < 1e6) {
    // One rounding to d decimals is far cheaper than printing; most stored numbers have few digits.
    for (let power = size >= 1 ? 1e2 : 1e4; power <= 1e12; power *= 10) {
      const rounded = Math.round(value * power) / power;
      if (Math.fround(rounded) === value) return rounded;
    }
  }
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return Number(value.toPrecision(9));
}
