/** Live answers of every route, of success and of failure, against the response schemas of the document. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ApiError } from "../../src/api/errors.ts";
import { limits } from "../../src/api/limits.ts";
import { routes } from "../../src/http/routes.ts";
import { faults, type Json } from "../support/json-schema.ts";
import { disagreements as faultsOf, inside } from "../support/openapi-answers.ts";
import { CITY, startRest, type Rest, type RestAnswer } from "../support/rest.ts";

const table = routes({ limits: limits(), metricsText: () => Promise.resolve("") });
const KEY = { "api-key": "manage" };
const BODY_BYTES = 65_536;
const pathOf = (url: string): string => url.replace(/:([a-z]+)/g, "{$1}");

let rest: Rest;
let document: Json;
beforeAll(async () => {
  rest = await startRest({
    keys: { apiKey: "manage", readOnlyApiKey: "read" },
    limits: { bodyBytes: BODY_BYTES },
  });
  const answer = await rest.call("GET", "/openapi.json", undefined, KEY);
  expect(answer.status).toBe(200);
  document = answer.body;
});
afterAll(() => rest[Symbol.asyncDispose]());

const disagreements = (method: string, url: string, answer: RestAnswer): readonly string[] =>
  faultsOf(document, method, pathOf(url), {
    status: answer.status,
    contentType: answer.headers.get("content-type") ?? "",
    body: answer.body,
  });

const point = { id: 1, vector: [1, 2, 3, 4], payload: { a: 1 } };
const some = { points: [1] };
const P = "/collections/:collection/points";
const S = "/collections/:collection/shards/:shard";

/** One request per route that succeeds, in an order in which all do. */
const SUCCESSES: readonly (readonly [method: string, url: string, body?: object])[] = [
  ...["/", "/healthz", "/livez", "/readyz", "/metrics"].map((url) => ["GET", url] as const),
  ...["/openapi.json", "/docs", "/docs/start.js", "/docs/swagger-ui.css"].map((url) => ["GET", url] as const),
  ["GET", "/docs/swagger-ui-bundle.js"],
  ["PUT", "/collections/:collection", { ...CITY, shard_number: 2, metadata: { a: 1 } }],
  ["PATCH", "/collections/:collection", { metadata: { b: 2 } }],
  ["GET", "/collections"],
  ["GET", "/collections/:collection/exists"],
  ["PUT", P, { points: [point, { ...point, id: "two" }] }],
  ["GET", "/collections/:collection"],
  ["GET", `${P}/:id`],
  ["POST", P, { ids: [1, "two"], with_vector: true }],
  ["POST", `${P}/scroll`, { limit: 1 }],
  ["POST", `${P}/count`, {}],
  ["POST", `${P}/search`, { vector: [1, 2, 3, 4], limit: 2, with_payload: true }],
  ["POST", `${P}/search/batch`, { searches: [{ vector: [1, 2, 3, 4], limit: 2 }] }],
  ["POST", `${P}/query`, { query: [1, 2, 3, 4], with_vector: true }],
  ["POST", `${P}/query/batch`, { searches: [{ query: [1, 2, 3, 4] }] }],
  ["PUT", `${P}/vectors`, { points: [{ id: 1, vector: [4, 3, 2, 1] }] }],
  ["POST", `${P}/payload`, { ...some, payload: { b: 2 } }],
  ["PUT", `${P}/payload`, { ...some, payload: { c: 3 } }],
  ["POST", `${P}/payload/delete`, { ...some, keys: ["c"] }],
  ["POST", `${P}/payload/clear`, some],
  ["POST", `${P}/batch`, { operations: [{ delete: some }] }],
  ["POST", `${P}/delete`, some],
  ["GET", "/nodes"],
  ["GET", "/leader"],
  ["GET", "/cluster"],
  ["GET", "/status"],
  ["GET", "/collections/:collection/cluster"],
  ["GET", "/collections/:collection/shards"],
  ["GET", S],
  ["POST", `${S}/voters`, { node_id: 2 }],
  ["POST", `${S}/leader`, { node_id: 2 }],
  ["POST", `${S}/restart`, { node_id: 2 }],
  ["DELETE", `${S}/voters/:node`],
  [
    "POST",
    "/collections/:collection/cluster",
    { replicate_shard: { shard_id: 0, from_peer_id: 2, to_peer_id: 3 } },
  ],
  [
    "POST",
    "/collections/aliases",
    { actions: [{ create_alias: { collection_name: "1", alias_name: "one" } }] },
  ],
  ["GET", "/aliases"],
  ["GET", "/collections/:collection/aliases"],
  ["DELETE", "/nodes/:node"],
  ["DELETE", "/collections/:collection"],
];

/** The collection is called 1, its shard 0, the node 1, the point 1; `put` says otherwise. */
const live = (url: string, put: Readonly<Record<string, string>> = {}): string =>
  url.replace(/:([a-z]+)/g, (_, name: string) => put[name] ?? (name === "shard" ? "0" : "1"));

