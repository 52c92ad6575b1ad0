/** proto/flotilla/v1/points.proto */
import { bool, float, floats, optional, string, strings, uint32, uint64, word } from "../wire/fields.ts";
import { many, message, one } from "../wire/message.ts";
import { POINT_ID, READ_OPTIONS, SHARD_INDEX, WRITE_OPTIONS } from "./common.ts";

export const POINT = message("Point", {
  id: one(1, POINT_ID),
  vector: floats(2),
  payloadJson: optional.string(3),
  version: uint64(4),
});

export const SCORED_POINT = message("ScoredPoint", {
  id: one(1, POINT_ID),
  score: float(2),
  vector: floats(3),
  payloadJson: optional.string(4),
  version: uint64(5),
});

export const PAYLOAD_SELECTOR = message("PayloadSelector", {
  mode: word(1, "Mode", ["none", "all", "include", "exclude"]),
  keys: strings(2),
});

// ------------------------------------------------------------------------------------------------------- writes

const head = { collection: string(1) } as const;
const condition = { ifVersion: optional.uint64(3), options: one(4, WRITE_OPTIONS) } as const;
const onIds = { ...head, ids: many(2, POINT_ID), ...condition } as const;

export const UPSERT = message("UpsertRequest", { ...head, points: many(2, POINT), ...condition });

export const DELETE = message("DeleteRequest", onIds);

const POINT_VECTOR = message("PointVector", { id: one(1, POINT_ID), vector: floats(2) });

export const UPDATE_VECTORS = message("UpdateVectorsRequest", {
  ...head,
  points: many(2, POINT_VECTOR),
  ...condition,
});

export const SET_PAYLOAD = message("SetPayloadRequest", {
  ...onIds,
  payloadJson: string(5),
  key: optional.string(6),
});

export const OVERWRITE_PAYLOAD = message("OverwritePayloadRequest", { ...onIds, payloadJson: string(5) });

export const DELETE_PAYLOAD = message("DeletePayloadRequest", { ...onIds, keys: strings(5) });

export const CLEAR_PAYLOAD = message("ClearPayloadRequest", onIds);

export const OPERATION = message(
  "Operation",
  {
    upsert: one(1, UPSERT),
    delete: one(2, DELETE),
    updateVectors: one(3, UPDATE_VECTORS),
    setPayload: one(4, SET_PAYLOAD),
    overwritePayload: one(5, OVERWRITE_PAYLOAD),
    deletePayload: one(6, DELETE_PAYLOAD),
    clearPayload: one(7, CLEAR_PAYLOAD),
  },
  "kind",
);

export const BATCH = message("BatchRequest", {
  ...head,
  operations: many(2, OPERATION),
  options: one(3, WRITE_OPTIONS),
});

export const WRITE_ANSWER = message("WriteAnswer", { indexes: many(1, SHARD_INDEX), duplicate: bool(2) });

export const UPSERT_STREAM_ANSWER = message("UpsertStreamAnswer", {
  message: uint64(1),
  indexes: many(2, SHARD_INDEX),
  duplicate: bool(3),
});

// -------------------------------------------------------------------------------------------------------- reads

const shape = (withPayload: number) =>
  ({ withPayload: one(withPayload, PAYLOAD_SELECTOR), withVector: bool(withPayload + 1) }) as const;

export const GET = message("GetRequest", { ...head, id: one(2, POINT_ID), options: one(3, READ_OPTIONS) });

export const RETRIEVE = message("RetrieveRequest", {
  ...head,
  ids: many(2, POINT_ID),
  ...shape(3),
  options: one(5, READ_OPTIONS),
});

export const POINTS_ANSWER = message("PointsAnswer", { points: many(1, POINT) });

export const SCROLL = message("ScrollRequest", {
  ...head,
  from: one(2, POINT_ID),
  limit: optional.uint32(3),
  ...shape(4),
  options: one(6, READ_OPTIONS),
});

export const SCROLL_ANSWER = message("ScrollAnswer", { points: many(1, POINT), next: one(2, POINT_ID) });

export const COUNT = message("CountRequest", { ...head, options: one(2, READ_OPTIONS) });
export const COUNT_ANSWER = message("CountAnswer", { count: uint64(1) });

export const QUERY = message("Query", {
  vector: floats(1),
  point: one(2, POINT_ID),
  limit: optional.uint32(3),
  offset: uint32(4),
  scoreThreshold: optional.float(5),
  hnswEf: optional.uint32(6),
  exact: bool(7),
  ...shape(8),
});

export const SEARCH = message("SearchRequest", {
  ...head,
  query: one(2, QUERY),
  options: one(3, READ_OPTIONS),
});
export const SEARCH_ANSWER = message("SearchAnswer", { hits: many(1, SCORED_POINT) });

export const SEARCH_BATCH = message("SearchBatchRequest", {
  ...head,
  queries: many(2, QUERY),
  options: one(3, READ_OPTIONS),
});
export const SEARCH_BATCH_ANSWER = message("SearchBatchAnswer", { answers: many(1, SEARCH_ANSWER) });

/** What a message decodes into. */
export type Of<M> = M extends { decode(bytes: Buffer): infer T } ? T : never;
