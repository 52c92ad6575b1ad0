import fc from "fast-check";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { expect, test } from "vitest";
import { HttpClient } from "../../src/cli/http-client.ts";
import { call, RestError } from "../../src/cli/rest.ts";
import { plainly } from "../../src/cli/serve.ts";
import { vectorJson } from "../../src/cli/vector-json.ts";

/** Answers each request with the given pieces, written one by one. */
class RawServer implements AsyncDisposable {
  readonly #server: Server;
  connections = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(answers: readonly (readonly string[] | "hangUp" | "silence")[]): Promise<RawServer> {
    const server = createServer();
    const raw = new RawServer(server);
    let next = 0;
    server.on("connection", (socket) => {
      raw.connections++;
      socket.on("error", () => socket.destroy());
      socket.on("data", () => {
        const answer = answers[next++ % answers.length] ?? "hangUp";
        if (answer === "hangUp") socket.destroy();
        else if (answer !== "silence") {
          const write = (at: number): void => {
            const piece = answer[at];
            if (piece !== undefined) socket.write(piece, () => setImmediate(write, at + 1));
          };
          write(0);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return raw;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const OK = `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}`;

test("answers cut anywhere are put together, by length and by chunks, on one connection", async () => {
  await using server = await RawServer.start([
    [...OK],
    ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{"a', '\r\n4;x=y\r\n":1}\r\n0\r', "\n\r\n"],
    ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"],
  ]);
  using client = new HttpClient({ url: server.url, connections: 1 });
  expect((await client.request("GET", "/")).body.toString()).toBe("{}");
  expect((await client.request("POST", "/", "{}")).body.toString()).toBe(`{"a":1}`);
  expect((await client.request("GET", "/")).status).toBe(204);
  expect(server.connections).toBe(1);
});

test("requests beyond the connections wait; a closed connection is replaced", async () => {
  await using server = await RawServer.start([
    [`HTTP/1.1 200 OK\r\nconnection: close\r\n${OK.slice(17)}`],
    [OK],
  ]);
  using client = new HttpClient({ url: server.url, connections: 2 });
  const answers = await Promise.all(Array.from({ length: 9 }, () => client.request("GET", "/")));
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 9 }, () => 200));
  expect(server.connections).toBeGreaterThanOrEqual(3);
});

test("no answer is an error that says whether the request may have had an effect", async () => {
  await using server = await RawServer.start(["hangUp", ["SSH-2.0-OpenSSH\r\n\r\n"], "silence"]);
  using client = new HttpClient({ url: server.url, timeoutMs: 50 });
  await expect(client.request("GET", "/")).rejects.toMatchObject({ code: "CONNECTION_LOST" });
  await expect(client.request("GET", "/")).rejects.toMatchObject({ code: "BAD_RESPONSE" });
  await expect(client.request("GET", "/")).rejects.toMatchObject({ code: "TIMED_OUT" });
  const gone = await RawServer.start([[OK]]);
  const { url } = gone;
  await gone[Symbol.asyncDispose]();
  using nobody = new HttpClient({ url });
  await expect(nobody.request("GET", "/")).rejects.toMatchObject({ code: "CONNECT_FAILED" });
  expect(() => new HttpClient({ url: "ftp://x" })).toThrow("http:// and https://");
});

test("an error of the node carries its words, code and when to come back", async () => {
  const body = `{"status":{"error":"too busy","code":"OVERLOADED"},"time":0}`;
  await using server = await RawServer.start([
    [`HTTP/1.1 429 x\r\nRetry-After: 2\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
  ]);
  using client = new HttpClient({ url: server.url });
  const failure = await call(client, "GET", "/x").catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(RestError);
  expect(failure).toMatchObject({ status: 429, code: "OVERLOADED", retryAfterMs: 2000 });
  expect((failure as RestError).message).toBe("GET /x: 429: too busy");
});

test("what is no answer of a node is one line that says so, and no success", async () => {
  const said = (status: string, body: string): readonly string[] => [
    `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  ];
  await using server = await RawServer.start([
    said("502 x", "<html>\n<h1>Bad  gateway</h1>\n</html>\n"),
    said("200 OK", "{}"),
    said("200 OK", ""),
    said("200 OK", "x".repeat(300)),
  ]);
  using client = new HttpClient({ url: server.url });
  const failure = async (): Promise<string | null> =>
    plainly(await call(client, "GET", "/x").catch((error: unknown) => error));
  const foreign = "this is no answer of a Flotilla node: ";
  expect(await failure()).toBe(`GET /x: 502: ${foreign}<html> <h1>Bad gateway</h1> </html>`);
  expect(await failure()).toBe(`GET /x: 200: ${foreign}{}`);
  expect(await failure()).toBe(`GET /x: 200: ${foreign}it is empty`);
  expect(await failure()).toBe(`GET /x: 200: ${foreign}${"x".repeat(200)}...`);
});

test("https:// to a node without TLS is one line that says what would be right", async () => {
  await using server = await RawServer.start([["HTTP/1.1 400 Bad Request\r\n\r\n"]]);
  using client = new HttpClient({ url: server.url.replace("http:", "https:") });
  await expect(client.request("GET", "/")).rejects.toThrow(
    /^no connection to 127\.0\.0\.1:\d+: it does not speak TLS; does its address begin with http:\/\/\?$/,
  );
});

test("a vector's JSON reads back to the same float32 numbers and is short", () => {
  fc.assert(
    fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true, maxLength: 40 }), (vector) => {
      // JSON has no negative zero worth keeping: it compares equal.
      const read = Float32Array.from(JSON.parse(vectorJson(vector)) as number[]);
      expect(read.map((x) => x + 0)).toEqual(vector.map((x) => x + 0));
    }),
    { seed: 11 },
  );
  expect(vectorJson(Float32Array.of(0, 255, -1, 0.1, 0.30000001192092896, 1e-20))).toBe(
    "[0,255,-1,0.1,0.3,9.999999682655225e-21]",
  );
});
