/** Qdrant's own client against Flotilla: over the model of a cluster, and against a real node. */
import { QdrantClient } from "@qdrant/js-client-rest";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startRest } from "../support/rest.ts";
import { NodeProcess } from "./support/node-process.ts";

interface Target extends AsyncDisposable {
  readonly url: string;
}

const KEY = "correct-horse";
const TARGETS: readonly (readonly [name: string, start: () => Promise<Target>])[] = [
  ["the model", () => startRest({ keys: { apiKey: KEY } })],
  ["a real node", () => NodeProcess.start({ args: ["--api-key", KEY] })],
];

describe.each(TARGETS)("@qdrant/js-client-rest against %s", (_name, start) => {
  let target: Target;
  let client: QdrantClient;
  let collection = "";
  let count = 0;

  beforeAll(async () => {
    target = await start();
    // Flotilla has versions of its own, which the client would warn about.
    client = new QdrantClient({ url: target.url, apiKey: KEY, checkCompatibility: false });
  });
  afterAll(async () => {
    await target[Symbol.asyncDispose]();
  });

  const cities = [
    { id: 1, vector: [1, 0, 0, 0], payload: { city: "Berlin", facts: { rivers: ["Spree"], people: 3.7 } } },
    { id: 2, vector: [0, 1, 0, 0], payload: { city: "London" } },
    { id: 3, vector: [0.6, 0.8, 0, 0] },
    { id: "5C56C793-69F3-4FBF-87E6-C4BF54C28C26", vector: [0, 0, 1, 0], payload: { city: "Moscow" } },
    { id: "any text", vector: [0, 0, 0, 1], payload: null },
  ];
  const uuid = "5c56c793-69f3-4fbf-87e6-c4bf54c28c26";

  beforeEach(async () => {
    collection = `cities-${++count}`;
    await client.createCollection(collection, { vectors: { size: 4, distance: "Cosine" } });
    await client.upsert(collection, { points: cities });
  });

  test("a collection is created, listed, shown, changed and dropped", async () => {
    expect(await client.collectionExists(collection)).toEqual({ exists: true });
    expect((await client.getCollections()).collections).toContainEqual({ name: collection });
    expect(await client.updateCollection(collection, { params: { replication_factor: 1 } })).toBe(true);
    const shown = await client.getCollection(collection);
    expect(["green", "yellow"]).toContain(shown.status);
    expect(shown.points_count).toBe(5);
    expect(shown.config.params.vectors).toEqual({ size: 4, distance: "Cosine" });
    expect(await client.deleteCollection(collection)).toBe(true);
    expect(await client.deleteCollection(collection)).toBe(false);
    expect(await client.collectionExists(collection)).toEqual({ exists: false });
    await expect(client.getCollection(collection)).rejects.toMatchObject({ status: 404 });
  });

  test("recreateCollection empties it", async () => {
    expect(await client.recreateCollection(collection, { vectors: { size: 4, distance: "Dot" } })).toBe(true);
    expect(await client.count(collection)).toEqual({ count: 0 });
  });

  test("an upsert answers with operation and status, and both shapes of it do the same", async () => {
    const result = await client.upsert(collection, { points: [{ id: 9, vector: [1, 1, 0, 0] }] });
    expect(result.status).toBe("completed");
    expect(result.operation_id).toBeGreaterThan(0);
    const columns = {
      ids: [10, 11],
      vectors: [
        [1, 2, 3, 4],
        [4, 3, 2, 1],
      ],
      payloads: [{ a: 1 }, null],
    };
    await client.upsert(collection, { batch: columns, ordering: "strong" });
    const found = await client.retrieve(collection, { ids: [11, 10], with_vector: true });
    expect(found).toMatchObject([
      { id: 11, payload: {}, vector: [4, 3, 2, 1] },
      { id: 10, payload: { a: 1 }, vector: [1, 2, 3, 4] },
    ]);
    const lazy = await client.upsert(collection, { wait: false, points: [{ id: 12, vector: [1, 1, 1, 1] }] });
    expect(lazy.status).toBe("acknowledged");
  });

  test("search finds the nearest with scores, payloads and vectors as asked", async () => {
    const hits = await client.search(collection, { vector: [0.6, 0.8, 0, 0], limit: 2, with_vector: true });
    expect(hits.map(({ id }) => id)).toEqual([3, 2]);
    expect(hits[0]?.score).toBeCloseTo(1, 5);
    expect(hits[1]).toMatchObject({ payload: { city: "London" }, vector: [0, 1, 0, 0] });
    const above = await client.search(collection, { vector: [1, 0, 0, 0], score_threshold: 0.99 });
    expect(above.map(({ id }) => id)).toEqual([1]);
    const second = await client.search(collection, {
      vector: [1, 0, 0, 0],
      offset: 1,
      limit: 1,
      params: { exact: true, hnsw_ef: 50 },
      with_payload: false,
    });
    expect(second.map(({ id, payload }) => [id, payload])).toEqual([[3, undefined]]);
    const batch = await client.searchBatch(collection, {
      searches: [
        { vector: [1, 0, 0, 0], limit: 1 },
        { vector: [0, 1, 0, 0], limit: 1, with_payload: ["city"] },
      ],
    });
    expect(batch.map((list) => list.map(({ id }) => id))).toEqual([[1], [2]]);
  });

  test("query takes a vector, nearest, or a point, which it leaves out", async () => {
    const byVector = await client.query(collection, { query: [1, 0, 0, 0], limit: 1 });
    expect(byVector.points.map(({ id }) => id)).toEqual([1]);
    const near = await client.query(collection, { query: { nearest: [0, 0, 1, 0] }, limit: 1 });
    expect(near.points.map(({ id }) => id)).toEqual([uuid]);
    const byPoint = await client.query(collection, {
      query: 3,
      limit: 2,
      with_payload: { include: ["city"] },
    });
    expect(byPoint.points.map(({ id, payload }) => [id, payload])).toEqual([
      [2, { city: "London" }],
      [1, { city: "Berlin" }],
    ]);
    const batch = await client.queryBatch(collection, {
      searches: [
        { query: uuid.toUpperCase(), limit: 1 },
        { query: [0, 0, 0, 1], limit: 1 },
      ],
    });
    expect(batch[1]?.points.map(({ id }) => id)).toEqual(["any text"]);
    expect(batch[0]?.points).toHaveLength(1);
    await expect(client.query(collection, { query: 404 })).rejects.toMatchObject({ status: 404 });
  });

  test("scroll walks all points in order of id", async () => {
    const seen: unknown[] = [];
    let offset: number | string | undefined;
    for (let page = 0; page < 3; page++) {
      const answer = await client.scroll(collection, {
        limit: 2,
        ...(offset === undefined ? {} : { offset }),
        with_payload: false,
      });
      seen.push(...answer.points.map(({ id }) => id));
      const next = answer.next_page_offset;
      offset = typeof next === "number" || typeof next === "string" ? next : undefined;
    }
    expect(offset).toBeUndefined();
    expect(seen).toEqual([1, 2, 3, uuid, "any text"]);
  });

  test("count and retrieve", async () => {
    expect(await client.count(collection, { exact: true })).toEqual({ count: 5 });
    const found = await client.retrieve(collection, {
      ids: [2, 404, uuid],
      with_payload: { exclude: ["city"] },
    });
    expect(found.map(({ id, payload }) => [id, payload])).toEqual([
      [2, {}],
      [uuid, {}],
    ]);
  });

  test("payloads are set, overwritten, deleted and cleared", async () => {
    const payload = async (id: number): Promise<unknown> =>
      (await client.retrieve(collection, { ids: [id] }))[0]?.payload;
    await client.setPayload(collection, { points: [1], payload: { country: "Germany" } });
    await client.setPayload(collection, { points: [1], key: "facts", payload: { people: 3.9 } });
    expect(await payload(1)).toEqual({
      city: "Berlin",
      country: "Germany",
      facts: { rivers: ["Spree"], people: 3.9 },
    });
    await client.deletePayload(collection, { points: [1], keys: ["facts", "city"] });
    expect(await payload(1)).toEqual({ country: "Germany" });
    await client.overwritePayload(collection, { points: [1, 2], payload: { new: true } });
    expect([await payload(1), await payload(2)]).toEqual([{ new: true }, { new: true }]);
    await client.clearPayload(collection, { points: [1] });
    expect(await payload(1)).toEqual({});
  });

  test("vectors are replaced and points deleted", async () => {
    await client.updateVectors(collection, { points: [{ id: 1, vector: [0, 0, 0, 2] }] });
    const [moved] = await client.retrieve(collection, { ids: [1], with_vector: true });
    expect(moved).toMatchObject({ vector: [0, 0, 0, 2], payload: { city: "Berlin" } });
    await client.delete(collection, { points: [1, "any text", 404] });
    expect(await client.count(collection)).toEqual({ count: 3 });
    const hits = await client.search(collection, { vector: [0, 0, 0, 1], limit: 5 });
    expect(hits.map(({ id }) => id)).not.toContain(1);
  });

  test("a mixed batch is applied in order", async () => {
    const results = await client.batchUpdate(collection, {
      operations: [
        { upsert: { points: [{ id: 20, vector: [1, 1, 1, 1], payload: { a: 1 } }] } },
        { set_payload: { points: [20], payload: { b: 2 } } },
        { delete_payload: { points: [20], keys: ["a"] } },
        { update_vectors: { points: [{ id: 20, vector: [2, 2, 2, 2] }] } },
        { overwrite_payload: { points: [2], payload: { c: 3 } } },
        { clear_payload: { points: [1] } },
        { delete: { points: [3] } },
      ],
    });
    expect(results.map((result) => result.status)).toEqual(Array.from({ length: 7 }, () => "completed"));
    const found = await client.retrieve(collection, { ids: [20, 1, 2, 3], with_vector: true });
    expect(found).toMatchObject([
      { id: 20, payload: { b: 2 }, vector: [2, 2, 2, 2] },
      { id: 1, payload: {} },
      { id: 2, payload: { c: 3 } },
    ]);
  });

  test("what Flotilla does not have is refused by name, through the client too", async () => {
    const filter = { must: [{ key: "city", match: { value: "London" } }] };
    await expect(client.search(collection, { vector: [1, 0, 0, 0], filter })).rejects.toMatchObject({
      status: 400,
      data: { status: { code: "UNSUPPORTED", error: expect.stringContaining("filters") } },
    });
    await expect(client.recommend(collection, { positive: [1], limit: 1 })).rejects.toMatchObject({
      status: 400,
      data: { status: { code: "UNSUPPORTED" } },
    });
  });

  test("a wrong key is refused", async () => {
    const stranger = new QdrantClient({ url: target.url, apiKey: "wrong", checkCompatibility: false });
    await expect(stranger.getCollections()).rejects.toMatchObject({ status: 401 });
  });

  test("name and version are shown to anybody", async () => {
    expect(await client.versionInfo()).toMatchObject({ title: expect.stringContaining("flotilla") });
  });
});
