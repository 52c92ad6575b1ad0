/** Exact distances in double precision, smaller is nearer whatever the metric. */
import type { Distance } from "../../engine/types.ts";

/** Euclid: the distance. Cosine: 1 - similarity. Dot: the negated product. */
export function exactDistance(
  metric: Distance,
  a: Float32Array,
  aFrom: number,
  b: Float32Array,
  bFrom: number,
  dimension: number,
): number {
  if (metric === "Euclid") {
    let sum = 0;
    for (let i = 0; i < dimension; i++) {
      const difference = (a[aFrom + i] as number) - (b[bFrom + i] as number);
      sum += difference * difference;
    }
    return Math.sqrt(sum);
  }
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < dimension; i++) {
    const x = a[aFrom + i] as number;
    const y = b[bFrom + i] as number;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (metric === "Dot") return -dot;
  return aa === 0 || bb === 0 ? 1 : 1 - dot / Math.sqrt(aa * bb);
}
