/** Puts the answers of several shards together so that they read as the answer of one. */
import { compareIds } from "../engine/order.ts";
import type { Distance, ScoredPoint, ScrollPage } from "./types.ts";

/** Best first, equal scores by id: similarities descend, distances ascend. */
export function compareHits(distance: Distance): (a: ScoredPoint, b: ScoredPoint) => number {
  const best = distance === "Euclid" ? 1 : -1;
  return (a, b) => (a.score === b.score ? compareIds(a.id, b.id) : a.score < b.score ? -best : best);
}

/**
 * The hits `offset` to `offset + limit` of all shards together. Exact when each shard answered its own best
 * `offset + limit`: whatever a shard left out is behind that many better ones.
 */
export function mergeHits(
  distance: Distance,
  answers: readonly (readonly ScoredPoint[])[],
  page: { readonly offset: number; readonly limit: number },
): readonly ScoredPoint[] {
  const all = answers.flat();
  if (answers.length > 1) all.sort(compareHits(distance));
  return all.slice(page.offset, page.offset + page.limit);
}

/** The first `limit` points in order of id, of shards that each answered their own first `limit`. */
export function mergePages(pages: readonly ScrollPage[], limit: number): ScrollPage {
  const points = pages.flatMap((page) => page.points).sort((a, b) => compareIds(a.id, b.id));
  const rest = pages.flatMap((page) => (page.next === null ? [] : [page.next]));
  const cut = points[limit];
  if (cut !== undefined) rest.push(cut.id);
  rest.sort(compareIds);
  return { points: points.slice(0, limit), next: rest[0] ?? null };
}
