/** Figures of a run: percentiles, and recall by two rules. */

export interface LatencySummary {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Nearest-rank percentiles, in the unit of the samples; all 0 without any. */
export function summarise(samples: Float64Array): LatencySummary {
  const sorted = samples.slice().sort();
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

/** Row numbers of the answers to a set of queries, `k` per query; {@link NO_HIT} where an answer was shorter. */
export interface Answers {
  readonly k: number;
  readonly ids: Uint32Array;
}

export const NO_HIT = 0xffffffff;

/** The exact neighbours of a set of queries, best first, `k` per query. */
export interface Truth {
  readonly k: number;
  readonly ids: Uint32Array;
  readonly distances: Float64Array;
}

/** Share of the true k nearest ids that were found: an equally near neighbour of another id counts as missed. */
export function recallById(answers: Answers, truth: Truth): number {
  const { k } = answers;
  const queries = answers.ids.length / k;
  let found = 0;
  for (let query = 0; query < queries; query++) {
    const wanted = new Set(truth.ids.subarray(query * truth.k, query * truth.k + k));
    for (const id of new Set(answers.ids.subarray(query * k, (query + 1) * k))) if (wanted.has(id)) found++;
  }
  return queries === 0 ? 0 : found / (queries * k);
}

/**
 * Share of the k places filled by something as near as the true k-th neighbour, allowing for `epsilon` times its
 * distance: ties and near-duplicates count as found.
 */
export function recallByDistance(
  answers: Answers,
  truth: Truth,
  epsilon: number,
  distanceOf: (query: number, id: number) => number,
): number {
  const { k } = answers;
  const queries = answers.ids.length / k;
  let found = 0;
  for (let query = 0; query < queries; query++) {
    const kth = truth.distances[query * truth.k + k - 1] as number;
    const farthest = kth + Math.abs(kth) * epsilon;
    for (const id of new Set(answers.ids.subarray(query * k, (query + 1) * k)))
      if (id !== NO_HIT && distanceOf(query, id) <= farthest) found++;
  }
  return queries === 0 ? 0 : found / (queries * k);
}
