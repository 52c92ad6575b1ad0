/** Vectors as they come from outside, checked and converted in one pass. */
import { ApiError } from "./errors.ts";

/**
 * The values as float32. BAD_REQUEST when one is not a number; INVALID when their count is not `dimension` or one is
 * not finite as a float32 (1e39 is not). `where` names the vector, and is called only to say what is wrong with it.
 */
export function vectorFrom(values: ArrayLike<unknown>, dimension: number, where: () => string): Float32Array {
  if (values.length !== dimension) throw wrongLength(values.length, dimension, where);
  const vector = new Float32Array(dimension);
  for (let i = 0; i < dimension; i++) {
    const value = values[i];
    if (typeof value !== "number") throw notANumber(value, i, where);
    vector[i] = value;
    const stored = vector[i] as number;
    // Infinity and NaN are the only numbers whose difference with themselves is not 0.
    if (stored - stored !== 0) throw notFinite(value, i, where);
  }
  return vector;
}

/** As {@link vectorFrom} for what is float32 already: checked, and not copied. */
export function checkedVector(vector: Float32Array, dimension: number, where: () => string): Float32Array {
  if (vector.length !== dimension) throw wrongLength(vector.length, dimension, where);
  for (let i = 0; i < dimension; i++) {
    const value = vector[i] as number;
    if (value - value !== 0) throw notFinite(value, i, where);
  }
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

function notFinite(value: number, at: number, where: () => string): ApiError {
  return new ApiError(
    "INVALID",
    `Wrong input: element ${at} of ${where()} must be finite as a 32-bit float, ${value} is not`,
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
