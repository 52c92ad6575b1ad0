/** Failures, deadlines, clients that leave, and a server that stops: what the other side gets to know. */
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ApiError, ERRORS, type ErrorCode } from "../../src/api/errors.ts";
import { rawConnection } from "../support/raw-http.ts";
import { CITY, errorOf, startRest, type Rest } from "../support/rest.ts";

let rest: Rest;
beforeAll(async () => {
  rest = await startRest();
  await rest.call("PUT", "/collections/o", CITY);
});
afterAll(() => rest[Symbol.asyncDispose]());

const COUNT = "/collections/o/points/count";
const POINTS = "/collections/o/points";
const points = [{ id: 1, vector: [1, 2, 3, 4] }];

describe("errors", () => {
  test.each(Object.keys(ERRORS) as ErrorCode[])("%s has its status, its text and its code", async (code) => {
    rest.cluster.failNext(new ApiError(code, "what happened"));
    const answer = await rest.call("POST", COUNT, {});
    expect(answer.status).toBe(ERRORS[code].http);
    expect(answer.body).toEqual({ status: { error: "what happened", code }, time: expect.any(Number) });
    const retryable = ERRORS[code].http === 503 && ERRORS[code].retry === "yes";
    expect(answer.headers.get("retry-after")).toBe(retryable ? "1" : null);
  });

  test("details travel along", async () => {
    const leader = { nodeId: 2, http: "b:6333", grpc: "b:6334", term: 7 };
    rest.cluster.failNext(new ApiError("NOT_LEADER", "Not the leader", { leader, shard: 3 }));
    const redirect = await rest.call("POST", COUNT, {});
    expect(redirect.body).toMatchObject({ leader: { node_id: 2, http: "b:6333", term: 7 }, shard: 3 });
    rest.cluster.failNext(new ApiError("OVERLOADED", "busy", { retryAfter: 2.5 }));
    expect((await rest.call("POST", COUNT, {})).headers.get("retry-after")).toBe("3");
  });

  test("a defect is 500, logged with its stack and answered without it", async () => {
    rest.cluster.failNext(new TypeError("secret detail"));
    const answer = await rest.call("POST", COUNT, {});
    expect([answer.status, errorOf(answer).code]).toEqual([500, "INTERNAL"]);
    expect(answer.text).not.toContain("secret");
    const line = rest.logged.findLast(({ msg }) => msg === "request failed by a defect");
    expect(line).toMatchObject({ method: "POST", url: COUNT, err: { message: "secret detail" } });
    expect((line?.["err"] as { stack?: string }).stack).toContain("TypeError");
  });
});

describe("deadlines", () => {
  test("a read that takes too long is 408 and had no effect", async () => {
    const { release } = rest.cluster.hold();
    const answer = await rest.call("POST", `${COUNT}?timeout=0.05`, {});
    release();
    expect([answer.status, errorOf(answer).code]).toEqual([408, "DEADLINE_EXCEEDED"]);
  });

  test("a write that was proposed is 408 with an unknown outcome, and says where to look", async () => {
    const { release } = rest.cluster.hold();
    const answer = await rest.call("PUT", `${POINTS}?timeout=0.05`, { points });
    release();
    expect([answer.status, errorOf(answer).code]).toEqual([408, "OUTCOME_UNKNOWN"]);
    expect(answer.body["unknown"]).toEqual([{ shard: 0, term: 1, index: expect.any(Number) }]);
    expect((await rest.call("GET", `${POINTS}/1`)).status).toBe(200);
  });

  test("without a `timeout` the configured one counts, and a longer one than allowed is refused", async () => {
    await using brief = await startRest({ http: { deadlineMs: 50, deadlineMaxMs: 100 } });
    await brief.call("PUT", "/collections/o", CITY);
    const { release } = brief.cluster.hold();
    expect((await brief.call("POST", COUNT, {})).status).toBe(408);
    release();
    const answer = await brief.call("POST", `${COUNT}?timeout=0.2`, {});
    expect(answer.status).toBe(422);
    expect(errorOf(answer).error).toContain("at most 0.1 s are allowed (option `http.deadline_max_ms`)");
  });

  test("a client that leaves ends the waiting, and is counted", async () => {
    const { release, arrived } = rest.cluster.hold();
    const leaving = new AbortController();
    const request = fetch(`${rest.url}${COUNT}`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" },
      signal: leaving.signal,
    });
    const signal = await arrived;
    const aborted = once(signal, "abort");
    leaving.abort();
    await expect(request).rejects.toThrow();
    await aborted;
    release();
    expect(signal.reason).toMatchObject({ code: "DEADLINE_EXCEEDED", message: "The client went away" });
    expect(rest.observed.at(-1)).toMatchObject({
      route: "/collections/:collection/points/count",
      status: 499,
    });
  });
});

