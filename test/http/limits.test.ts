/** Each limit refuses what is over it by its option and value, and lets pass what is at it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LIMITS, limits, type LimitName } from "../../src/api/limits.ts";
import { CITY, errorOf, startRest, type Rest } from "../support/rest.ts";

const SMALL = {
  bodyBytes: 65_536,
  jsonDepth: 16,
  batchPoints: 5,
  batchOperations: 2,
  batchQueries: 2,
  dimension: 8,
  payloadBytes: 1_024,
  payloadDepth: 3,
  metadataBytes: 1_024,
  searchHits: 20,
  searchEf: 32,
  pagePoints: 4,
  selectorKeys: 2,
  nameBytes: 10,
  idBytes: 36,
  idempotencyKeyBytes: 16,
  shardNumber: 2,
  replicationFactor: 3,
} as const satisfies Record<LimitName, number>;

let rest: Rest;
beforeAll(async () => {
  rest = await startRest({ limits: SMALL });
  await rest.call("PUT", "/collections/l", CITY);
});
afterAll(() => rest[Symbol.asyncDispose]());

const POINTS = "/collections/l/points";
const vector = [1, 2, 3, 4];
const ids = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const nested = (levels: number): unknown => (levels === 0 ? 1 : { a: nested(levels - 1) });
const vectors = { size: 4, distance: "Dot" };

interface Case {
  readonly limit: LimitName;
  readonly request: (
    size: number,
  ) => readonly [method: string, path: string, body: object, headers?: Record<string, string>];
  readonly status: number;
  readonly fits: number;
}

const upsert = (point: object) => ["PUT", POINTS, { points: [{ id: 1, vector, ...point }] }] as const;
const CASES: readonly Case[] = [
  {
    limit: "bodyBytes",
    status: 413,
    fits: 10,
    request: (n) => ["POST", `${POINTS}/count`, n === 10 ? {} : { x: "x".repeat(65_600) }],
  },
  { limit: "jsonDepth", status: 400, fits: 3, request: (n) => upsert({ payload: nested(n === 3 ? 3 : 20) }) },
  {
    limit: "batchPoints",
    status: 413,
    fits: 5,
    request: (n) => ["PUT", POINTS, { points: ids(n).map((id) => ({ id, vector })) }],
  },
  { limit: "batchPoints", status: 413, fits: 5, request: (n) => ["POST", POINTS, { ids: ids(n) }] },
  {
    limit: "batchPoints",
    status: 413,
    fits: 5,
    request: (n) => ["POST", `${POINTS}/delete`, { points: ids(n) }],
  },
  {
    limit: "batchOperations",
    status: 413,
    fits: 2,
    request: (n) => [
      "POST",
      `${POINTS}/batch`,
      { operations: ids(n).map(() => ({ delete: { points: [1] } })) },
    ],
  },
  {
    limit: "batchQueries",
    status: 413,
    fits: 2,
    request: (n) => ["POST", `${POINTS}/query/batch`, { searches: ids(n).map(() => ({ query: vector })) }],
  },
  {
    limit: "dimension",
    status: 422,
    fits: 8,
    request: (n) => ["PUT", `/collections/d${n}`, { vectors: { size: n, distance: "Dot" } }],
  },
  {
    limit: "payloadBytes",
    status: 413,
    fits: 1_015,
    request: (n) => upsert({ payload: { a: "x".repeat(n) } }),
  },
  { limit: "payloadDepth", status: 422, fits: 3, request: (n) => upsert({ payload: nested(n) }) },
  {
    limit: "metadataBytes",
    status: 413,
    fits: 1_015,
    request: (n) => ["PATCH", "/collections/l", { metadata: { a: "x".repeat(n) } }],
  },
  {
    limit: "searchHits",
    status: 422,
    fits: 15,
    request: (n) => ["POST", `${POINTS}/query`, { query: vector, offset: 5, limit: n }],
  },
  {
    limit: "searchEf",
    status: 422,
    fits: 32,
    request: (n) => ["POST", `${POINTS}/query`, { query: vector, params: { hnsw_ef: n } }],
  },
  { limit: "pagePoints", status: 422, fits: 4, request: (n) => ["POST", `${POINTS}/scroll`, { limit: n }] },
  {
    limit: "selectorKeys",
    status: 422,
    fits: 2,
    request: (n) => ["POST", `${POINTS}/query`, { query: vector, with_payload: ids(n).map(String) }],
  },
  {
    limit: "selectorKeys",
    status: 422,
    fits: 2,
    request: (n) => ["POST", `${POINTS}/payload/delete`, { points: [1], keys: ids(n).map(String) }],
  },
  {
    limit: "nameBytes",
    status: 422,
    fits: 10,
    request: (n) => ["PUT", `/collections/${"n".repeat(n)}`, { vectors }],
  },
  { limit: "idBytes", status: 422, fits: 36, request: (n) => upsert({ id: "i".repeat(n) }) },
  {
    limit: "idempotencyKeyBytes",
    status: 422,
    fits: 16,
    request: (n) => [...upsert({}), { "idempotency-key": "k".repeat(n) }],
  },
  {
    limit: "shardNumber",
    status: 422,
    fits: 2,
    request: (n) => ["PUT", `/collections/s${n}`, { vectors, shard_number: n }],
  },
  {
    limit: "replicationFactor",
    status: 422,
    fits: 3,
    request: (n) => ["PUT", `/collections/r${n}`, { vectors, replication_factor: n }],
  },
];

test.each(CASES)("$limit: $fits pass, one more is $status", async ({ limit, request, status, fits }) => {
  const good = await rest.call(...request(fits));
  expect([good.status, good.text.slice(0, 200)]).toEqual([200, expect.any(String)]);
  const over = await rest.call(...request(fits + 1));
  expect(over.status).toBe(status);
  expect(errorOf(over).error).toContain(`\`limits.${LIMITS[limit].option}\``);
  expect(errorOf(over).error).toContain(String(SMALL[limit]));
});

test("every limit has such a case", () => {
  expect(new Set(CASES.map(({ limit }) => limit))).toEqual(new Set(Object.keys(LIMITS)));
});

describe("the table", () => {
  test.each(Object.entries(LIMITS))(
    "%s: its default lies within its bounds, and it says why",
    (name, row) => {
      expect(row.min).toBeLessThanOrEqual(row.fallback);
      expect(row.fallback).toBeLessThanOrEqual(row.max);
      expect(row.reason.length).toBeGreaterThan(20);
      expect(row.option).toBe(name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
      expect(limits()[name as LimitName]).toBe(row.fallback);
    },
  );
});

describe("numbers with a lower bound", () => {
  test.each<[body: object, word: string]>([
    [{ vectors: { size: 0, distance: "Dot" } }, "`vectors.size`"],
    [{ vectors, shard_number: 0 }, "the number of shards must be 1 or more"],
    [{ vectors, replication_factor: 0 }, "the replication factor must be 1 or more"],
    [{ vectors, hnsw_config: { m: 1 } }, "`m` must be from 2 to 200"],
    [{ vectors, hnsw_config: { m: 201 } }, "`m` must be from 2 to 200"],
    [{ vectors, hnsw_config: { ef_construct: 3 } }, "`ef_construct` must be from 4 to 4096"],
  ])("%j", async (body, word) => {
    const answer = await rest.call("PUT", "/collections/low", body);
    expect(answer.status).toBe(422);
    expect(errorOf(answer).error).toContain(word);
  });

  test.each(["a%2Fb", "a%00", "a%3Ab", "%20a", ".%2E%2F", "a%7Fb"])(
    "the collection name %s",
    async (name) => {
      const answer = await rest.call("PUT", `/collections/${name}`, { vectors });
      expect([answer.status, errorOf(answer).code]).toEqual([422, "INVALID"]);
    },
  );
});
