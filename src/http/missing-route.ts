/** What to say about a path or method that is not served: what is allowed, or what of Qdrant's is missing. */
import { ApiError } from "../api/errors.ts";
import type { Route } from "./route.ts";

/** Routes of Qdrant's that Flotilla does not have, and what they are for; `*` is one path segment. */
const LACKING: readonly (readonly [pattern: string, feature: string])[] = [
  ["/collections/*/points/recommend", "recommendations"],
  ["/collections/*/points/recommend/batch", "recommendations"],
  ["/collections/*/points/recommend/groups", "recommendations"],
  ["/collections/*/points/discover", "discovery"],
  ["/collections/*/points/discover/batch", "discovery"],
  ["/collections/*/points/search/groups", "grouping of hits"],
  ["/collections/*/points/query/groups", "grouping of hits"],
  ["/collections/*/points/search/matrix/pairs", "distance matrices"],
  ["/collections/*/points/search/matrix/offsets", "distance matrices"],
  ["/collections/*/points/vectors/delete", "points without a vector"],
  ["/collections/*/vectors/*", "named vectors"],
  ["/collections/*/facet", "facets"],
  ["/collections/*/index", "payload indexes yet"],
  ["/collections/*/index/*", "payload indexes yet"],
  ["/collections/*/optimizations", "a list of optimizations"],
  ["/collections/*/shards/delete", "shard keys"],
  ["/collections/*/snapshots", "snapshots by request"],
  ["/collections/*/snapshots/*", "snapshots by request"],
  ["/snapshots", "snapshots by request"],
  ["/snapshots/*", "snapshots by request"],
  ["/telemetry", "telemetry"],
  ["/cluster/telemetry", "telemetry"],
  ["/issues", "issue reports"],
  ["/quotas", "quotas"],
];

/** The error for a request that no route takes. `allow` is told the methods the path has. */
export function lookUp(
  method: string,
  url: string,
  routes: readonly Route[],
  allow: (methods: string) => void,
): ApiError {
  const path = url.split("?", 1)[0] ?? "";
  const shown = path.length > 200 ? `${path.slice(0, 200)}...` : path;
  // Looked at first: `points/recommend` is also the path of a point called so, which can be had by GET.
  const lacking = LACKING.find(([pattern]) => matches(pattern, path));
  if (lacking !== undefined)
    return new ApiError(
      "UNSUPPORTED",
      `Not supported: ${method} ${shown}: Flotilla does not have ${lacking[1]}`,
    );
  const methods = routes.filter((route) => matches(route.url, path)).map((route) => route.method);
  if (methods.length === 0)
    return new ApiError("ROUTE_NOT_FOUND", `Not found: there is no route ${method} ${shown}`);
  const list = [...new Set(methods)].join(", ");
  allow(list);
  return new ApiError("METHOD_NOT_ALLOWED", `Method not allowed: ${shown} takes ${list}, not ${method}`);
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.split("/");
  return (
    wanted.length === given.length &&
    wanted.every((part, at) => part === given[at] || part === "*" || part.startsWith(":"))
  );
}
