/** Searches: limits, and points as queries turned into their vectors. */
import type { SearchQuery } from "../cluster/types.ts";
import { ApiError } from "./errors.ts";
import { between, within, type Limits } from "./limits.ts";
import type { PointId, StoredPoint } from "./types.ts";
import { checkSelector } from "./writes.ts";

/** A {@link SearchQuery} whose vector may be that of a stored point, which is then left out of the hits. */
export interface SearchRequest extends Omit<SearchQuery, "vector" | "excludeId"> {
  readonly near:
    | { readonly kind: "vector"; readonly vector: Float32Array }
    | { readonly kind: "point"; readonly id: PointId };
}

/** Throws INVALID or TOO_LARGE over a limit, POINT_NOT_FOUND for a missing point. One retrieval for all points. */
export async function checkedSearch(
  requests: readonly SearchRequest[],
  limits: Limits,
  retrieve: (ids: readonly PointId[]) => Promise<readonly StoredPoint[]>,
): Promise<readonly SearchQuery[]> {
  within(limits, "batchQueries", requests.length, "the number of queries", "TOO_LARGE");
  requests.forEach((request, at) =>
    checkOne(request, requests.length === 1 ? "" : ` of query ${at}`, limits),
  );

  const ids = new Set<PointId>();
  for (const { near } of requests) if (near.kind === "point") ids.add(near.id);
  const vectors = new Map<PointId, Float32Array>();
  if (ids.size > 0) {
    for (const { id, vector } of await retrieve([...ids])) if (vector !== undefined) vectors.set(id, vector);
  }
  return requests.map(({ near, ...rest }) => {
    if (near.kind === "vector") return { ...rest, vector: near.vector };
    const vector = vectors.get(near.id);
    if (vector === undefined)
      throw new ApiError("POINT_NOT_FOUND", `Not found: No point with id ${near.id} found`);
    return { ...rest, vector, excludeId: near.id };
  });
}

function checkOne(request: SearchRequest, which: string, limits: Limits): void {
  const { limit, offset, ef, scoreThreshold } = request;
  between(limits, "searchHits", limit, 1, `\`limit\`${which}`);
  between(limits, "searchHits", offset, 0, `\`offset\`${which}`);
  within(limits, "searchHits", limit + offset, `\`limit\` + \`offset\`${which}`);
  if (ef !== null) between(limits, "searchEf", ef, 1, `\`hnsw_ef\`${which}`);
  if (scoreThreshold !== null && !Number.isFinite(scoreThreshold))
    throw new ApiError("INVALID", `Wrong input: \`score_threshold\`${which} must be finite`);
  checkSelector(request.withPayload, limits);
}
