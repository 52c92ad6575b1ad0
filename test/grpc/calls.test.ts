/** What all methods have in common: deadlines, cancelling, limits, load, failures and what is told of them. */
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ApiError, ERRORS, type ErrorCode } from "../../src/api/errors.ts";
import { Guard } from "../../src/auth/guard.ts";
import { RateLimit } from "../../src/auth/rate-limit.ts";
import { startGrpc, type Grpc } from "../support/grpc.ts";

const C = { collection: "c" };
const points = [{ id: { num: 1 }, vector: [1, 0] }];

let grpc: Grpc;
beforeAll(async () => {
  grpc = await startGrpc();
  await grpc.call("Collections/Create", { ...C, dimension: 2, distance: "DISTANCE_DOT" });
});
afterAll(() => grpc[Symbol.asyncDispose]());

describe("deadlines", () => {
  test("`timeout_ms` of a read: it had no effect", async () => {
    const { release } = grpc.cluster.hold();
    const answer = await grpc.call("Points/Count", { ...C, options: { timeoutMs: 30 } });
    release();
    expect(answer).toMatchObject({
      code: "DEADLINE_EXCEEDED",
      details: "Timeout error: the deadline passed",
      metadata: { "flotilla-code": "DEADLINE_EXCEEDED" },
    });
  });

  test("`timeout_ms` of a write that was proposed: unknown, and where to look", async () => {
    const { release } = grpc.cluster.hold();
    const answer = await grpc.call("Points/Upsert", { ...C, points, options: { timeoutMs: 30 } });
    release();
    expect(answer).toMatchObject({
      code: "DEADLINE_EXCEEDED",
      metadata: {
        "flotilla-code": "OUTCOME_UNKNOWN",
        "flotilla-unknown": expect.stringMatching(/^0=[0-9]+$/) as string,
      },
    });
  });

  test("the call's own deadline reaches the engine", async () => {
    const { release, arrived } = grpc.cluster.hold();
    const answer = grpc.call("Points/Search", { ...C, query: { vector: [1, 0] } }, { deadlineMs: 60 });
    const signal = await arrived;
    await once(signal, "abort");
    release();
    expect(signal.reason).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect((await answer).code).toBe("DEADLINE_EXCEEDED");
  });

  test("without either the configured one counts", async () => {
    await using brief = await startGrpc({ deadlines: { deadlineMs: 30, deadlineMaxMs: 100 } });
    await brief.call("Collections/Create", { ...C, dimension: 2, distance: "DISTANCE_DOT" });
    const { release } = brief.cluster.hold();
    expect((await brief.call("Points/Count", C)).code).toBe("DEADLINE_EXCEEDED");
    release();
    const longer = await brief.call("Points/Count", { ...C, options: { timeoutMs: 101 } });
    expect([longer.code, longer.details]).toEqual([
      "INVALID_ARGUMENT",
      "Wrong input: `timeout_ms` is 101, at most 100 are allowed (option `http.deadline_max_ms`)",
    ]);
  });

  test("cancelling reaches the engine, and is counted", async () => {
    const { release, arrived } = grpc.cluster.hold();
    const leaving = new AbortController();
    const answer = grpc.call("Points/Count", C, { signal: leaving.signal });
    const signal = await arrived;
    const aborted = once(signal, "abort");
    leaving.abort();
    await aborted;
    expect(signal.reason).toMatchObject({ code: "DEADLINE_EXCEEDED", message: "The client went away" });
    expect((await answer).code).toBe("CANCELLED");
    release();
    // Its own end is a turn later than the signal.
    await grpc.call("Points/Count", C);
    expect(grpc.observed.at(-2)).toMatchObject({
      route: "/flotilla.v1.Points/Count",
      method: "GRPC",
      status: 499,
    });
  });
});

