/** Every route of the table times every kind of credential, before a byte of the body is read. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../src/api/limits.ts";
import type { Action } from "../../src/auth/permit.ts";
import { routes } from "../../src/http/routes.ts";
import { NOW, token, tokens } from "../auth/support.ts";
import { rawConnection } from "../support/raw-http.ts";
import { CITY, errorOf, startRest, type Rest } from "../support/rest.ts";

const table = routes({ limits: limits(), metricsText: () => Promise.resolve("") });
const KEYS = { apiKey: "manage", altApiKey: "manage-2", readOnlyApiKey: "read" };
/** In every path of a collection its name is 1. */
const on = (collection: string, access: string) => token({ access: [{ collection, access }] });

// Written out here, so that the rules in the code are not checked against themselves.
const NOTHING = { collection: "probe", cluster: "probe" };
const READS = { collection: "probe list read", cluster: "probe list read" };
const ALL = {
  collection: "probe list read write configure manage",
  cluster: "probe list read write configure manage",
};
const CREDENTIALS = [
  { name: "no key", key: null, may: NOTHING, otherwise: 401 },
  { name: "a wrong key", key: "wrong", may: NOTHING, otherwise: 401 },
  { name: "the read-only key", key: "read", may: READS, otherwise: 403 },
  { name: "the key", key: "manage", may: ALL, otherwise: 0 },
  { name: "the second key", key: "manage-2", may: ALL, otherwise: 0 },
  { name: "a token to manage", key: token({ access: "m" }), may: ALL, otherwise: 0 },
  { name: "a token to read", key: token({ access: "r" }), may: READS, otherwise: 403 },
  { name: "a token without access", key: token({ sub: "x" }), may: NOTHING, otherwise: 403 },
  { name: "a token with empty access", key: token({ access: [] }), may: NOTHING, otherwise: 403 },
  {
    name: "a token to read this collection",
    key: on("1", "r"),
    may: { collection: "probe list read", cluster: "probe list" },
    otherwise: 403,
  },
  {
    name: "a token for the points of this collection",
    key: on("1", "prw"),
    may: { collection: "probe list read write", cluster: "probe list" },
    otherwise: 403,
  },
  {
    name: "a token for this collection",
    key: on("1", "rw"),
    may: { collection: "probe list read write configure", cluster: "probe list" },
    otherwise: 403,
  },
  {
    name: "a token for every collection",
    key: on("*", "rw"),
    may: { collection: "probe list read write configure", cluster: "probe list" },
    otherwise: 403,
  },
  {
    name: "a token for another collection",
    key: on("11", "rw"),
    may: { collection: "probe", cluster: "probe list" },
    otherwise: 403,
  },
  { name: "an expired token", key: token({ exp: NOW - 60, access: "m" }), may: NOTHING, otherwise: 401 },
  { name: "a forged token", key: token({ access: "m" }, "guess"), may: NOTHING, otherwise: 401 },
] as const;

let rest: Rest;
beforeAll(async () => {
  rest = await startRest({ keys: KEYS, tokens: tokens().tokens });
});
afterAll(() => rest[Symbol.asyncDispose]());

const pathOf = (url: string): string => url.replace(/:[a-z]+/g, "1");

describe.each(CREDENTIALS)("with $name", ({ key, may, otherwise }) => {
  test.each(table.map((route) => [`${route.method} ${route.url}`, route] as const))(
    "%s",
    async (_name, route) => {
      const connection = rawConnection(rest.url);
      const allowed = may[route.rule.on].split(" ").includes(route.rule.action);
      // A refusal has to come although the body never does; who is allowed gets as far as being asked for it.
      const length = route.body === null || allowed ? 0 : 1_000_000;
      const credential = key === null ? "" : `api-key: ${key}\r\n`;
      connection.send(
        `${route.method} ${pathOf(route.url)} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${credential}` +
          `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`,
      );
      const answer = await connection.until(/^HTTP\/1\.1 [0-9]{3} [^]*\r\n\r\n/);
      const status = Number(answer.split(" ")[1]);
      if (allowed) expect([401, 403, 500]).not.toContain(status);
      else expect(status).toBe(otherwise);
      connection.socket.destroy();
    },
  );
});

test("what is open to anybody is exactly the liveness of the node", () => {
  const open = table.filter(({ rule }) => rule.action === "probe").map(({ url }) => url);
  expect(open).toEqual(["/", "/healthz", "/livez", "/readyz"]);
});

