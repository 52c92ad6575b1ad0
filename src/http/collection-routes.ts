/** Collections: create, look at, change, drop. */
import type { VectorSpec } from "../api/types.ts";
import { COLLECTION, COLLECTIONS, DONE, EXISTS, result } from "./answers.ts";
import { PLAIN_QUERY } from "./call-options.ts";
import { collectionInfo } from "./collection-view.ts";
import { authorize } from "../auth/permit.ts";
import { onCluster, onCollection, route, type Route } from "./route.ts";
import {
  anyObject,
  isObject,
  lacking,
  object,
  optional,
  required,
  schema,
  unsupported,
  whole,
  word,
  type Schema,
} from "./schema.ts";
import { ApiError } from "../api/errors.ts";

/** Qdrant's defaults, which are ours too. */
const DEFAULT_M = 16;
const DEFAULT_EF_CONSTRUCT = 100;
/** A target: while there are fewer nodes there are fewer replicas, and they grow as nodes join. */
const DEFAULT_REPLICATION = 3;

const MEMORY = "a choice of memory placement (graph in memory, points on disk)";

const hnswConfig = object({
  m: optional(whole(0)),
  ef_construct: optional(whole(0)),
  // 10,000 is what clients copy from Qdrant's defaults, 10 what GET shows: neither wishes for anything.
  full_scan_threshold: lacking("a threshold for full scans", 10, 10_000),
  max_indexing_threads: lacking("a choice of indexing threads", 0, 1),
  on_disk: lacking("graphs on disk", false),
  memory: lacking(MEMORY, "pinned"),
  payload_m: lacking("links by payload", 0),
  inline_storage: lacking("vectors inside the graph file", false),
});

const optimizersConfig = object({
  deleted_threshold: lacking("another share of deleted points", 0.2),
  vacuum_min_vector_number: lacking("optimizer settings"),
  default_segment_number: lacking("segments", 0, 1),
  max_segment_size: lacking("segments"),
  memmap_threshold: lacking("memory-mapped vectors"),
  indexing_threshold: lacking("a threshold for indexing"),
  flush_interval_sec: lacking("delayed flushes (every write is on disk when acknowledged)", 0),
  max_optimization_threads: lacking("a choice of optimization threads"),
  prevent_unoptimized: lacking("optimizer settings", false),
});

const vectorParams = object({
  size: required(whole(1)),
  distance: required(word(["Cosine", "Dot", "Euclid"], ["Manhattan"])),
  hnsw_config: optional(hnswConfig),
  quantization_config: lacking("quantization"),
  on_disk: lacking("vectors on disk only", false),
  memory: lacking(MEMORY),
  datatype: lacking("other element types than float32", "float32"),
  multivector_config: lacking("multivectors"),
});

type VectorParams = typeof vectorParams extends Schema<infer T> ? T : never;

/** One unnamed vector per point. */
const vectors: Schema<VectorParams> = schema(vectorParams.json, (value, at) => {
  if (isObject(value) && !("size" in value) && !("distance" in value)) {
    const [name] = Object.keys(value);
    if (name === undefined) throw unsupported("collections without a vector", at);
    if (isObject(value[name])) throw unsupported(`named vectors (\`${name.slice(0, 60)}\`)`, at);
  }
  return vectorParams.read(value, at);
});

const CREATE = object({
  vectors: required(vectors),
  shard_number: optional(whole(0)),
  replication_factor: optional(whole(0)),
  write_consistency_factor: optional(whole(1)),
  hnsw_config: optional(hnswConfig),
  optimizers_config: optional(optimizersConfig),
  metadata: optional(anyObject),
  sharding_method: lacking("custom sharding", "auto"),
  on_disk_payload: lacking("payloads in memory (they are on disk)", true),
  payload: lacking(MEMORY, {}, { memory: "cold" }),
  wal_config: lacking("settings of the log per collection", {}),
  quantization_config: lacking("quantization"),
  sparse_vectors: lacking("sparse vectors", {}),
  strict_mode_config: lacking("strict mode", {}, { enabled: false }),
});

type Create = typeof CREATE extends Schema<infer T> ? T : never;

