import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CITY, errorOf, startRest, type Rest, type RestAnswer } from "../support/rest.ts";

let rest: Rest;
let path = "";
let count = 0;
beforeAll(async () => {
  rest = await startRest();
});
afterAll(() => rest[Symbol.asyncDispose]());
beforeEach(async () => {
  path = `/collections/p${++count}`;
  await rest.call("PUT", path, CITY);
});

const put = (points: unknown, more: object = {}, headers: Record<string, string> = {}): Promise<RestAnswer> =>
  rest.call("PUT", `${path}/points`, { points, ...more }, headers);
const get = async (id: string): Promise<RestAnswer> =>
  rest.call("GET", `${path}/points/${encodeURIComponent(id)}`);
const one = { id: 1, vector: [1, 2, 3, 4] };

describe("one point", () => {
  test("is shown with payload, vector, version and ETag", async () => {
    await put([{ id: 7, vector: [0.1, 0.2, 0.3, 4], payload: { a: 1 } }]);
    const shown = await get("7");
    expect(shown.body.result).toEqual({ id: 7, version: 1, payload: { a: 1 }, vector: [0.1, 0.2, 0.3, 4] });
    expect(shown.headers.get("etag")).toBe('"1"');
    expect(shown.headers.get("content-type")).toBe("application/json; charset=utf-8");
  });

  test("a number and the same digits as text are two points", async () => {
    await put([
      { id: 42, vector: [1, 0, 0, 0] },
      { id: "42", vector: [0, 1, 0, 0] },
    ]);
    expect((await get("42")).body.result).toMatchObject({ id: 42 });
    expect((await get('"42"')).body.result).toMatchObject({ id: "42" });
  });

  test("ids with slashes, blanks and 512 bytes can be named in a path", async () => {
    for (const id of ["a/b c?d#e%f", "é".repeat(256)]) {
      await put([{ id, vector: [1, 0, 0, 0] }]);
      expect((await get(id)).body.result).toMatchObject({ id });
    }
  });

  test("a missing one is 404", async () => {
    const answer = await get("404");
    expect(answer.status).toBe(404);
    expect(errorOf(answer)).toEqual({
      code: "POINT_NOT_FOUND",
      error: "Not found: Point with id 404 does not exist!",
    });
  });
});