describe("the document", () => {
  test("describes every route, and no other", () => {
    const described = Object.entries(inside(document, "paths") ?? {}).flatMap(([path, methods]) =>
      Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described.sort()).toEqual(table.map(({ method, url }) => `${method} ${pathOf(url)}`).sort());
    const ids = Object.values(inside(document, "paths") ?? {}).flatMap((methods) =>
      Object.values(methods as object).map((operation: Json) => operation["operationId"]),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("says of bodies what the reader of bodies says of itself", () => {
    for (const { method, url, body } of table) {
      const path = ["paths", pathOf(url), method.toLowerCase()];
      const schema = inside(document, ...path, "requestBody", "content", "application/json", "schema");
      expect(schema).toEqual(body);
    }
  });

  test("names the headers that a request is read with and an answer comes with", () => {
    const sent = (method: string, url: string): readonly unknown[] => {
      const parameters = inside(document, "paths", pathOf(url), method)?.["parameters"] as readonly Json[];
      return parameters.filter((one) => one["in"] === "header").map((one) => one["name"]);
    };
    const got = (method: string, url: string, status: string): readonly string[] =>
      Object.keys(inside(document, "paths", pathOf(url), method, "responses", status, "headers") ?? {});
    const write = ["Idempotency-Key", "If-Match", "If-None-Match"];
    expect([sent("put", P), sent("post", `${P}/batch`)]).toEqual([write, ["Idempotency-Key"]]);
    expect([sent("get", `${P}/:id`), sent("get", "/nodes")]).toEqual([["X-Flotilla-Index"], []]);
    expect(got("put", P, "200")).toEqual(["X-Flotilla-Index", "Idempotency-Replayed"]);
    expect([got("get", `${P}/:id`, "200"), got("get", "/nodes", "200")]).toEqual([["ETag"], []]);
    expect([got("put", P, "307"), got("put", P, "503")]).toEqual([["Location"], ["Retry-After"]]);
  });

  test("promises a redirect only where one can be asked for", () => {
    for (const { method, url, query } of table) {
      const place = ["paths", pathOf(url), method.toLowerCase(), "responses", "307"];
      const asked = inside(query, "properties", "redirect") !== null;
      expect([method, url, inside(document, ...place) !== null]).toEqual([method, url, asked]);
    }
  });

  test("is what the page shows", async () => {
    const page = await rest.call("GET", "/docs", undefined, KEY);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    for (const [, file = ""] of page.text.matchAll(/(?:src|href)="([^"]+)"/g))
      expect((await rest.call("GET", file, undefined, KEY)).status).toBe(200);
    expect((await rest.call("GET", "/docs/start.js", undefined, KEY)).text).toContain("/openapi.json");
  });
});

describe("answers of every route are as documented:", () => {
  test("success", async () => {
    expect(SUCCESSES.map(([method, url]) => `${method} ${url}`).sort()).toEqual(
      table.map(({ method, url }) => `${method} ${url}`).sort(),
    );
    for (const [method, url, body] of SUCCESSES) {
      const answer = await rest.call(method, live(url), body, KEY);
      expect([method, url, answer.status, answer.status === 200 ? "" : answer.text]).toEqual([
        ...[method, url, 200, ""],
      ]);
      expect([method, url, disagreements(method, url, answer)]).toEqual([method, url, []]);
    }
  });

  const bodyOf = (method: string, url: string): object | undefined =>
    SUCCESSES.find(([m, u]) => m === method && u === url)?.[2];

  test.each([
    ["no key", "", {}, {}, 401],
    ["a key that may only read", "", {}, { "api-key": "read" }, 403],
    ["a parameter that is unknown", "?nonsense=1", {}, KEY, 400],
    ["a timeout out of range", "?timeout=100000", {}, KEY, 422],
    ["a collection that does not exist", "", { collection: "none" }, KEY, 404],
  ] as const)("%s", async (_, query, put, headers, status) => {
    let failed = 0;
    for (const { method, url } of table) {
      const answer = await rest.call(method, live(url, put) + query, bodyOf(method, url), headers);
      expect([method, url, disagreements(method, url, answer)]).toEqual([method, url, []]);
      if (answer.status === status) failed++;
      if ("collection" in put && method !== "GET")
        await rest.call("DELETE", "/collections/none", undefined, KEY);
    }
    expect(failed).toBeGreaterThan(10);
  });

  test("too large a body, for routes that take one", async () => {
    for (const { method, url } of table.filter(({ body }) => body !== null)) {
      const answer = await rest.call(method, live(url), { x: "x".repeat(BODY_BYTES) }, KEY);
      expect([method, url, answer.status, disagreements(method, url, answer)]).toEqual([
        method,
        url,
        413,
        [],
      ]);
    }
  });

  test("a method that a path does not have is the envelope of an error too", async () => {
    for (const { url } of table) {
      const answer = await rest.call("PROPFIND", live(url), undefined, KEY);
      expect([url, answer.status]).toEqual([url, 405]);
      expect(faults(inside(document, "components", "schemas", "Error") ?? {}, answer.body)).toEqual([]);
    }
  });

  test("a body that is none, for routes that take one", async () => {
    for (const { method, url, body } of table.filter((route) => route.body !== null)) {
      const answer = await rest.call(method, live(url), [body === null], KEY);
      expect([answer.status, disagreements(method, url, answer)]).toEqual([400, []]);
    }
  });

  test.each([
    new ApiError("NOT_LEADER", "Not the leader: node 2 leads shard 0", {
      leader: { nodeId: 2, http: "h:1", grpc: "h:2", term: 3 },
      shard: 0,
    }),
    new ApiError("OUTCOME_UNKNOWN", "Timeout error: it may still happen", {
      unknown: [{ shard: 0, term: 1, index: null }],
      shards: [{ shard: 1, applied: 1, entries: 1, code: null, message: null }],
    }),
    new ApiError("NO_LEADER", "Service unavailable: nobody leads shard 0"),
    new ApiError("OUT_OF_SPACE", "Out of space"),
  ])("$code of a write", async (error) => {
    await rest.call("PUT", "/collections/w", CITY, KEY);
    rest.cluster.failNext(error);
    const answer = await rest.call("PUT", "/collections/w/points", { points: [point] }, KEY);
    expect(answer.body).toMatchObject({ status: { code: error.code } });
    expect(disagreements("PUT", P, answer)).toEqual([]);
    if (error.details.shards !== undefined) expect(answer.body["shards"]).toEqual(error.details.shards);
  });
});
