/** What a vector must be before it comes near native code, and how cosine vectors are prepared. */
import { STATE_LIMITS } from "./options.ts";
import type { Distance } from "./types.ts";

/** Null when the vector may be stored; else what is wrong, the same on every replica. */
export function vectorFault(vector: Float32Array, dimension: number): "length" | "element" | null {
  if (vector.length !== dimension) return "length";
  const squares = squaredNorm(vector);
  // NaN and infinity end up here too, as does what would overflow float32 inside a distance.
  return squares <= STATE_LIMITS.squaredNormMax ? null : "element";
}

export const ELEMENT_RULE = "its elements must be finite, and their squares add up to at most 2^125";

/**
 * What graph, tail and exact scan compare: the vector itself, or its direction for Cosine (a zero vector stays
 * zero and is similar to nothing). Always the same floats for the same vector, so that equal points score equally.
 */
export function prepared(vector: Float32Array, distance: Distance): Float32Array {
  if (distance !== "Cosine") return vector;
  const squares = squaredNorm(vector);
  if (squares === 0) return vector;
  const scale = 1 / Math.sqrt(squares);
  const direction = new Float32Array(vector.length);
  for (let at = 0; at < vector.length; at++) direction[at] = (vector[at] ?? 0) * scale;
  return direction;
}

/** From the native distance (lower is nearer) to what users know by the metric's name. */
export function scoreOf(distance: number, metric: Distance): number {
  return metric === "Euclid" ? Math.sqrt(distance) : 1 - distance;
}

/** Whether a score is good enough for the threshold. */
export function passes(score: number, threshold: number | null, metric: Distance): boolean {
  if (threshold === null) return true;
  return metric === "Euclid" ? score <= threshold : score >= threshold;
}

/** By index: `for of` over a typed array costs several times as much, and this runs over every element written. */
function squaredNorm(vector: Float32Array): number {
  let squares = 0;
  for (let at = 0; at < vector.length; at++) {
    const element = vector[at] ?? 0;
    squares += element * element;
  }
  return squares;
}
