/** Every route of the table times every kind of credential, before a byte of the body is read. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../src/api/limits.ts";
import type { Action } from "../../src/auth/permit.ts";
import { routes } from "../../src/http/routes.ts";
import { rawConnection } from "../support/raw-http.ts";
import { errorOf, startRest, type Rest } from "../support/rest.ts";

const table = routes({ limits: limits(), metricsText: () => Promise.resolve("") });
const KEYS = { apiKey: "manage", readOnlyApiKey: "read" };
const CREDENTIALS = [
  { name: "no key", key: null, may: ["probe"], otherwise: 401 },
  { name: "a wrong key", key: "wrong", may: ["probe"], otherwise: 401 },
  { name: "the read-only key", key: "read", may: ["probe", "read"], otherwise: 403 },
  { name: "the key", key: "manage", may: ["probe", "read", "write", "manage"], otherwise: 0 },
] as const;

let rest: Rest;
beforeAll(async () => {
  rest = await startRest({ keys: KEYS });
});
afterAll(() => rest[Symbol.asyncDispose]());

const pathOf = (url: string): string => url.replace(/:[a-z]+/g, "1");

describe.each(CREDENTIALS)("with $name", ({ key, may, otherwise }) => {
  test.each(table.map((route) => [`${route.method} ${route.url}`, route] as const))(
    "%s",
    async (_name, route) => {
      const connection = rawConnection(rest.url);
      const allowed = (may as readonly Action[]).includes(route.rule.action);
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
    if (method === "GET") expect([url, ["read", "probe"].includes(rule.action)]).toEqual([url, true]);
    if (method === "PATCH" || method === "DELETE") expect([url, rule.action]).toEqual([url, "manage"]);
    if (method === "PUT") expect([url, ["write", "manage"].includes(rule.action)]).toEqual([url, true]);
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
