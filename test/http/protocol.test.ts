/** What is not a well-formed request, and how long the server bears with it. */
import { once } from "node:events";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rawConnection } from "../support/raw-http.ts";
import { CITY, errorOf, startRest, type Rest, type RestAnswer } from "../support/rest.ts";

let rest: Rest;
beforeAll(async () => {
  rest = await startRest({ limits: { bodyBytes: 100_000 } });
  await rest.call("PUT", "/collections/p", CITY);
});
afterAll(() => rest[Symbol.asyncDispose]());

const JSON_HEADERS = { "content-type": "application/json" };
const count = (
  body: string | Uint8Array,
  headers: Record<string, string> = JSON_HEADERS,
): Promise<RestAnswer> => rest.raw("POST", "/collections/p/points/count", body, headers);

describe("bodies", () => {
  test.each<[name: string, body: string | Uint8Array, word: string]>([
    ["nothing", "", "the body is empty"],
    ["half an object", '{"exact":', "JSON"],
    ["a word", "exact", "JSON"],
    ["NaN", '{"exact":NaN}', "JSON"],
    ["a trailing comma", '{"exact":true,}', "JSON"],
    ["two values", "{}{}", "JSON"],
    ["a byte order mark", "\ufeff{}", "JSON"],
    ["invalid UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d), "not valid UTF-8"],
    ["an overlong slash", Uint8Array.of(0x22, 0xc0, 0xaf, 0x22), "not valid UTF-8"],
    ["an array", "[]", "the body must be an object, not an array"],
    ["a string", '"x"', "the body must be an object, not a string"],
    ["null", "null", "the body must be an object, not null"],
    ["__proto__", '{"__proto__":{"exact":true}}', "unknown field `__proto__`"],
    ["constructor", '{"constructor":{}}', "unknown field `constructor`"],
    ["an escaped __proto__", '{"\\u005f\\u005fproto__":1}', "unknown field `__proto__`"],
    ["90,000 open brackets", "[".repeat(90_000), "nested deeper than the 64 levels"],
    ["deep objects", '{"a":'.repeat(65), "nested deeper than the 64 levels"],
  ])("%s is 400", async (_name, body, word) => {
    const answer = await count(body);
    expect([answer.status, errorOf(answer).code]).toEqual([400, "BAD_REQUEST"]);
    expect(errorOf(answer).error).toContain(word);
    expect(answer.body.time).toBeTypeOf("number");
  });

  test("brackets inside strings are not depth", async () => {
    const body = JSON.stringify({
      points: [{ id: 1, vector: [1, 2, 3, 4], payload: { a: '[{"\\'.repeat(500) } }],
    });
    expect((await rest.raw("PUT", "/collections/p/points", body, JSON_HEADERS)).status).toBe(200);
  });

  test("a body needs the content type of JSON, of any charset parameter", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonl"]) {
      const answer = await count("{}", { "content-type": type });
      expect([answer.status, errorOf(answer).code]).toEqual([400, "BAD_REQUEST"]);
      expect(errorOf(answer).error).toContain(`Content-Type must be application/json, not \`${type}\``);
    }
    expect((await count("{}", { "content-type": "Application/JSON; charset=UTF-8" })).status).toBe(200);
    const missing = await rest.raw("POST", "/collections/p/points/count", Uint8Array.of(0x7b, 0x7d), {});
    expect(errorOf(missing).error).toContain("it is missing");
  });

  test("a compressed body is refused by name", async () => {
    const answer = await count(gzipSync("{}"), { ...JSON_HEADERS, "content-encoding": "gzip" });
    expect([answer.status, errorOf(answer).code]).toEqual([400, "UNSUPPORTED"]);
    expect(errorOf(answer).error).toContain("gzip");
  });

  test("a route without a body refuses one", async () => {
    const answer = await rest.call("DELETE", "/collections/none", { force: true });
    expect(errorOf(answer).error).toContain("takes no body");
    expect((await rest.call("DELETE", "/collections/none", {})).body.result).toBe(false);
  });

  test("too large a body is 413, with and without a length", async () => {
    const answer = await count(`{"x":"${"y".repeat(100_000)}"}`);
    expect(answer.status).toBe(413);
    expect(errorOf(answer)).toEqual({
      code: "TOO_LARGE",
      error:
        "Payload error: the body is too large, at most 100000 bytes are allowed (option `limits.body_bytes`)",
    });
    const connection = rawConnection(rest.url);
    connection.send(
      "POST /collections/p/points/count HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" +
        `transfer-encoding: chunked\r\n\r\n186A1\r\n${"z".repeat(100_001)}\r\n`,
    );
    expect(await connection.until(/\r\n\r\n.*}$/s)).toMatch(/^HTTP\/1\.1 413 .*TOO_LARGE/s);
    connection.socket.destroy();
  });

  test.each([
    ["too large", "application/json", 413],
    ["of another type", "text/plain", 400],
  ])("a client that sends all of a body %s first hears why, and may go on", async (_, type, status) => {
    const connection = rawConnection(rest.url);
    const body = "z".repeat(8 << 20);
    connection.send(
      `POST /collections/p/points/count HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\n` +
        `content-length: ${body.length}\r\n\r\n`,
    );
    await connection.until(/\r\n\r\n.*}$/s);
    connection.send(`${body}GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    const all = await connection.closed;
    expect(all).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(all).toMatch(/HTTP\/1\.1 200 .*check passed/s);
  });
});

describe("requests", () => {
  test("an unknown path is 404, another method 405 with what is allowed", async () => {
    const missing = await rest.call("GET", "/nothing/here?a=b");
    expect([missing.status, errorOf(missing)]).toEqual([
      404,
      { code: "ROUTE_NOT_FOUND", error: "Not found: there is no route GET /nothing/here" },
    ]);
    const method = await rest.call("POST", "/collections/p", {});
    expect([method.status, errorOf(method).code]).toEqual([405, "METHOD_NOT_ALLOWED"]);
    expect(method.headers.get("allow")).toBe("GET, PUT, PATCH, DELETE");
    expect((await rest.call("PUT", "/collections", {})).status).toBe(405);
  });

  test("HEAD is GET without the body", async () => {
    const answer = await rest.call("HEAD", "/healthz");
    expect([answer.status, answer.text]).toEqual([200, ""]);
  });

  test("a broken escape in the path is 400", async () => {
    const answer = await rest.call("GET", "/collections/%zz");
    expect([answer.status, errorOf(answer).code]).toEqual([400, "BAD_REQUEST"]);
  });

  test("a shard is a number that exists", async () => {
    expect((await rest.call("GET", "/collections/p/shards/x")).status).toBe(400);
    expect((await rest.call("GET", "/collections/p/shards/9")).status).toBe(404);
    const shown = await rest.call("GET", "/collections/p/shards/0");
    const all = await rest.call("GET", "/collections/p/shards");
    expect(all.body.result).toEqual({ shards: [shown.body.result] });
    expect(shown.body.result).toMatchObject({
      shard: 0,
      leader: 1,
      replicas: [{ node_id: 1, role: "leader" }],
    });
  });

  test("what is not HTTP is answered with the envelope", async () => {
    const connection = rawConnection(rest.url);
    connection.send("hello\r\n\r\n");
    expect(await connection.closed).toMatch(/^HTTP\/1\.1 400 .*"code":"BAD_REQUEST"/s);
  });

  test("what follows a request is not answered in its place: the write before it may have been carried out", async () => {
    const body = JSON.stringify({ points: [{ id: 1, vector: [1, 0, 0, 0] }] });
    const write =
      "PUT /collections/p/points HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" +
      `content-length: ${body.length}\r\n\r\n${body}`;
    const half = "POST /collections/p/points/count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    for (const next of ["hello\r\n\r\n", `${half}no length\r\n`]) {
      const { release, arrived } = rest.cluster.hold();
      const connection = rawConnection(rest.url);
      connection.send(write);
      await arrived;
      connection.send(next);
      expect(await connection.closed).not.toContain("HTTP/1.1");
      release();
    }
    const after = rawConnection(rest.url);
    after.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await after.until(/200 OK/);
    after.send("hello\r\n\r\n");
    expect(await after.closed).toMatch(/HTTP\/1\.1 400 .*"code":"BAD_REQUEST"/s);
  });

  test("headers over their limit are 413", async () => {
    const connection = rawConnection(rest.url);
    connection.send(`GET / HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
    expect(await connection.closed).toMatch(/^HTTP\/1\.1 413 .*http\.header_bytes/s);
  });
});

