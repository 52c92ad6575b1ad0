/** Vectors for whole shards, where they are found, and how well. */
import type { Client } from "../../support/client.ts";
import type { Dice } from "./dice.ts";

export interface VectorPoint {
  readonly id: number;
  readonly vector: readonly number[];
}

/** Points around a few centres, as embeddings are: neighbours differ from strangers. */
export function clusteredPoints(dice: Dice, count: number, dimension: number): readonly VectorPoint[] {
  const draw = (): number => dice(2_000_001) / 1_000_000 - 1;
  const centres = Array.from({ length: 20 }, () => Array.from({ length: dimension }, draw));
  return Array.from({ length: count }, (_, at) => ({
    id: at + 1,
    vector: Array.from({ length: dimension }, (_, axis) =>
      Number(((centres[at % centres.length]?.[axis] ?? 0) + draw() / 3).toFixed(4)),
    ),
  }));
}

/** Ids of the `k` points nearest by squared distance, of all that there are. */
export function nearest(points: readonly VectorPoint[], query: readonly number[], k: number): Set<number> {
  const distance = ({ vector }: VectorPoint): number =>
    vector.reduce((sum, value, axis) => sum + (value - (query[axis] ?? 0)) ** 2, 0);
  const ranked = points.map((point) => ({ id: point.id, distance: distance(point) }));
  ranked.sort((a, b) => a.distance - b.distance);
  return new Set(ranked.slice(0, k).map(({ id }) => id));
}

export async function upsertAll(
  client: () => Client,
  collection: string,
  points: readonly VectorPoint[],
  batch = 100,
): Promise<void> {
  for (let from = 0; from < points.length; from += batch) {
    const { status, body } = await client().upsert(collection, points.slice(from, from + batch));
    if (status !== 200) throw new Error(`upsert at ${from}: ${status} ${JSON.stringify(body)}`);
  }
}

export interface RecallQuestion {
  readonly collection: string;
  readonly queries: readonly (readonly number[])[];
  readonly truth: readonly ReadonlySet<number>[];
  readonly k: number;
  readonly ef: number;
}

/** Share of the true neighbours that this node finds in what it holds itself. */
export async function recallOf(client: Client, question: RecallQuestion): Promise<number> {
  const { collection, queries, truth, k, ef } = question;
  const searches = queries.map((vector) => ({ vector, limit: k, params: { hnsw_ef: ef } }));
  const path = `/collections/${collection}/points/search/batch?consistency=eventual`;
  const { status, body } = await client.call("POST", path, { searches });
  if (status !== 200) throw new Error(`search: ${status} ${JSON.stringify(body)}`);
  const answers = body.result as readonly (readonly { readonly id: number }[])[];
  const found = answers.map((hits, at) => hits.filter(({ id }) => truth[at]?.has(id) === true).length);
  return found.reduce((sum, count) => sum + count, 0) / (queries.length * k);
}
