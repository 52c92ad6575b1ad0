/** What REST adds to Qdrant's API, on the model and on a real node: both have to behave alike. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startRest } from "../support/rest.ts";
import { NodeProcess } from "./support/node-process.ts";

interface Target extends AsyncDisposable {
  readonly url: string;
}
interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly result: unknown;
  readonly code: unknown;
}

const TARGETS: readonly (readonly [name: string, start: () => Promise<Target>])[] = [
  ["the model", () => startRest()],
  ["a real node", () => NodeProcess.start()],
];

describe.each(TARGETS)("%s", (_name, start) => {
  let target: Target;
  beforeAll(async () => {
    target = await start();
    await call("PUT", "/collections/c", { vectors: { size: 2, distance: "Dot" } });
  });
  afterAll(async () => {
    await target[Symbol.asyncDispose]();
  });

  async function call(method: string, path: string, body?: object, headers = {}): Promise<Reply> {
    const response = await fetch(`${target.url}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    });
    const parsed = (await response.json()) as { result?: unknown; status?: { code?: unknown } };
    return {
      status: response.status,
      headers: response.headers,
      result: parsed.result,
      code: parsed.status?.code,
    };
  }
  const put = (points: readonly object[], headers = {}): Promise<Reply> =>
    call("PUT", "/collections/c/points", { points }, headers);
  const etag = async (id: number): Promise<string> =>
    (await call("GET", `/collections/c/points/${id}`)).headers.get("etag") ?? "";

  test("a version guards a write, and a new point has to be new", async () => {
    expect((await put([{ id: 1, vector: [1, 2] }], { "if-none-match": "*" })).status).toBe(200);
    const again = await put([{ id: 1, vector: [1, 2] }], { "if-none-match": "*" });
    expect([again.status, again.code]).toEqual([412, "VERSION_CONFLICT"]);
    const first = await etag(1);
    expect((await put([{ id: 1, vector: [2, 3] }], { "if-match": first })).status).toBe(200);
    expect((await put([{ id: 1, vector: [3, 4] }], { "if-match": first })).status).toBe(412);
    expect((await call("GET", "/collections/c/points/1")).result).toMatchObject({ vector: [2, 3] });
  });

  test("a mixed batch of which one part is refused changes nothing", async () => {
    await put([{ id: 10, vector: [1, 1] }]);
    const operations = [
      { upsert: { points: [{ id: 10, vector: [9, 9] }] } },
      { delete: { points: [10], if_version: 1_000_000 } },
    ];
    const answer = await call("POST", "/collections/c/points/batch", { operations });
    expect([answer.status, answer.code]).toEqual([412, "VERSION_CONFLICT"]);
    expect((await call("GET", "/collections/c/points/10")).result).toMatchObject({ vector: [1, 1] });
  });

  test("vectors of a point that does not exist are 404", async () => {
    const answer = await call("PUT", "/collections/c/points/vectors", {
      points: [{ id: 404, vector: [1, 2] }],
    });
    expect([answer.status, answer.code]).toEqual([404, "POINT_NOT_FOUND"]);
  });

  test("a retry under the same key is applied once", async () => {
    const headers = { "idempotency-key": "once" };
    const first = await put([{ id: 2, vector: [1, 2] }], headers);
    const version = await etag(2);
    const again = await put([{ id: 2, vector: [1, 2] }], headers);
    expect([first.status, again.status]).toEqual([200, 200]);
    expect(again.headers.get("idempotency-replayed")).toBe("true");
    expect(await etag(2)).toBe(version);
    const other = await put([{ id: 3, vector: [1, 2] }], headers);
    expect([other.status, other.code]).toEqual([409, "CONFLICT"]);
  });

  test("what a write answered can be seen by a session that brings it along", async () => {
    const written = await put([{ id: 5, vector: [5, 5] }]);
    const index = written.headers.get("x-flotilla-index") ?? "";
    expect(index).toMatch(/^0=[0-9]+$/);
    const path = "/collections/c/points/5?consistency=session";
    const read = await call("GET", path, undefined, { "x-flotilla-index": index });
    expect(read.result).toMatchObject({ id: 5 });
  });

  test.each(["eventual", "leader", "linearizable", "all", "1"])(
    "a read with consistency=%s is served",
    async (level) => {
      await put([{ id: 6, vector: [6, 6] }]);
      const answer = await call("POST", `/collections/c/points/count?consistency=${level}`, {});
      expect(answer.status).toBe(200);
      expect((answer.result as { count: number }).count).toBeGreaterThan(0);
    },
  );

  test("payload paths, numbers and text ids, unicode and float32 come back as they went in", async () => {
    const payload = { a: { b: [1, 2.5, "\u{1F600}", null, true] }, "": "empty key" };
    await put([{ id: "é/ü", vector: [0.1, -1e-7], payload }]);
    const found = await call("GET", `/collections/c/points/${encodeURIComponent("é/ü")}`);
    expect(found.result).toMatchObject({ id: "é/ü", payload, vector: [0.1, -1e-7] });
  });

  test("the shards say who leads and how far they are", async () => {
    const answer = await call("GET", "/collections/c/shards");
    const { shards } = answer.result as { shards: { replicas: { commit: number; applied: number }[] }[] };
    expect(shards).toMatchObject([
      { shard: 0, leader: 1, replicas: [{ node_id: 1, role: "leader", state: "active", lag: 0 }] },
    ]);
    expect(shards[0]?.replicas[0]?.applied).toBe(shards[0]?.replicas[0]?.commit);
  });

  test("it is ready, also with sync", async () => {
    const response = await fetch(`${target.url}/readyz?sync`);
    expect([response.status, await response.text()]).toEqual([
      200,
      expect.stringContaining("all shards are ready"),
    ]);
  });
});