describe("observation", () => {
  test("a finished request is counted by its pattern, an unknown one as unmatched", async () => {
    const before = rest.observed.length;
    await rest.call("GET", `${POINTS}/404`);
    await rest.call("GET", "/nothing");
    await rest.call("GET", "/livez");
    expect(rest.observed.slice(before)).toMatchObject([
      { route: "/collections/:collection/points/:id", method: "GET", status: 404 },
      { route: "unmatched", method: "GET", status: 404 },
      { route: "/livez", method: "GET", status: 200 },
    ]);
    for (const { seconds } of rest.observed) expect(seconds).toBeGreaterThanOrEqual(0);
    expect(rest.logged.at(-1)).toMatchObject({ msg: "request", url: "/livez", status: 200 });
  });
});

describe("the node", () => {
  test("says its name and whether it lives", async () => {
    expect(JSON.parse((await rest.call("GET", "/")).text)).toMatchObject({ version: "0.1.0" });
    expect((await rest.call("GET", "/healthz")).text).toBe("healthz check passed\n");
    expect((await rest.call("GET", "/livez")).text).toBe("livez check passed\n");
  });

  test("is ready when it can serve, and says what is in the way", async () => {
    expect((await rest.call("GET", "/readyz")).text).toBe("all shards are ready\n");
    rest.cluster.setReady(false);
    const busy = await rest.call("GET", "/readyz");
    rest.cluster.setReady(true);
    expect(busy.status).toBe(503);
    expect(busy.text).toContain("rebuilding the graph, 10 of 100 points");
  });

  test("readyz?sync waits for what is committed", async () => {
    const { release, arrived } = rest.cluster.hold();
    const waiting = rest.call("GET", "/readyz?sync");
    await arrived;
    expect(rest.cluster.lastRead?.consistency).toEqual({ level: "linearizable" });
    release();
    expect((await waiting).status).toBe(200);
  });

  test("shows its state and its metrics", async () => {
    expect((await rest.call("GET", "/status")).body.result).toEqual({
      node_id: 1,
      cluster_id: "memory",
      version: "0.1.0",
      started_at: "2026-01-01T00:00:00.000Z",
      ready: true,
      notes: [],
      catalogue: { leader: 1, term: 1, applied: expect.any(Number) as number },
      groups: expect.any(Array) as unknown,
      build: { hnswlib: "unknown", flags: "", node: process.version },
    });
    await rest.call("PUT", "/collections/held", { ...CITY, shard_number: 2 });
    const { result } = (await rest.call("GET", "/status")).body;
    const replica = { collection: "held", role: "leader", leader: 1, term: 1, points: 0, error: null };
    expect((result as { readonly groups: readonly object[] }).groups).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ ...replica, shard: 0 }),
        expect.objectContaining({ ...replica, shard: 1 }),
      ]),
    );
    const metrics = await rest.call("GET", "/metrics");
    expect(metrics.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(metrics.text).toContain("up 1\n");
  });
});

describe("stopping", () => {
  test("what is in flight is finished, what comes later is refused, then connections end", async () => {
    await using node = await startRest();
    await node.call("PUT", "/collections/o", CITY);
    const late = rawConnection(node.url);
    await once(late.socket, "connect");
    late.send("GET /livez HTTP/1.1\r\n");
    // Answered after the half request above was read: the server takes what came first first.
    await node.call("GET", "/livez");
    await node.call("GET", "/livez");
    const { release, arrived } = node.cluster.hold();
    const early = rawConnection(node.url);
    early.send(
      `POST ${COUNT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
    );
    await arrived;
    const closed = node.server.close({ drainMs: 10_000 });
    late.send("host: x\r\n\r\n");
    expect(await late.closed).toMatch(/^HTTP\/1\.1 503 .*connection: close.*"code":"NOT_READY"/is);
    release();
    expect(await early.closed).toMatch(/^HTTP\/1\.1 200 .*connection: close.*"count":0/is);
    await closed;
    await expect(node.call("GET", "/livez")).rejects.toThrow();
  });

  test("what is not finished in time is cut off", async () => {
    await using node = await startRest();
    await node.call("PUT", "/collections/o", CITY);
    const { arrived } = node.cluster.hold();
    const request = node.call("POST", COUNT, {});
    const refused = expect(request).rejects.toThrow();
    await arrived;
    await node.server.close({ drainMs: 20 });
    await refused;
  });
});
