import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorOf, startRest, type Rest } from "../support/rest.ts";

let rest: Rest;
beforeAll(async () => {
  rest = await startRest();
});
afterAll(() => rest[Symbol.asyncDispose]());

const params = { vectors: { size: 4, distance: "Cosine" } };
let names = 0;
const fresh = (): string => `c${++names}`;

describe("creating", () => {
  test("a collection is created once, and its name is taken from then on", async () => {
    const name = fresh();
    const first = await rest.call("PUT", `/collections/${name}`, params);
    expect([first.status, first.body.result, first.body.status]).toEqual([200, true, "ok"]);
    expect(first.body.time).toBeTypeOf("number");
    const again = await rest.call("PUT", `/collections/${name}`, params);
    expect(again.status).toBe(409);
    expect(errorOf(again)).toEqual({
      code: "COLLECTION_EXISTS",
      error: `Wrong input: Collection \`${name}\` already exists!`,
    });
  });

  test("what it was created with is what it shows, in Qdrant's shape", async () => {
    const name = fresh();
    await rest.call("PUT", `/collections/${name}`, {
      vectors: { size: 8, distance: "Euclid", hnsw_config: { m: 24 } },
      hnsw_config: { m: 4, ef_construct: 200 },
      shard_number: 2,
      replication_factor: 3,
      metadata: { owner: "tests" },
    });
    const shown = await rest.call("GET", `/collections/${name}`);
    expect(shown.body.result).toEqual({
      status: "green",
      optimizer_status: "ok",
      indexed_vectors_count: 0,
      points_count: 0,
      segments_count: 2,
      config: {
        params: {
          vectors: { size: 8, distance: "Euclid" },
          shard_number: 2,
          replication_factor: 3,
          write_consistency_factor: 2,
          on_disk_payload: true,
        },
        hnsw_config: {
          m: 24,
          ef_construct: 200,
          full_scan_threshold: 10,
          max_indexing_threads: 1,
          on_disk: false,
        },
        optimizer_config: { deleted_threshold: 0.2, default_segment_number: 1, flush_interval_sec: 0 },
        wal_config: null,
        quantization_config: null,
        metadata: { owner: "tests" },
      },
      payload_schema: {},
    });
  });
});

describe("changing and dropping", () => {
  test("a patch changes the replication factor and merges metadata", async () => {
    const name = fresh();
    await rest.call("PUT", `/collections/${name}`, { ...params, metadata: { a: 1, b: 2 } });
    const patched = await rest.call("PATCH", `/collections/${name}`, {
      params: { replication_factor: 5, write_consistency_factor: 3 },
      metadata: { b: null, c: 3 },
      optimizers_config: {},
    });
    expect(patched.body.result).toBe(true);
    const shown = await rest.call("GET", `/collections/${name}`);
    expect(shown.body.result).toMatchObject({
      config: { params: { replication_factor: 5, write_consistency_factor: 3 }, metadata: { a: 1, c: 3 } },
    });
  });

  test("dropping says whether there was one; the name is free again", async () => {
    const name = fresh();
    await rest.call("PUT", `/collections/${name}`, params);
    expect((await rest.call("DELETE", `/collections/${name}`)).body.result).toBe(true);
    expect((await rest.call("DELETE", `/collections/${name}`)).body.result).toBe(false);
    expect((await rest.call("PUT", `/collections/${name}`, params)).body.result).toBe(true);
  });

  test("the list is in order of name", async () => {
    for (const name of ["zebra", "aardvark"]) await rest.call("PUT", `/collections/${name}`, params);
    const { collections } = (await rest.call("GET", "/collections")).body.result as {
      collections: { name: string }[];
    };
    const listed = collections.map(({ name }) => name);
    expect(listed).toEqual([...listed].sort());
    expect(listed).toContain("zebra");
  });

  test.each(["GET", "PATCH"])("%s of one that is not there is 404", async (method) => {
    const answer = await rest.call(method, "/collections/none", method === "GET" ? undefined : {});
    expect([answer.status, errorOf(answer).code]).toEqual([404, "COLLECTION_NOT_FOUND"]);
  });

  test.each<[body: object, word: string]>([
    [{}, "the body lacks the field `vectors`"],
    [{ vectors: { size: 4 } }, "`vectors` lacks the field `distance`"],
    [{ vectors: { size: "4", distance: "Dot" } }, "`vectors.size` must be a whole number, not a string"],
    [{ vectors: { size: 4, distance: "dot" } }, "`vectors.distance` must be one of Cosine, Dot, Euclid"],
    [{ vectors: { size: 4, distance: "Dot", dimension: 4 } }, "unknown field `dimension`"],
    [{ vectors: [] }, "`vectors` must be an object, not an array"],
    [{ vectors: { size: 4, distance: "Dot" }, shards: 2 }, "unknown field `shards`"],
    [{ vectors: { size: 4, distance: "Dot" }, metadata: [] }, "`metadata` must be an object"],
    [{ vectors: { size: 4, distance: "Dot" }, hnsw_config: { M: 4 } }, "unknown field `M`"],
    [{ vectors: { size: 4, distance: "Dot" }, replicaton_factor: 2 }, "did you mean `replication_factor`?"],
  ])("%j cannot be created", async (body, word) => {
    const answer = await rest.call("PUT", "/collections/bad", body);
    expect([answer.status, errorOf(answer).code]).toEqual([400, "BAD_REQUEST"]);
    expect(errorOf(answer).error).toContain(word);
  });
});