describe("upserts", () => {
  test("of points named twice, the last one counts", async () => {
    await put([
      one,
      { id: 2, vector: [1, 1, 1, 1] },
      { id: 1, vector: [9, 9, 9, 9], payload: { last: true } },
    ]);
    expect((await get("1")).body.result).toMatchObject({ vector: [9, 9, 9, 9], payload: { last: true } });
    const counted = await rest.call("POST", `${path}/points/count`, {});
    expect(counted.body.result).toEqual({ count: 2 });
  });

  test("a bad point fails the whole request, by position and id, before anything is written", async () => {
    const bad = await put([one, { id: "Bonn", vector: [1, 2, null, 4] }]);
    expect(bad.status).toBe(400);
    expect(errorOf(bad).error).toBe(
      'Wrong input: element 2 of `points[1].vector` (id "Bonn") must be a number, not null',
    );
    const large = await rest.call("PUT", `${path}/points`, {
      batch: {
        ids: [1, 2],
        vectors: [
          [1, 2, 3, 4],
          [1, 2, 3, 1e39],
        ],
      },
    });
    expect(large.status).toBe(422);
    expect(errorOf(large).error).toContain("element 3 of `batch.vectors[1]` (id 2)");
    expect((await get("1")).status).toBe(404);
  });

  test("a vector of another dimension is 422, with both", async () => {
    const answer = await put([{ id: 1, vector: [1, 2, 3] }]);
    expect(answer.status).toBe(422);
    expect(errorOf(answer)).toEqual({
      code: "INVALID",
      error: "Wrong input: Vector dimension error: expected dim: 4, got 3 in `points[0].vector` (id 1)",
    });
  });

  test("columns of different lengths are refused", async () => {
    const vectors = [[1, 2, 3, 4]];
    const few = await rest.call("PUT", `${path}/points`, { batch: { ids: [1, 2], vectors } });
    expect(errorOf(few).error).toContain("`batch.vectors` has 1 elements, but there are 2 ids");
    const more = await rest.call("PUT", `${path}/points`, {
      batch: { ids: [1], vectors, payloads: [{}, {}] },
    });
    expect(errorOf(more).error).toContain("`batch.payloads` has 2 elements");
  });

  test.each([
    ["neither", {}],
    ["both", { points: [one], batch: { ids: [1], vectors: [[1, 2, 3, 4]] } }],
  ])("%s of `points` and `batch` is refused", async (_which, body) => {
    const answer = await rest.call("PUT", `${path}/points`, body);
    expect(answer.status).toBe(400);
    expect(errorOf(answer).error).toContain("either `points` or `batch`");
  });

  test("an empty update is refused", async () => {
    expect((await put([])).status).toBe(422);
    expect((await rest.call("POST", `${path}/points/delete`, { points: [] })).status).toBe(422);
    expect((await rest.call("POST", `${path}/points/batch`, { operations: [] })).status).toBe(422);
  });

  test("the answer carries the log index, per shard in the header", async () => {
    const first = await put([one]);
    expect(first.body.result).toEqual({ operation_id: 1, status: "completed" });
    expect(first.headers.get("x-flotilla-index")).toBe("0=1");
    expect(rest.cluster.lastWrite).toMatchObject({ wait: true, idempotencyKey: null });
    const second = await rest.call("PUT", `${path}/points?wait=false&ordering=weak`, { points: [one] });
    expect(second.body.result).toEqual({ operation_id: 2, status: "acknowledged" });
    expect(rest.cluster.lastWrite).toMatchObject({ wait: false });
  });
});

describe("conditions", () => {
  test("if_version, If-Match and If-None-Match guard a write", async () => {
    const version = async (): Promise<string> => (await get("1")).headers.get("etag") ?? "";
    expect((await put([one], { if_version: 0 })).status).toBe(200);
    const conflict = await put([one], { if_version: 0 });
    expect([conflict.status, errorOf(conflict).code]).toEqual([412, "VERSION_CONFLICT"]);
    const first = await version();
    expect((await put([one], {}, { "if-match": first })).status).toBe(200);
    expect((await put([one], {}, { "if-match": first })).status).toBe(412);
    const unquoted = (await version()).replaceAll('"', "");
    expect((await put([one], {}, { "if-match": unquoted })).status).toBe(200);
    expect((await put([one], {}, { "if-none-match": "*" })).status).toBe(412);
    expect((await put([{ ...one, id: 2 }], {}, { "if-none-match": "*" })).status).toBe(200);
  });

  test.each([
    [{ "if-match": "*" }, "If-Match"],
    [{ "if-match": 'W/"5"' }, "If-Match"],
    [{ "if-match": "99999999999999999" }, "If-Match"],
    [{ "if-none-match": '"5"' }, "If-None-Match"],
    [{ "if-match": "1", "if-none-match": "*" }, "contradict"],
  ])("%j is refused", async (headers, word) => {
    const answer = await put([one], {}, headers);
    expect(answer.status).toBe(400);
    expect(errorOf(answer).error).toContain(word);
  });

  test.each([
    [{ if_version: 3 }, {}],
    [{}, { "if-match": "3" }],
    [{}, { "if-none-match": "*" }],
  ])(
    "%j %j on a write that is not waited for is refused: nobody would hear how it ended",
    async (body, headers) => {
      await put([one]);
      const write = { points: [{ ...one, vector: [9, 9, 9, 9] }], ...body };
      const answer = await rest.call("PUT", `${path}/points?wait=false`, write, headers);
      expect([answer.status, errorOf(answer).code]).toEqual([400, "UNSUPPORTED"]);
      expect((await get("1")).body.result).toMatchObject({ vector: one.vector });
    },
  );

  test("a mixed batch takes conditions per operation, not for all of them", async () => {
    const operations = [
      { upsert: { points: [one], if_version: 0 } },
      { delete: { points: [2], if_version: 5 } },
    ];
    const batch = (headers = {}): Promise<RestAnswer> =>
      rest.call("POST", `${path}/points/batch`, { operations }, headers);
    const refused = await batch({ "if-match": "1" });
    expect([refused.status, errorOf(refused).code]).toEqual([400, "UNSUPPORTED"]);
    expect((await batch()).status).toBe(412);
    expect((await get("1")).status).toBe(404);
  });
});

