/** What routes answer, as JSON Schema: documentation, and what tests hold live answers against. */
import type { JsonSchema } from "./schema.ts";

/** What a route sends when it succeeds. */
export type AnswerSchema =
  /** Inside the envelope. */
  | { readonly kind: "result"; readonly json: JsonSchema }
  /** JSON without an envelope. */
  | { readonly kind: "bare"; readonly json: JsonSchema }
  /** A text as it is; `alsoAt`: another status with which one comes. */
  | { readonly kind: "text"; readonly type: string; readonly alsoAt?: number };

export const STRING: JsonSchema = { type: "string" };
export const BOOLEAN: JsonSchema = { type: "boolean" };
export const NUMBER: JsonSchema = { type: "number" };
export const COUNT: JsonSchema = { type: "integer", minimum: 0 };
const NODE_ID: JsonSchema = { type: "integer", minimum: 1 };
const ANY_OBJECT: JsonSchema = { type: "object", additionalProperties: true };

export const arrayOf = (items: JsonSchema): JsonSchema => ({ type: "array", items });
export const orNull = (json: JsonSchema): JsonSchema => ({ anyOf: [json, { type: "null" }] });
const oneOf = (...words: readonly string[]): JsonSchema => ({ type: "string", enum: [...words] });

/** All of `always`, and some of `sometimes`. */
export const objectOf = (
  always: Readonly<Record<string, JsonSchema>>,
  sometimes: Readonly<Record<string, JsonSchema>> = {},
): JsonSchema => ({
  type: "object",
  required: Object.keys(always),
  properties: { ...always, ...sometimes },
});

export const result = (json: JsonSchema): AnswerSchema => ({ kind: "result", json });
export const DONE = result(BOOLEAN);

// ------------------------------------------------------------------------------------------------------- points

const ID: JsonSchema = { anyOf: [{ type: "integer", minimum: 0 }, STRING] };
const DETAILS = { payload: ANY_OBJECT, vector: arrayOf(NUMBER) };
export const RECORD = objectOf({ id: ID, version: COUNT }, DETAILS);
const HIT = objectOf({ id: ID, version: COUNT, score: NUMBER }, DETAILS);
export const HITS = arrayOf(HIT);
export const QUERIED = objectOf({ points: HITS });
export const PAGE = objectOf({ points: arrayOf(RECORD), next_page_offset: orNull(ID) });
export const UPDATED = objectOf({ operation_id: COUNT, status: oneOf("completed", "acknowledged") });

// -------------------------------------------------------------------------------------------------- collections

export const COLLECTIONS = objectOf({ collections: arrayOf(objectOf({ name: STRING })) });
export const COLLECTION = objectOf({
  status: oneOf("green", "yellow", "red"),
  optimizer_status: { anyOf: [oneOf("ok"), objectOf({ error: STRING })] },
  indexed_vectors_count: COUNT,
  points_count: COUNT,
  segments_count: COUNT,
  config: objectOf(
    {
      params: objectOf({
        vectors: objectOf({ size: COUNT, distance: oneOf("Cosine", "Dot", "Euclid") }),
        shard_number: COUNT,
        replication_factor: {
          ...COUNT,
          description: "A target: there are fewer replicas while there are fewer nodes.",
        },
        write_consistency_factor: COUNT,
        on_disk_payload: BOOLEAN,
      }),
      hnsw_config: objectOf({
        m: COUNT,
        ef_construct: COUNT,
        full_scan_threshold: COUNT,
        max_indexing_threads: COUNT,
        on_disk: BOOLEAN,
      }),
      optimizer_config: objectOf({
        deleted_threshold: NUMBER,
        default_segment_number: COUNT,
        flush_interval_sec: COUNT,
      }),
      wal_config: { type: "null" },
      quantization_config: { type: "null" },
    },
    { metadata: ANY_OBJECT },
  ),
  payload_schema: ANY_OBJECT,
});
export const EXISTS = objectOf({ exists: BOOLEAN });
export const ALIASES = objectOf({
  aliases: arrayOf(objectOf({ alias_name: STRING, collection_name: STRING })),
});

// ------------------------------------------------------------------------------------------------------ cluster

export const NODE = objectOf({
  node_id: NODE_ID,
  http: STRING,
  grpc: STRING,
  peer: STRING,
  role: oneOf("voter", "learner"),
  alive: BOOLEAN,
  leader_of: COUNT,
  replicas: COUNT,
  version: STRING,
  state: oneOf("active", "leaving"),
});
export const NODES = objectOf({ nodes: arrayOf(NODE) });

export const SHARD = objectOf({
  shard: COUNT,
  term: COUNT,
  leader: orNull(NODE_ID),
  replicas: arrayOf(
    objectOf({
      node_id: NODE_ID,
      role: oneOf("leader", "voter", "learner"),
      state: oneOf("active", "catching_up", "snapshot", "failed", "unreachable"),
      term: orNull(COUNT),
      commit: orNull(COUNT),
      applied: orNull(COUNT),
      match: orNull(COUNT),
      lag: orNull(COUNT),
      state_hash: orNull(STRING),
      hash_index: orNull(COUNT),
      points: orNull(COUNT),
      error: orNull(STRING),
    }),
  ),
});
export const SHARDS = objectOf({ shards: arrayOf(SHARD) });

/** Qdrant's. */
export const CLUSTER = objectOf({
  status: oneOf("enabled"),
  peer_id: NODE_ID,
  peers: { type: "object", additionalProperties: objectOf({ uri: STRING }) },
  raft_info: objectOf({
    term: COUNT,
    commit: COUNT,
    pending_operations: COUNT,
    leader: orNull(NODE_ID),
    role: oneOf("Leader", "Follower", "Learner"),
    is_voter: BOOLEAN,
  }),
  consensus_thread_status: objectOf({ consensus_thread_status: oneOf("working"), last_update: STRING }),
  message_send_failures: ANY_OBJECT,
});

const QDRANT_STATE = oneOf("Active", "Partial", "Dead");
/** Qdrant's. */
export const COLLECTION_CLUSTER = objectOf({
  peer_id: NODE_ID,
  shard_count: COUNT,
  local_shards: arrayOf(objectOf({ shard_id: COUNT, points_count: COUNT, state: QDRANT_STATE })),
  remote_shards: arrayOf(objectOf({ shard_id: COUNT, peer_id: NODE_ID, state: QDRANT_STATE })),
  shard_transfers: arrayOf(ANY_OBJECT),
});

// --------------------------------------------------------------------------------------------------------- node

export const TITLE = objectOf({ title: STRING, version: STRING });
export const STATUS = objectOf({
  node_id: NODE_ID,
  cluster_id: STRING,
  version: STRING,
  started_at: STRING,
  ready: BOOLEAN,
  notes: arrayOf(STRING),
  catalogue: objectOf({ leader: orNull(NODE_ID), term: COUNT, applied: COUNT }),
  groups: arrayOf(
    objectOf({
      collection: STRING,
      shard: COUNT,
      group: COUNT,
      role: oneOf("leader", "follower", "candidate", "learner"),
      leader: orNull(NODE_ID),
      term: COUNT,
      commit: COUNT,
      applied: COUNT,
      first_index: COUNT,
      log_bytes: COUNT,
      points: orNull(COUNT),
      error: orNull(STRING),
    }),
  ),
  build: objectOf({ hnswlib: oneOf("native", "portable", "unknown"), flags: STRING, node: STRING }),
});