test("every GET only reads, and what changes points or collections needs the right to", () => {
  for (const { method, url, rule } of table) {
    const looks: readonly Action[] = ["read", "list", "probe"];
    if (method === "GET") expect([url, looks.includes(rule.action)]).toEqual([url, true]);
    else expect([url, ["list", "probe"].includes(rule.action)]).toEqual([url, false]);
    if (["PATCH", "DELETE", "PUT"].includes(method)) expect([url, rule.action]).not.toEqual([url, "read"]);
    // A collection's right never reaches what is the cluster's.
    if (rule.on === "cluster" && method !== "GET") expect([url, rule.action]).toEqual([url, "manage"]);
    if (method !== "GET" && /^.(cluster|nodes)|.(voters|leader)\b/.test(url))
      expect([url, rule.action]).toEqual([url, "manage"]);
    // A route that names a collection is guarded by it, unless it is the whole cluster's to do.
    if (url.includes(":collection"))
      expect([url, rule.on === "collection" || rule.action === "manage"]).toEqual([url, true]);
  }
  const writes = table
    .filter(({ rule }) => rule.action === "write")
    .map(({ method, url }) => `${method} ${url}`);
  const points = "/collections/:collection/points";
  expect(writes).toEqual([
    `PUT ${points}`,
    `POST ${points}/delete`,
    `PUT ${points}/vectors`,
    `POST ${points}/payload`,
    `PUT ${points}/payload`,
    `POST ${points}/payload/delete`,
    `POST ${points}/payload/clear`,
    `POST ${points}/batch`,
  ]);
});

test("an unknown route asks for a key before it says that it is unknown", async () => {
  expect((await rest.call("GET", "/nothing")).status).toBe(401);
  expect((await rest.call("GET", "/nothing", undefined, { "api-key": "read" })).status).toBe(404);
});

test("the bearer form works, and refusals say why", async () => {
  const ok = await rest.call("GET", "/collections", undefined, { authorization: "Bearer read" });
  expect(ok.status).toBe(200);
  const none = await rest.call("GET", "/collections");
  expect(errorOf(none)).toEqual({
    code: "UNAUTHENTICATED",
    error: "Must provide an API key or an Authorization bearer token",
  });
  const wrong = await rest.call("GET", "/collections", undefined, { "api-key": "x" });
  expect(errorOf(wrong).error).toBe("Invalid API key");
  const reader = await rest.call("DELETE", "/collections/cities", undefined, { "api-key": "read" });
  expect([reader.status, errorOf(reader).error]).toEqual([
    403,
    "Forbidden: this API key may not manage collection `cities`",
  ]);
});

test("a list shows what may be read, and no more", async () => {
  for (const name of ["cities", "city-1", "people"])
    await rest.call("PUT", `/collections/${name}`, CITY, { "api-key": "manage" });
  const names = async (key: string) => {
    const { body } = await rest.call("GET", "/collections", undefined, { "api-key": key });
    return (body.result as { collections: { name: string }[] }).collections.map(({ name }) => name);
  };
  expect(await names("read")).toEqual(["cities", "city-1", "people"]);
  expect(await names(on("cit*", "r"))).toEqual(["cities", "city-1"]);
  expect(await names(on("nothing", "rw"))).toEqual([]);
  const alias = (alias_name: string, collection_name: string) => ({
    create_alias: { alias_name, collection_name },
  });
  const actions = [alias("town", "cities"), alias("folk", "people")];
  await rest.call("POST", "/collections/aliases", { actions }, { "api-key": "manage" });
  const shown = async (key: string) => {
    const { body } = await rest.call("GET", "/aliases", undefined, { "api-key": key });
    return (body.result as { aliases: { alias_name: string }[] }).aliases.map(({ alias_name }) => alias_name);
  };
  expect((await shown("read")).sort()).toEqual(["folk", "town"]);
  expect(await shown(on("cit*", "r"))).toEqual(["town"]);
});

test("a right is for the name in the path, be it a collection's or an alias's", async () => {
  const count = async (name: string, key: string) =>
    (await rest.call("POST", `/collections/${name}/points/count`, {}, { "api-key": key })).status;
  expect([await count("town", on("town", "r")), await count("cities", on("town", "r"))]).toEqual([200, 403]);
  expect([await count("cities", on("cities", "r")), await count("town", on("cities", "r"))]).toEqual([
    200, 403,
  ]);
});

test("rw changes the settings of its collection, not where its replicas lie, and not a collection's existence", async () => {
  const key = { "api-key": on("cities", "rw") };
  const patch = (body: unknown) => rest.call("PATCH", "/collections/cities", body, key);
  expect((await patch({ metadata: { owner: "maps" } })).status).toBe(200);
  expect((await patch({ params: { replication_factor: 1 } })).status).toBe(403);
  expect((await rest.call("DELETE", "/collections/cities", undefined, key)).status).toBe(403);
  expect((await rest.call("PUT", "/collections/cities", CITY, key)).status).toBe(403);
});

test("a refused token says why, and a refusal never repeats it", async () => {
  const expired = token({ exp: NOW - 60, access: "m" });
  const answer = await rest.call("GET", "/collections", undefined, { authorization: `Bearer ${expired}` });
  expect([answer.status, errorOf(answer).error]).toEqual([401, "Invalid token: it has expired"]);
  expect(JSON.stringify(rest.logged) + answer.text).not.toContain(expired);
});
