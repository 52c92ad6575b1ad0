/** The methods about points: what they answer, and what they refuse and how. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startGrpc, type Grpc, type GrpcAnswer } from "../support/grpc.ts";

let grpc: Grpc;
beforeAll(async () => {
  grpc = await startGrpc();
});
afterAll(() => grpc[Symbol.asyncDispose]());

const C = { collection: "cities" };
const point = (num: number, vector: readonly number[], payload?: object) => ({
  id: { num },
  vector,
  ...(payload === undefined ? {} : { payloadJson: JSON.stringify(payload) }),
});
const outcome = ({ code, metadata, details }: GrpcAnswer) => [code, metadata["flotilla-code"], details];

beforeEach(async () => {
  await grpc.call("Collections/Delete", C);
  await grpc.call("Collections/Create", { ...C, dimension: 2, distance: "DISTANCE_DOT" });
  const points = [
    point(1, [1, 0], { name: "Bonn", size: { km2: 141 } }),
    point(2, [0.5, 0.5]),
    { id: { text: "x" }, vector: [0, 1], payloadJson: '{"name":"Köln"}' },
  ];
  expect(await grpc.call("Points/Upsert", { ...C, points })).toMatchObject({ code: "OK" });
});

describe("reads", () => {
  test("Get has payload, vector and version", async () => {
    expect((await grpc.call("Points/Get", { ...C, id: { num: 1 } })).answer).toEqual({
      id: { num: 1 },
      vector: [1, 0],
      payloadJson: '{"name":"Bonn","size":{"km2":141}}',
      version: 1,
    });
    expect(outcome(await grpc.call("Points/Get", { ...C, id: { num: 9 } }))).toEqual([
      "NOT_FOUND",
      "POINT_NOT_FOUND",
      "Not found: Point with id 9 does not exist!",
    ]);
  });

  test("Retrieve keeps the order asked for, leaves out what is not there, and selects", async () => {
    const ids = [{ text: "x" }, { num: 7 }, { num: 1 }];
    const all = await grpc.call("Points/Retrieve", { ...C, ids });
    expect(all.answer["points"]).toEqual([
      { id: { text: "x" }, payloadJson: '{"name":"Köln"}', version: 1 },
      { id: { num: 1 }, payloadJson: '{"name":"Bonn","size":{"km2":141}}', version: 1 },
    ]);
    const withPayload = { mode: "MODE_INCLUDE", keys: ["size.km2"] };
    const some = await grpc.call("Points/Retrieve", {
      ...C,
      ids: [{ num: 1 }],
      withPayload,
      withVector: true,
    });
    expect(some.answer["points"]).toEqual([
      { id: { num: 1 }, vector: [1, 0], payloadJson: '{"size":{"km2":141}}', version: 1 },
    ]);
    const without = { mode: "MODE_EXCLUDE", keys: ["size"] };
    const rest = await grpc.call("Points/Retrieve", { ...C, ids: [{ num: 1 }], withPayload: without });
    expect(rest.answer["points"]).toEqual([{ id: { num: 1 }, payloadJson: '{"name":"Bonn"}', version: 1 }]);
  });

  test("Scroll goes on where the page ended; Count counts", async () => {
    const withPayload = { mode: "MODE_NONE" };
    const first = await grpc.call("Points/Scroll", { ...C, limit: 2, withPayload });
    expect(first.answer).toEqual({
      points: [
        { id: { num: 1 }, version: 1 },
        { id: { num: 2 }, version: 1 },
      ],
      next: { text: "x" },
    });
    const rest = await grpc.call("Points/Scroll", { ...C, from: first.answer["next"], withPayload });
    expect(rest.answer).toEqual({ points: [{ id: { text: "x" }, version: 1 }] });
    expect((await grpc.call("Points/Count", C)).answer).toEqual({ count: 3 });
  });

  test("Search finds what is near a vector, or near a point, which is left out", async () => {
    const near = await grpc.call("Points/Search", { ...C, query: { vector: [1, 0], limit: 2 } });
    expect(near.answer).toEqual({
      hits: [
        { id: { num: 1 }, score: 1, version: 1 },
        { id: { num: 2 }, score: 0.5, version: 1 },
      ],
    });
    const query = { point: { num: 1 }, offset: 0, scoreThreshold: 0.25, withVector: true };
    const other = await grpc.call("Points/Search", {
      ...C,
      query: { ...query, withPayload: { mode: "MODE_ALL" } },
    });
    expect(other.answer).toEqual({
      hits: [{ id: { num: 2 }, score: 0.5, vector: [0.5, 0.5], payloadJson: "{}", version: 1 }],
    });
  });

  test("SearchBatch answers each query in its place", async () => {
    const queries = [
      { vector: [0, 1], limit: 1 },
      { vector: [1, 0], limit: 1, offset: 1 },
    ];
    const { answer } = await grpc.call("Points/SearchBatch", { ...C, queries });
    expect(answer).toEqual({
      answers: [
        { hits: [{ id: { text: "x" }, score: 1, version: 1 }] },
        { hits: [{ id: { num: 2 }, score: 0.5, version: 1 }] },
      ],
    });
  });

  test("consistency and session reach the cluster; leader is what nobody has to ask for", async () => {
    await grpc.call("Points/Count", C);
    expect(grpc.cluster.lastRead?.consistency).toEqual({ level: "leader" });
    const session = [{ shard: 0, index: 12 }];
    await grpc.call("Points/Count", { ...C, options: { consistency: "CONSISTENCY_SESSION", session } });
    expect(grpc.cluster.lastRead?.consistency).toEqual({ level: "session", atLeast: session });
    for (const level of ["eventual", "linearizable"]) {
      await grpc.call("Points/Count", {
        ...C,
        options: { consistency: `CONSISTENCY_${level.toUpperCase()}` },
      });
      expect(grpc.cluster.lastRead?.consistency).toEqual({ level });
    }
  });
});

describe("writes", () => {
  const get = async (num: number) => (await grpc.call("Points/Get", { ...C, id: { num } })).answer;
  const payload = async (num: number): Promise<unknown> =>
    JSON.parse(String((await get(num))["payloadJson"]));
  const ids = [{ num: 1 }];

  test("answer the log index of each shard", async () => {
    const { answer } = await grpc.call("Points/Delete", { ...C, ids: [{ num: 2 }, { num: 99 }] });
    expect(answer).toEqual({ indexes: [{ index: 2 }] });
    expect((await grpc.call("Points/Count", C)).answer).toEqual({ count: 2 });
  });

  test("change vectors and payloads", async () => {
    expect((await grpc.call("Points/UpdateVectors", { ...C, points: [point(1, [3, 4])] })).code).toBe("OK");
    expect(await get(1)).toMatchObject({ vector: [3, 4], version: 2 });
    await grpc.call("Points/SetPayload", { ...C, ids, payloadJson: '{"a":[1,null]}' });
    await grpc.call("Points/SetPayload", { ...C, ids, payloadJson: '{"mayor":"k"}', key: "size" });
    expect(await payload(1)).toEqual({ name: "Bonn", size: { km2: 141, mayor: "k" }, a: [1, null] });
    await grpc.call("Points/DeletePayload", { ...C, ids, keys: ["name", "size.km2"] });
    expect(await payload(1)).toEqual({ size: { mayor: "k" }, a: [1, null] });
    await grpc.call("Points/OverwritePayload", { ...C, ids, payloadJson: '{"b":1}' });
    expect(await payload(1)).toEqual({ b: 1 });
    await grpc.call("Points/ClearPayload", { ...C, ids });
    expect(await payload(1)).toEqual({});
  });

  test("Batch does all of it in order, at once", async () => {
    const operations = [
      { upsert: { points: [point(5, [5, 5], { n: 1 })] } },
      { setPayload: { ids: [{ num: 5 }], payloadJson: '{"m":2}' } },
      { delete: { ids: [{ num: 1 }] } },
      { updateVectors: { points: [point(5, [6, 6])] } },
      { deletePayload: { ids: [{ num: 5 }], keys: ["n"] } },
      { overwritePayload: { ids: [{ num: 2 }], payloadJson: "{}" } },
      { clearPayload: { ids: [{ text: "x" }] } },
    ];
    const { answer } = await grpc.call("Points/Batch", { ...C, operations });
    expect(answer).toEqual({ indexes: [{ index: 2 }] });
    expect(await get(5)).toMatchObject({ vector: [6, 6], payloadJson: '{"m":2}' });
    expect((await grpc.call("Points/Count", C)).answer).toEqual({ count: 3 });
  });

  test("wait and the idempotency key reach the cluster; the same key again changes nothing", async () => {
    const request = { ...C, points: [point(8, [1, 1])], options: { wait: false, idempotencyKey: "k-1" } };
    expect((await grpc.call("Points/Upsert", request)).answer).toEqual({ indexes: [{ index: 2 }] });
    expect(grpc.cluster.lastWrite).toMatchObject({ wait: false, idempotencyKey: "k-1" });
    expect((await grpc.call("Points/Upsert", request)).answer).toEqual({
      indexes: [{ index: 2 }],
      duplicate: true,
    });
    const other = { ...request, points: [point(9, [1, 1])] };
    expect((await grpc.call("Points/Upsert", other)).code).toBe("ABORTED");
    await grpc.call("Points/Upsert", { ...C, points: [point(8, [1, 1])] });
    expect(grpc.cluster.lastWrite).toMatchObject({ wait: true, idempotencyKey: null });
  });

  test("a version that is not there is FAILED_PRECONDITION", async () => {
    const request = (ifVersion: number) => ({ ...C, points: [point(1, [9, 9])], ifVersion });
    expect(outcome(await grpc.call("Points/Upsert", request(7))).slice(0, 2)).toEqual([
      "FAILED_PRECONDITION",
      "VERSION_CONFLICT",
    ]);
    expect((await grpc.call("Points/Upsert", request(1))).code).toBe("OK");
    expect((await grpc.call("Points/Upsert", request(0))).code).toBe("FAILED_PRECONDITION");
    const unwaited = { ...request(2), options: { wait: false } };
    expect((await grpc.call("Points/Upsert", unwaited)).code).toBe("UNIMPLEMENTED");
  });
});

describe("refused, with words", () => {
  const good = point(1, [1, 0]);
  test.each([
    ["Upsert", { points: [] }, "INVALID", "Wrong input: Empty update request, at least one point is needed"],
    [
      "Upsert",
      { points: [good, { id: { num: 3 }, vector: [1] }] },
      "INVALID",
      "Wrong input: Vector dimension error: expected dim: 2, got 1 in `points[1].vector` (id 3)",
    ],
    [
      "Upsert",
      { points: [{ id: { num: 3 }, vector: [1, Infinity] }] },
      "INVALID",
      "Wrong input: element 1 of `points[0].vector` (id 3) must be finite as a 32-bit float, Infinity is not",
    ],
    [
      "Upsert",
      { points: [{ vector: [1, 1] }] },
      "BAD_REQUEST",
      "Wrong input: `points[0].id` lacks `num` or `text`",
    ],
    [
      "Upsert",
      { points: [good, { id: { num: 2 ** 53 }, vector: [1, 1] }] },
      "INVALID",
      "Wrong input: `points[1].id.num` must be a whole number from 0 to 9007199254740991 (send larger ids as text)",
    ],
    [
      "Upsert",
      { points: [{ ...good, id: { text: "" } }] },
      "INVALID",
      "Wrong input: `points[0].id` must not be an empty string",
    ],
    [
      "Upsert",
      { points: [{ ...good, version: 3 }] },
      "BAD_REQUEST",
      /`points\[0\]\.version` cannot be chosen/,
    ],
    [
      "Upsert",
      { points: [{ ...good, payloadJson: "[1]" }] },
      "BAD_REQUEST",
      "Wrong input: `points[0].payload_json` must be JSON of an object",
    ],
    [
      "Upsert",
      { points: [{ ...good, payloadJson: "{" }] },
      "BAD_REQUEST",
      /^Format error in `points\[0\]\.payload_json`: /,
    ],
    [
      "Upsert",
      { points: [{ ...good, payloadJson: "" }] },
      "BAD_REQUEST",
      "Format error in `points[0].payload_json`: it is empty",
    ],
    [
      "Upsert",
      { points: [{ ...good, payloadJson: '{"__proto__":1}' }] },
      "BAD_REQUEST",
      /must not have the key `__proto__`/,
    ],
    [
      "Upsert",
      { points: [good], options: { timeoutMs: 0 } },
      "INVALID",
      "Wrong input: `timeout_ms` must be above 0",
    ],
    [
      "Upsert",
      { points: [good], options: { timeoutMs: 700_000 } },
      "INVALID",
      /at most 600000 are allowed \(option `http.deadline_max_ms`\)/,
    ],
    ["Upsert", { points: [good], options: { idempotencyKey: "k".repeat(256) } }, "INVALID", /idempotency/i],
    [
      "UpdateVectors",
      { points: [{ id: { num: 1 }, vector: [] }] },
      "INVALID",
      /got 0 in `points\[0\]\.vector` \(id 1\)/,
    ],
    ["Delete", { ids: [{ num: 1 }, {}] }, "BAD_REQUEST", "Wrong input: `ids[1]` lacks `num` or `text`"],
    ["SetPayload", { ids: [{ num: 1 }], payloadJson: "{}", key: "a[0]" }, "UNSUPPORTED", /paths into arrays/],
    ["OverwritePayload", { ids: [{ num: 1 }] }, "BAD_REQUEST", "Format error in `payload_json`: it is empty"],
    ["DeletePayload", { ids: [{ num: 1 }] }, "INVALID", /at least one key/],
    ["ClearPayload", { ids: [] }, "INVALID", /at least one point/],
    ["Batch", { operations: [] }, "INVALID", /at least one operation/],
    ["Batch", { operations: [{}] }, "BAD_REQUEST", "Wrong input: `operations[0]` names no operation"],
    [
      "Batch",
      { operations: [{ setPayload: { collection: "other" } }] },
      "BAD_REQUEST",
      "Wrong input: `operations[0].set_payload` must have neither `collection` nor `options`: those of the batch count",
    ],
    [
      "Batch",
      { operations: [{ delete: { ids: [{}] } }] },
      "BAD_REQUEST",
      "Wrong input: `operations[0].delete.ids[0]` lacks `num` or `text`",
    ],
    ["Get", {}, "BAD_REQUEST", "Wrong input: `id` lacks `num` or `text`"],
    [
      "Retrieve",
      { ids: [{ text: "a".repeat(513) }] },
      "INVALID",
      /`ids\[0\]` has 513 bytes.*`limits.id_bytes`/,
    ],
    ["Retrieve", { withPayload: { keys: ["a"] } }, "BAD_REQUEST", /`with_payload` has keys/],
    ["Scroll", { limit: 0 }, "INVALID", "Wrong input: `limit` must be 1 or more, not 0"],
    ["Search", {}, "BAD_REQUEST", "Wrong input: the request lacks `query`"],
    ["Search", { query: { vector: [1] } }, "INVALID", /expected dim: 2, got 1 in `query.vector`/],
    ["Search", { query: { vector: [NaN, 1] } }, "INVALID", /element 0 of `query.vector` must be finite/],
    [
      "Search",
      { query: { vector: [1, 1], point: { num: 1 } } },
      "BAD_REQUEST",
      "Wrong input: `query` must have either `vector` or `point`",
    ],
    ["Search", { query: { point: { num: 77 } } }, "POINT_NOT_FOUND", "Not found: No point with id 77 found"],
    ["Search", { query: { vector: [1, 1], limit: 10_001 } }, "INVALID", /`limits.search_hits`/],
    ["Search", { query: { vector: [1, 1], hnswEf: 0 } }, "INVALID", /`hnsw_ef` must be 1 or more/],
    ["SearchBatch", { queries: [{ vector: [1, 1] }, {}] }, "INVALID", /got 0 in `queries\[1\].vector`/],
  ] as const)("%s %#", async (name, request, code, words) => {
    const answer = await grpc.call(`Points/${name}`, { ...C, ...request });
    expect(answer.metadata["flotilla-code"]).toBe(code);
    if (typeof words === "string") expect(answer.details).toBe(words);
    else expect(answer.details).toMatch(words);
  });

  test("a collection that is not there, by every method", async () => {
    const requests = {
      Upsert: {},
      Delete: {},
      UpdateVectors: {},
      SetPayload: {},
      OverwritePayload: {},
      DeletePayload: {},
      ClearPayload: {},
      Batch: {},
      Get: { id: { num: 1 } },
      Retrieve: {},
      Scroll: {},
      Count: {},
      Search: { query: { vector: [] } },
      SearchBatch: {},
    };
    for (const [name, request] of Object.entries(requests))
      expect(outcome(await grpc.call(`Points/${name}`, { collection: "none", ...request }))).toEqual([
        "NOT_FOUND",
        "COLLECTION_NOT_FOUND",
        "Not found: Collection `none` doesn't exist!",
      ]);
  });
});