describe("failures", () => {
  test.each(Object.keys(ERRORS) as ErrorCode[])("%s has its status and its code", async (code) => {
    grpc.cluster.failNext(new ApiError(code, "what went wrong: ä \ud800"));
    expect(await grpc.call("Points/Count", C)).toMatchObject({
      code: ERRORS[code].grpc,
      details: "what went wrong: ä \ufffd",
      metadata: { "flotilla-code": code },
    });
  });

  test("another leader is named, and when to come again", async () => {
    const leader = { nodeId: 2, http: "b:6333", grpc: "b:6334", term: 7 };
    grpc.cluster.failNext(new ApiError("NOT_LEADER", "Not the leader", { leader, shard: 3 }));
    expect((await grpc.call("Points/Upsert", { ...C, points })).metadata).toMatchObject({
      "flotilla-code": "NOT_LEADER",
      "flotilla-leader-id": "2",
      "flotilla-leader-grpc": "b:6334",
      "flotilla-term": "7",
      "flotilla-shard": "3",
    });
    grpc.cluster.failNext(new ApiError("OVERLOADED", "busy", { retryAfter: 2.5 }));
    expect((await grpc.call("Points/Count", C)).metadata).toMatchObject({ "retry-after": "3" });
    grpc.cluster.failNext(new ApiError("NO_LEADER", "nobody"));
    expect((await grpc.call("Points/Count", C)).metadata).toMatchObject({ "retry-after": "1" });
  });

  test("of a write in several shards each is named", async () => {
    const shards = [
      { shard: 0, applied: 2, entries: 2, code: null, message: null },
      { shard: 1, applied: 0, entries: 1, code: "NO_LEADER" as const, message: "ü" },
    ];
    grpc.cluster.failNext(new ApiError("NO_LEADER", "half of it", { shards }));
    const { metadata } = await grpc.call("Points/Upsert", { ...C, points });
    expect(JSON.parse(String(metadata["flotilla-shards"]))).toEqual([
      { shard: 0, applied: 2, entries: 2, code: null },
      { shard: 1, applied: 0, entries: 1, code: "NO_LEADER" },
    ]);
  });

  test("whether a write is redirected is asked for by metadata", async () => {
    const asked = async (redirect?: string): Promise<unknown> => {
      const metadata = redirect === undefined ? {} : { "flotilla-redirect": redirect };
      const { code } = await grpc.call("Points/Upsert", { ...C, points }, { metadata });
      return code === "OK" ? grpc.cluster.lastWrite?.redirect : code;
    };
    expect([await asked(), await asked("true"), await asked("false"), await asked("maybe")]).toEqual([
      false,
      true,
      false,
      "INVALID_ARGUMENT",
    ]);
  });

  test("a defect is INTERNAL, logged as it is and answered without it", async () => {
    const defect = new TypeError("secret detail");
    grpc.cluster.failNext(defect);
    const { code, details } = await grpc.call("Points/Count", C);
    expect([code, details]).toEqual([
      "INTERNAL",
      "Service internal error: a defect in Flotilla, the log has the details",
    ]);
    expect(grpc.defects).toContain(defect);
  });

  test("a long message still fits into what clients take", async () => {
    grpc.cluster.failNext(new ApiError("CONFLICT", "ü".repeat(100_000)));
    const { code, details } = await grpc.call("Points/Count", C);
    expect([code, details.length]).toEqual(["ABORTED", 1_503]);
  });
});

