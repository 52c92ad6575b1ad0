/** Every REST route that changes something, from the table of routes, with a well-formed request for each. */
import { limits } from "../../../../src/api/limits.ts";
import { routes } from "../../../../src/http/routes.ts";

export const POINTS = [{ id: 1, vector: [1, 2, 3, 4] }];
export const ON = "/collections/:collection";

/** One well-formed request per route; `:node` and the like are filled in. */
export const SAMPLES: Readonly<Record<string, object | null>> = {
  "DELETE /nodes/:node": null,
  [`PUT ${ON}`]: { vectors: { size: 4, distance: "Dot" } },
  [`PATCH ${ON}`]: { metadata: { a: 1 } },
  [`DELETE ${ON}`]: null,
  [`POST ${ON}/cluster`]: { drop_replica: { shard_id: 0, peer_id: 2 } },
  [`POST ${ON}/shards/:shard/voters`]: { node_id: 2 },
  [`DELETE ${ON}/shards/:shard/voters/:node`]: null,
  [`POST ${ON}/shards/:shard/leader`]: { node_id: 2 },
  "POST /collections/aliases": {
    actions: [{ create_alias: { collection_name: "c", alias_name: "a" } }],
  },
  [`PUT ${ON}/points`]: { points: POINTS },
  [`POST ${ON}/points/delete`]: { points: [1] },
  [`PUT ${ON}/points/vectors`]: { points: POINTS },
  [`POST ${ON}/points/payload`]: { points: [1], payload: { a: 1 } },
  [`PUT ${ON}/points/payload`]: { points: [1], payload: { a: 1 } },
  [`POST ${ON}/points/payload/delete`]: { points: [1], keys: ["a"] },
  [`POST ${ON}/points/payload/clear`]: { points: [1] },
  [`POST ${ON}/points/batch`]: { operations: [{ upsert: { points: POINTS } }] },
};
/** Opens this node's own copy again, from its own disk: nobody else has to agree. */
const ALONE = [`POST ${ON}/shards/:shard/restart`];

const CHANGES = ["write", "configure", "manage"];
const all = routes({ limits: limits(), metricsText: () => Promise.resolve("") })
  .filter(({ method, rule }) => method !== "GET" && CHANGES.includes(rule.action))
  .map(({ method, url, query }) => ({ name: `${method} ${url}`, query: JSON.stringify(query) }));
export const changingRoutes = all.map(({ name }) => name).filter((name) => !ALONE.includes(name));

/** Those that name the leader on `?redirect=true`: writes of points, each of which has one. */
export const redirecting = all.filter(({ query }) => query.includes('"redirect"')).map(({ name }) => name);
