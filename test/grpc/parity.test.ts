/** What can be done over REST can be done over gRPC, by the same rule: a new route has to say how, or why not. */
import { expect, test } from "vitest";
import { limits } from "../../src/api/limits.ts";
import { methods } from "../../src/grpc/methods.ts";
import { routes } from "../../src/http/routes.ts";

const POINTS = "/collections/:collection/points";
const SHARD = "/collections/:collection/shards/:shard";

const SAME: Readonly<Record<string, string>> = {
  [`PUT ${POINTS}`]: "Points/Upsert",
  [`POST ${POINTS}/delete`]: "Points/Delete",
  [`PUT ${POINTS}/vectors`]: "Points/UpdateVectors",
  [`POST ${POINTS}/payload`]: "Points/SetPayload",
  [`PUT ${POINTS}/payload`]: "Points/OverwritePayload",
  [`POST ${POINTS}/payload/delete`]: "Points/DeletePayload",
  [`POST ${POINTS}/payload/clear`]: "Points/ClearPayload",
  [`POST ${POINTS}/batch`]: "Points/Batch",
  [`GET ${POINTS}/:id`]: "Points/Get",
  [`POST ${POINTS}`]: "Points/Retrieve",
  [`POST ${POINTS}/scroll`]: "Points/Scroll",
  [`POST ${POINTS}/count`]: "Points/Count",
  [`POST ${POINTS}/search`]: "Points/Search",
  [`POST ${POINTS}/query`]: "Points/Search",
  [`POST ${POINTS}/search/batch`]: "Points/SearchBatch",
  [`POST ${POINTS}/query/batch`]: "Points/SearchBatch",
  "GET /collections": "Collections/List",
  "GET /collections/:collection": "Collections/Get",
  "GET /collections/:collection/exists": "Collections/Exists",
  "PUT /collections/:collection": "Collections/Create",
  "PATCH /collections/:collection": "Collections/Update",
  "DELETE /collections/:collection": "Collections/Delete",
  "GET /aliases": "Collections/ListAliases",
  "GET /collections/:collection/aliases": "Collections/GetAliases",
  "POST /collections/aliases": "Collections/ChangeAliases",
  "GET /nodes": "Cluster/ListNodes",
  "DELETE /nodes/:node": "Cluster/RemoveNode",
  "GET /leader": "Cluster/GetLeader",
  "GET /status": "Cluster/GetStatus",
  "GET /collections/:collection/shards": "Cluster/ListShards",
  [`GET ${SHARD}`]: "Cluster/GetShard",
  [`POST ${SHARD}/voters`]: "Cluster/AddVoter",
  [`DELETE ${SHARD}/voters/:node`]: "Cluster/RemoveVoter",
  [`POST ${SHARD}/leader`]: "Cluster/TransferLeader",
  [`POST ${SHARD}/restart`]: "Cluster/RestartReplica",
};

const REST_ONLY: Readonly<Record<string, string>> = {
  "GET /": "a greeting",
  "GET /healthz": "grpc.health.v1",
  "GET /livez": "grpc.health.v1",
  "GET /readyz": "grpc.health.v1",
  "GET /metrics": "a format of its own",
  "GET /openapi.json": "reflection",
  "GET /docs": "a page",
  "GET /docs/start.js": "a page",
  "GET /docs/swagger-ui.css": "a page",
  "GET /docs/swagger-ui-bundle.js": "a page",
  "GET /cluster": "Qdrant's words for ListNodes and GetLeader",
  "GET /collections/:collection/cluster": "Qdrant's words for ListShards",
  "POST /collections/:collection/cluster": "Qdrant's words for AddVoter, RemoveVoter and MoveReplica",
};

/** No route does just this. */
const GRPC_ONLY = ["Points/UpsertStream", "Cluster/MoveReplica"];

const rest = routes({ limits: limits(), metricsText: () => Promise.resolve("") });
const grpc = new Map(methods(limits()).map((method) => [method.path.replace("/flotilla.v1.", ""), method]));

test.each(rest.map((route) => [`${route.method} ${route.url}`, route] as const))("%s", (name, { rule }) => {
  const same = grpc.get(SAME[name] ?? "");
  if (same === undefined) expect(REST_ONLY).toHaveProperty([name]);
  else expect([same.rule.action, same.rule.on]).toEqual([rule.action, rule.on]);
});

test("and the other way round", () => {
  const known = new Set([...Object.values(SAME), ...GRPC_ONLY]);
  expect([...grpc.keys()].filter((name) => !known.has(name))).toEqual([]);
});