const PATCH = object({
  params: optional(
    object({
      replication_factor: optional(whole(0)),
      write_consistency_factor: optional(whole(1)),
      read_fan_out_factor: lacking("a fan-out of reads to several replicas", 0),
      read_fan_out_delay_ms: lacking("a fan-out of reads to several replicas", 0),
      on_disk_payload: lacking("payloads in memory (they are on disk)", true),
      payload: lacking(MEMORY, {}, { memory: "cold" }),
    }),
  ),
  metadata: optional(anyObject),
  vectors: lacking("changes of vector parameters", {}),
  hnsw_config: lacking("changes of graph parameters", {}),
  optimizers_config: optional(optimizersConfig),
  quantization_config: lacking("quantization"),
  sparse_vectors: lacking("sparse vectors", {}),
  strict_mode_config: lacking("strict mode", {}, { enabled: false }),
});

function specOf(body: Create): VectorSpec {
  const { size, distance, hnsw_config: own } = body.vectors;
  return {
    dimension: size,
    distance,
    m: own?.m ?? body.hnsw_config?.m ?? DEFAULT_M,
    efConstruct: own?.ef_construct ?? body.hnsw_config?.ef_construct ?? DEFAULT_EF_CONSTRUCT,
  };
}

/** A majority always has to agree, so that a wish for fewer is kept and one for more cannot be. */
function checkConsistencyFactor(wanted: number | null, replicas: number): void {
  const majority = Math.floor(replicas / 2) + 1;
  if (wanted === null || wanted <= majority) return;
  throw new ApiError(
    "UNSUPPORTED",
    `Not supported: \`write_consistency_factor\` ${wanted}: a write needs the majority of replicas, ${majority} of ${replicas}`,
  );
}

const ok = { result: true } as const;

export const collectionRoutes: readonly Route[] = [
  route({
    method: "GET",
    url: "/collections",
    rule: onCluster("list"),
    summary: "The names of the collections that may be read",
    query: PLAIN_QUERY,
    answer: result(COLLECTIONS),
    body: null,
    handle: ({ service, permit }) => ({
      result: { collections: service.collections(permit).map(({ name }) => ({ name })) },
    }),
  }),
  route({
    method: "GET",
    url: "/collections/:collection",
    rule: onCollection("read"),
    summary: "Parameters and state of a collection",
    query: PLAIN_QUERY,
    answer: result(COLLECTION),
    body: null,
    async handle({ service, permit, signal }) {
      const { collection, shards } = await service.describe(permit, { signal });
      return { result: collectionInfo(collection, shards) };
    },
  }),
  route({
    method: "GET",
    url: "/collections/:collection/exists",
    rule: onCollection("read"),
    summary: "Whether there is a collection of this name",
    query: PLAIN_QUERY,
    answer: result(EXISTS),
    body: null,
    handle: ({ service, permit }) => ({ result: { exists: service.exists(permit) } }),
  }),
  route({
    method: "PUT",
    url: "/collections/:collection",
    rule: onCollection("manage"),
    summary: "Create a collection",
    adds: true,
    query: PLAIN_QUERY,
    answer: DONE,
    body: CREATE,
    async handle({ service, permit, body, signal }) {
      const replicationFactor = body.replication_factor ?? DEFAULT_REPLICATION;
      checkConsistencyFactor(body.write_consistency_factor, replicationFactor);
      const shardNumber = body.shard_number ?? 1;
      const { metadata } = body;
      await service.create(
        permit,
        { vectors: specOf(body), shardNumber, replicationFactor, metadata },
        { signal },
      );
      return ok;
    },
  }),
  route({
    method: "PATCH",
    url: "/collections/:collection",
    rule: onCollection("configure"),
    summary: "Change the replication factor or the metadata of a collection",
    query: PLAIN_QUERY,
    answer: DONE,
    body: PATCH,
    async handle({ service, permit, body, signal }) {
      const replicas = body.params?.replication_factor ?? null;
      const now = service.collection(permit).replicationFactor;
      checkConsistencyFactor(body.params?.write_consistency_factor ?? null, replicas ?? now);
      const metadata = body.metadata === null ? {} : { metadata: body.metadata };
      if (replicas === null) await service.configure(permit, metadata, { signal });
      else {
        // Where replicas lie is the cluster's matter, whoever may change the settings of one collection.
        const wider = authorize(permit.principal, "manage", permit.collection);
        await service.update(wider, { replicationFactor: replicas, ...metadata }, { signal });
      }
      return ok;
    },
  }),
  route({
    method: "DELETE",
    url: "/collections/:collection",
    rule: onCollection("manage"),
    summary: "Drop a collection with all its points; false when there was none",
    query: PLAIN_QUERY,
    answer: DONE,
    body: null,
    handle: async ({ service, permit, signal }) => ({ result: await service.remove(permit, { signal }) }),
  }),
];