describe("patience", () => {
  test("a request that does not arrive in time is 408, in its headers and in its body", async () => {
    await using slow = await startRest({ http: { headersTimeoutMs: 100, receiveTimeoutMs: 200 } });
    const headers = rawConnection(slow.url);
    headers.send("GET / HTTP/1.1\r\nhost:");
    const body = rawConnection(slow.url);
    body.send("POST /collections/x/points/count HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n");
    body.send("content-type: application/json\r\n\r\n{");
    expect(await headers.closed).toMatch(/^HTTP\/1\.1 408 /);
    expect(await body.closed).toMatch(/^HTTP\/1\.1 408 /);
  });

  test.each([
    ["headers", "GET / HTTP/1.1\r\nhost:"],
    ["body", "POST /collections/x/points/count HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"],
    ["no request", "hello\r\n\r\n"],
  ])(
    "a connection that was told so (%s) keeps its place no longer, whatever the client does",
    async (_, bytes) => {
      await using one = await startRest({
        http: { headersTimeoutMs: 100, receiveTimeoutMs: 200, connections: 1 },
      });
      const { hostname, port } = new URL(one.url);
      const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true }).resume();
      socket.on("error", () => undefined);
      const end = once(socket, "end");
      socket.write(bytes);
      // It never ends its own half.
      await end;
      const livez = () => one.call("GET", "/livez", undefined, { connection: "close" }).catch(() => null);
      let answer = await livez();
      while (answer === null) answer = await livez();
      expect(answer.status).toBe(200);
      socket.destroy();
    },
  );

  test("an idle connection is closed after its time", async () => {
    await using brief = await startRest({ http: { keepAliveTimeoutMs: 50 } });
    const connection = rawConnection(brief.url);
    connection.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(await connection.closed).toMatch(/^HTTP\/1\.1 200 .*livez check passed/s);
  });

  test("a connection carries as many requests as it may", async () => {
    await using brief = await startRest({ http: { requestsPerConnection: 2 } });
    const connection = rawConnection(brief.url);
    connection.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2));
    const answers = await connection.until(/connection: close/i);
    expect(answers.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    connection.socket.destroy();
  });

  test("a client that does not read its answer is cut off", async () => {
    await using brief = await startRest({ http: { sendTimeoutMs: 100 } });
    await brief.call("PUT", "/collections/p", CITY);
    const text = "x".repeat(200_000);
    for (let id = 0; id < 100; id++) {
      const points = [{ id, vector: [1, 2, 3, 4], payload: { text } }];
      await brief.call("PUT", "/collections/p/points", { points });
    }
    const connection = rawConnection(brief.url);
    connection.socket.pause();
    const observed = brief.nextObservation();
    const body = '{"limit":100}';
    connection.send(
      "POST /collections/p/points/scroll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    expect(await observed).toMatchObject({ route: "/collections/:collection/points/scroll", status: 499 });
    connection.socket.resume();
    expect((await connection.closed).length).toBeLessThan(20_000_000);
  });

  test("connections above their number are refused", async () => {
    await using narrow = await startRest({ http: { connections: 1 } });
    const first = rawConnection(narrow.url);
    first.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    await first.until(/passed/);
    const second = rawConnection(narrow.url);
    second.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(await second.closed).not.toContain("passed");
    first.socket.destroy();
  });

  test("a body that breaks off is the client's affair, not a defect", async () => {
    const connection = rawConnection(rest.url);
    const observed = rest.nextObservation();
    connection.send("POST /collections/p/points/count HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n");
    connection.send("content-type: application/json\r\n\r\n{");
    // The server has begun with it once it answers something that was sent later.
    await rest.call("GET", "/livez");
    connection.socket.destroy();
    await observed;
    await rest.call("GET", "/livez");
    expect(rest.logged.filter(({ msg }) => msg === "request failed by a defect")).toEqual([]);
  });
});