describe("limits", () => {
  test("of a message, of batches, of fields from a newer client", async () => {
    await using small = await startGrpc({ limits: { bodyBytes: 65_536, batchPoints: 2, batchQueries: 1 } });
    await small.call("Collections/Create", { ...C, dimension: 2, distance: "DISTANCE_DOT" });
    const large = await small.call("Points/Upsert", { ...C, points: [{ id: { text: "x".repeat(70_000) } }] });
    expect([large.code, large.details]).toEqual([
      "RESOURCE_EXHAUSTED",
      expect.stringMatching(
        /bytes of the message is 700[0-9]{2}, at most 65536 bytes are allowed \(option `limits.body_bytes`\)/,
      ),
    ]);
    const many = await small.call("Points/Upsert", {
      ...C,
      points: [1, 2, 3].map((num) => ({ id: { num }, vector: [1, 1] })),
    });
    expect([many.code, many.metadata["flotilla-code"]]).toEqual(["RESOURCE_EXHAUSTED", "TOO_LARGE"]);
    const query = { vector: [1, 1] };
    expect((await small.call("Points/SearchBatch", { ...C, queries: [query, query] })).details).toMatch(
      /`limits.batch_queries`/,
    );
    const newer = await small.client.raw("Points/Count", Buffer.from([0x0a, 1, 0x63, 0x9a, 6, 0]));
    expect([newer.code, newer.details]).toEqual([
      "UNIMPLEMENTED",
      "Wrong input: the message has a field 99 that CountRequest does not have here: the client is newer than this server",
    ]);
  });

  test("of what a message is made of: more parts than any request has are not read", async () => {
    const most = { batchPoints: 2, batchQueries: 1, batchOperations: 1 };
    await using small = await startGrpc({ limits: most });
    await small.call("Collections/Create", { ...C, dimension: 2, distance: "DISTANCE_DOT" });
    const empty = Array.from({ length: 5_000 }, () => ({}));
    for (const [path, request, field] of [
      ["Points/SearchBatch", { ...C, queries: empty }, "queries"],
      ["Points/Upsert", { ...C, points: empty }, "points"],
      ["Points/Delete", { ...C, ids: empty }, "ids"],
      ["Points/Batch", { ...C, operations: empty }, "operations"],
      ["Collections/ChangeAliases", { actions: empty }, "actions"],
    ] as const) {
      const { code, details } = await small.call(path, request);
      expect([code, details]).toEqual([
        "RESOURCE_EXHAUSTED",
        expect.stringContaining(`\`${field}[4112]\` is one too many: no request within the limits`),
      ]);
    }
    // As many parts as the limits allow, and each of them with all it may have.
    const text = (length: number) => ({ text: "x".repeat(length) });
    const withPayload = { mode: "MODE_INCLUDE", keys: ["a", "b"] };
    const session = Array.from({ length: 1_024 }, (_, shard) => ({ shard }));
    const full = { ...C, queries: [{ point: text(9), withPayload }], options: { session } };
    expect((await small.call("Points/SearchBatch", full)).code).toBe("NOT_FOUND");
  });

  test("of reads of a collection that is busy, and of nothing else", async () => {
    await using busy = await startGrpc({
      shedParts: { isBusy: (collection) => collection === C.collection, shed: () => undefined },
    });
    await busy.call("Collections/Create", { ...C, dimension: 2, distance: "DISTANCE_DOT" });
    expect(await busy.call("Points/Count", C)).toMatchObject({
      code: "UNAVAILABLE",
      metadata: { "flotilla-code": "OVERLOADED", "retry-after": "1" },
    });
    expect((await busy.call("Points/Count", { collection: "other" })).code).toBe("NOT_FOUND");
    const points = [{ id: { num: 1 }, vector: [1, 1] }];
    expect((await busy.call("Points/Upsert", { ...C, points })).code).toBe("OK");
    expect((await busy.call("Collections/Get", C)).code).toBe("OK");
  });

  test("of load and of rates", async () => {
    const rate = new RateLimit({ perSecond: 1, burst: 3 }, { nowMs: () => 0 });
    await using busy = await startGrpc({
      shed: { inflightMax: 1, shedDelayMs: 1_000 },
      guard: new Guard({ rate }),
    });
    await busy.call("Collections/Create", { ...C, dimension: 2, distance: "DISTANCE_DOT" });
    const { release, arrived } = busy.cluster.hold();
    const first = busy.call("Points/Count", C);
    await arrived;
    expect(await busy.call("Points/Count", C)).toMatchObject({
      code: "UNAVAILABLE",
      metadata: { "flotilla-code": "OVERLOADED", "retry-after": "1" },
    });
    release();
    expect((await first).code).toBe("OK");
    expect((await busy.call("Collections/List", {})).code).toBe("OK");
    expect(await busy.call("Collections/List", {})).toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      metadata: { "flotilla-code": "RATE_LIMITED", "retry-after": "1" },
    });
  });
});
