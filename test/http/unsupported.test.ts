/** What Qdrant has and Flotilla does not is refused by name, never ignored; what asks for nothing special passes. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { REFUSALS } from "../support/qdrant-refusals.ts";
import { CITY, errorOf, startRest, type Rest, type RestAnswer } from "../support/rest.ts";

let rest: Rest;
const PATH = "/collections/u";
beforeAll(async () => {
  rest = await startRest();
  await rest.call("PUT", PATH, CITY);
  await rest.call("PUT", `${PATH}/points`, { points: [{ id: 1, vector: [1, 2, 3, 4] }] });
});
afterAll(() => rest[Symbol.asyncDispose]());

function refused(answer: RestAnswer, word: string): void {
  expect([answer.status, errorOf(answer).code]).toEqual([400, "UNSUPPORTED"]);
  expect(errorOf(answer).error).toContain(word);
}

const vector = [1, 2, 3, 4];
const points = [1];
const filter = { must: [{ key: "a", match: { value: 1 } }] };

describe("searches", () => {
  test.each<[body: object, word: string]>([
    [{ query: vector, filter }, "filters"],
    [{ query: vector, prefetch: { query: vector } }, "prefetch"],
    [{ query: vector, using: "image" }, "named vectors"],
    [{ query: vector, lookup_from: { collection: "x" } }, "look-ups in other collections"],
    [{ query: vector, shard_key: "a" }, "shard keys"],
    [{ query: vector, with_vector: ["image"] }, "named vectors"],
    [{ query: vector, params: { quantization: { rescore: true } } }, "quantization"],
    [{ query: vector, params: { indexed_only: true } }, "`params.indexed_only`"],
    [{ query: [vector, vector] }, "multivectors"],
    [{ query: { indices: [1], values: [1] } }, "sparse vectors"],
    [{ query: { text: "x", model: "m" } }, "inference"],
    [{ query: { nearest: { indices: [1], values: [1] } } }, "sparse vectors"],
    [{ query: { nearest: vector, mmr: { diversity: 0.5 } } }, "maximal marginal relevance"],
    [{ query: { recommend: { positive: [1] } } }, "`recommend` queries"],
    [{ query: { discover: { target: 1, context: [] } } }, "`discover` queries"],
    [{ query: { context: [] } }, "`context` queries"],
    [{ query: { order_by: "a" } }, "`order_by` queries"],
    [{ query: { fusion: "rrf" } }, "`fusion` queries"],
    [{ query: { sample: "random" } }, "`sample` queries"],
    [{ query: { formula: {} } }, "`formula` queries"],
    [{}, "scroll"],
  ])("query %j", async (body, word) => {
    refused(await rest.call("POST", `${PATH}/points/query`, body), word);
  });

  test.each<[body: object, word: string]>([
    [{ vector: { name: "image", vector } }, "named vectors"],
    [{ vector: [vector] }, "multivectors"],
    [{ vector, filter }, "filters"],
  ])("search %j", async (body, word) => {
    refused(await rest.call("POST", `${PATH}/points/search`, body), word);
    refused(await rest.call("POST", `${PATH}/points/search/batch`, { searches: [body] }), word);
  });
});

describe("points", () => {
  test.each<[method: string, path: string, body: object, word: string]>([
    ["PUT", "", { points: [{ id: 1, vector: { image: vector } }] }, "named vectors"],
    ["PUT", "", { points: [{ id: 1, vector: [vector] }] }, "multivectors"],
    ["PUT", "", { points: [{ id: 1, vector: { indices: [1], values: [1] } }] }, "sparse vectors"],
    ["PUT", "", { batch: { ids: [1], vectors: { image: [vector] } } }, "named vectors"],
    ["PUT", "", { points: [{ id: 1, vector }], shard_key: "a" }, "shard keys"],
    ["PUT", "", { points: [{ id: 1, vector }], update_mode: "insert_only" }, "`insert_only`"],
    ["PUT", "", { points: [{ id: 1, vector }], update_filter: filter }, "by filter"],
    ["POST", "/delete", { filter }, "by filter"],
    ["POST", "/delete", { filter: {} }, "by filter"],
    ["POST", "/payload", { payload: { a: 1 }, filter }, "by filter"],
    ["PUT", "/payload", { payload: { a: 1 }, points, key: "b" }, "`key`"],
    ["POST", "/payload/delete", { keys: ["a"], filter }, "by filter"],
    ["POST", "/payload/clear", { filter }, "by filter"],
    ["POST", "/batch", { operations: [{ delete_vectors: { points, vector: ["a"] } }] }, "without a vector"],
    ["POST", "/batch", { operations: [{ delete: { filter } }] }, "`operations[0].delete.filter`"],
    ["POST", "/scroll", { filter }, "filters"],
    ["POST", "/scroll", { order_by: "a" }, "order"],
    ["POST", "/count", { filter }, "filters"],
    ["POST", "/count", { shard_key: ["a"] }, "shard keys"],
    ["POST", "", { ids: [1], with_vector: ["image"] }, "named vectors"],
  ])("%s /points%s %j", async (method, path, body, word) => {
    refused(await rest.call(method, `${PATH}/points${path}`, body), word);
  });
});

describe("collections", () => {
  const vectors = { size: 4, distance: "Dot" };
  test.each<[body: object, word: string]>([
    [{ vectors: { image: vectors } }, "named vectors (`image`)"],
    [{ vectors: {} }, "without a vector"],
    [{ vectors: { ...vectors, distance: "Manhattan" } }, "`Manhattan`"],
    [{ vectors: { ...vectors, datatype: "uint8" } }, "float32"],
    [{ vectors: { ...vectors, on_disk: true } }, "`vectors.on_disk`"],
    [{ vectors: { ...vectors, multivector_config: { comparator: "max_sim" } } }, "multivectors"],
    [{ vectors: { ...vectors, quantization_config: { scalar: { type: "int8" } } } }, "quantization"],
    [{ vectors, quantization_config: { scalar: { type: "int8" } } }, "quantization"],
    [{ vectors, sparse_vectors: { text: {} } }, "sparse vectors"],
    [{ vectors, sharding_method: "custom" }, "custom sharding"],
    [{ vectors, on_disk_payload: false }, "`on_disk_payload`"],
    [{ vectors, hnsw_config: { on_disk: true } }, "`hnsw_config.on_disk`"],
    [{ vectors, hnsw_config: { full_scan_threshold: 500 } }, "full scans"],
    [{ vectors, hnsw_config: { payload_m: 8 } }, "links by payload"],
    [{ vectors, wal_config: { wal_capacity_mb: 1 } }, "log"],
    [{ vectors, optimizers_config: { indexing_threshold: 0 } }, "`optimizers_config.indexing_threshold`"],
    [{ vectors, strict_mode_config: { enabled: true } }, "strict mode"],
    [{ vectors, replication_factor: 3, write_consistency_factor: 3 }, "majority of replicas, 2 of 3"],
  ])("create %j", async (body, word) => {
    refused(await rest.call("PUT", "/collections/no", body), word);
    expect((await rest.call("GET", "/collections/no/exists")).body.result).toEqual({ exists: false });
  });

  test("what asks for nothing but our behaviour passes", async () => {
    const answer = await rest.call("PUT", "/collections/defaults?timeout=10", {
      vectors: {
        ...vectors,
        on_disk: false,
        datatype: "float32",
        hnsw_config: null,
        multivector_config: null,
      },
      shard_number: null,
      sharding_method: "auto",
      replication_factor: 3,
      write_consistency_factor: 1,
      on_disk_payload: true,
      hnsw_config: {
        m: 16,
        ef_construct: 100,
        full_scan_threshold: 10_000,
        max_indexing_threads: 0,
        on_disk: false,
      },
      wal_config: null,
      optimizers_config: { deleted_threshold: 0.2, default_segment_number: 0, flush_interval_sec: null },
      quantization_config: null,
      sparse_vectors: {},
      strict_mode_config: { enabled: false },
    });
    expect(answer.body.result).toBe(true);
  });

  test("what a collection shows of itself can be created again", async () => {
    const shown = await rest.call("GET", PATH);
    const { config } = shown.body.result as {
      config: { params: object; hnsw_config: object; optimizer_config: object };
    };
    const answer = await rest.call("PUT", "/collections/copy", {
      ...config.params,
      hnsw_config: config.hnsw_config,
      optimizers_config: config.optimizer_config,
    });
    expect(answer.body).toMatchObject({ result: true });
  });

  test.each<[body: object, word: string]>([
    [{ vectors: { "": { on_disk: true } } }, "vector parameters"],
    [{ hnsw_config: { m: 32 } }, "graph parameters"],
    [{ quantization_config: { scalar: {} } }, "quantization"],
    [{ params: { read_fan_out_factor: 2 } }, "fan-out"],
    [{ params: { write_consistency_factor: 7 } }, "majority"],
    [{ optimizers_config: { max_segment_size: 100 } }, "segments"],
  ])("patch %j", async (body, word) => {
    refused(await rest.call("PATCH", PATH, body), word);
  });
});

describe("routes of Qdrant's", () => {
  test.each<[method: string, path: string, word: string]>([
    ["POST", `${PATH}/points/recommend`, "recommendations"],
    ["POST", `${PATH}/points/discover`, "discovery"],
    ["POST", `${PATH}/points/query/groups`, "grouping"],
    ["POST", `${PATH}/points/search/matrix/pairs`, "distance matrices"],
    ["POST", `${PATH}/points/vectors/delete`, "without a vector"],
    ["POST", `${PATH}/facet`, "facets"],
    ["PUT", `${PATH}/index`, "payload indexes"],
    ["DELETE", `${PATH}/index/a`, "payload indexes"],
    ["POST", `${PATH}/snapshots`, "snapshots"],
    ["GET", "/telemetry", "telemetry"],
  ])("%s %s", async (method, path, word) => {
    refused(await rest.call(method, path), word);
  });
});

describe("what the README says is refused is refused with these words:", () => {
  beforeAll(async () => {
    await rest.call("PUT", "/collections/c", CITY);
  });

  test.each(REFUSALS)("$feature", async ({ request: [method, path, body], says }) => {
    const answer = await rest.call(method, `/collections/c${path}`, body);
    expect([answer.status, errorOf(answer)]).toEqual([
      400,
      { code: "UNSUPPORTED", error: `Not supported: ${says}` },
    ]);
  });
});