describe("idempotency", () => {
  test("the same key and body are applied once, and the answer says so", async () => {
    const headers = { "idempotency-key": "k-1" };
    const first = await put([one], {}, headers);
    const again = await put([one], {}, headers);
    expect(again.body.result).toEqual(first.body.result);
    expect([first, again].map((answer) => answer.headers.get("idempotency-replayed"))).toEqual([
      null,
      "true",
    ]);
    const other = await put([{ id: 2, vector: [1, 1, 1, 1] }], {}, headers);
    expect([other.status, errorOf(other).code]).toEqual([409, "CONFLICT"]);
  });

  test("a key has 1 to 255 printable characters", async () => {
    expect((await put([one], {}, { "idempotency-key": "x".repeat(255) })).status).toBe(200);
    const long = await put([one], {}, { "idempotency-key": "x".repeat(256) });
    expect(errorOf(long).error).toContain("`limits.idempotency_key_bytes`");
    expect((await put([one], {}, { "idempotency-key": "caf\u00e9" })).status).toBe(400);
  });
});

describe("other writes", () => {
  test("vectors of missing points are 404", async () => {
    const answer = await rest.call("PUT", `${path}/points/vectors`, { points: [one] });
    expect([answer.status, errorOf(answer).code]).toEqual([404, "POINT_NOT_FOUND"]);
  });

  test("an operation of a mixed batch is exactly one", async () => {
    for (const operation of [{}, { upsert: { points: [one] }, delete: { points: [1] } }]) {
      const answer = await rest.call("POST", `${path}/points/batch`, { operations: [operation] });
      expect(errorOf(answer).error).toContain("`operations[0]` must have exactly one of upsert, delete,");
    }
  });

  test("places inside a mixed batch are named in full", async () => {
    const operations = [
      { delete: { points: [1] } },
      { upsert: { points: [{ id: 5, vector: [1, 2, 3, "4"] }] } },
    ];
    const answer = await rest.call("POST", `${path}/points/batch`, { operations });
    expect(errorOf(answer).error).toContain("element 3 of `operations[1].upsert.points[0].vector` (id 5)");
  });

  test("a path that would reach a prototype is refused wherever one is taken", async () => {
    const attempts = [
      rest.call("POST", `${path}/points/payload`, { points: [1], payload: { x: 1 }, key: "__proto__" }),
      rest.call("POST", `${path}/points/payload/delete`, { points: [1], keys: ["a.__proto__"] }),
      rest.call("POST", `${path}/points/query`, { query: [1, 2, 3, 4], with_payload: ["__proto__"] }),
      put([{ ...one, payload: JSON.parse('{"__proto__":{"x":1}}') as object }]),
    ];
    for (const answer of await Promise.all(attempts)) {
      expect(answer.status).toBe(400);
      expect(errorOf(answer).error).toContain("__proto__");
    }
  });

  test("in a collection that is not there they are 404", async () => {
    const answer = await rest.call("PUT", "/collections/none/points", { points: [one] });
    expect(answer.status).toBe(404);
    expect(errorOf(answer)).toEqual({
      code: "COLLECTION_NOT_FOUND",
      error: "Not found: Collection `none` doesn't exist!",
    });
  });
});
