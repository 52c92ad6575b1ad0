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
