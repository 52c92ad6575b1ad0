/** Bodies of writes. Each reads into a {@link Draft}: the operation but for what only the collection can tell. */
import { ApiError } from "../api/errors.ts";
import type { Limits } from "../api/limits.ts";
import type { Payload, PointId, WriteOp } from "../api/types.ts";
import { vectorFrom } from "../api/vectors.ts";
import { idSchema, rawVector, shardKey, under, vectorAt, type RawVector } from "./point-fields.ts";
import {
  anyObject,
  isObject,
  lacking,
  list,
  mapped,
  named,
  object,
  optional,
  required,
  schema,
  text,
  unsupported,
  whole,
  word,
  wrong,
  type Place,
  type Schema,
} from "./schema.ts";

export interface Draft {
  /** `if_version` of the body. */
  readonly ifVersion: number | null;
  /** Throws for a vector that is not one of this dimension. */
  build(dimension: number, ifVersion: number | undefined): WriteOp;
}

interface RawPoint {
  readonly id: PointId;
  readonly vector: RawVector;
  readonly payload: Payload | null;
  readonly at: Place;
}

const condition = (ifVersion: number | undefined): { readonly ifVersion?: number } =>
  ifVersion === undefined ? {} : { ifVersion };

const byFilter = lacking("changes by filter yet");
const ifVersion = optional(whole(0));

/** One schema per kind of write, made for these limits. */
export interface WriteBodies {
  readonly upsert: Schema<Draft>;
  readonly updateVectors: Schema<Draft>;
  readonly delete: Schema<Draft>;
  readonly setPayload: Schema<Draft>;
  readonly overwritePayload: Schema<Draft>;
  readonly deletePayload: Schema<Draft>;
  readonly clearPayload: Schema<Draft>;
  readonly batch: Schema<readonly Draft[]>;
}

export function writeBodies(limits: Limits): WriteBodies {
  const id = idSchema(limits);
  const ids = required(list(id));
  const onIds = { filter: byFilter, shard_key: shardKey, points: ids, if_version: ifVersion };

  const deleteIds = mapped(object(onIds), (body) =>
    draft(body.if_version, (when) => ({ kind: "delete", ids: body.points, ...when })),
  );
  const clearPayload = mapped(object(onIds), (body) =>
    draft(body.if_version, (when) => ({ kind: "clearPayload", ids: body.points, ...when })),
  );
  const deletePayload = mapped(object({ ...onIds, keys: required(list(text)) }), (body) =>
    draft(body.if_version, (when) => ({ kind: "deletePayload", ids: body.points, keys: body.keys, ...when })),
  );
  const setPayload = mapped(
    object({ ...onIds, payload: required(anyObject), key: optional(text) }),
    ({ if_version, points, payload, key }) =>
      draft(if_version, (when) => ({
        kind: "setPayload",
        ids: points,
        payload,
        ...(key === null ? {} : { key }),
        ...when,
      })),
  );
  const overwritePayload = mapped(
    object({
      ...onIds,
      payload: required(anyObject),
      key: lacking("overwriting below a `key`: set it instead"),
    }),
    ({ if_version, points, payload }) =>
      draft(if_version, (when) => ({ kind: "overwritePayload", ids: points, payload, ...when })),
  );
  const updateVectors = mapped(
    object({
      update_filter: byFilter,
      shard_key: shardKey,
      points: required(list(object({ id: required(id), vector: required(rawVector) }))),
      if_version: ifVersion,
    }),
    (body, at): Draft => ({
      ifVersion: body.if_version,
      build: (dimension, version) => ({
        kind: "updateVectors",
        points: body.points.map((point, i) => ({
          id: point.id,
          vector: vectorFrom(point.vector, dimension, vectorAt(under(at, "points", i, "vector"), point.id)),
        })),
        ...condition(version),
      }),
    }),
  );
  const upsert = upsertBody(id);
  const kinds = {
    upsert,
    delete: deleteIds,
    set_payload: setPayload,
    overwrite_payload: overwritePayload,
    delete_payload: deletePayload,
    clear_payload: clearPayload,
    update_vectors: updateVectors,
  };
  const operations = object({ operations: required(list(oneOf(kinds))) });
  return {
    upsert,
    updateVectors,
    delete: deleteIds,
    setPayload,
    overwritePayload,
    deletePayload,
    clearPayload,
    batch: mapped(operations, (body) => body.operations),
  };
}

function draft(version: number | null, build: (when: { readonly ifVersion?: number }) => WriteOp): Draft {
  return { ifVersion: version, build: (_dimension, expected) => build(condition(expected)) };
}

/** `{"points":[...]}` or `{"batch":{"ids","vectors","payloads"}}`. */
function upsertBody(id: Schema<PointId>): Schema<Draft> {
  const point = object({ id: required(id), vector: required(rawVector), payload: optional(anyObject) });
  const columns = object({
    ids: required(list(id)),
    vectors: required(schema({ type: "array", items: rawVector.json }, readVectors)),
    payloads: optional(list(optional(anyObject).schema)),
  });
  const body = object({
    update_filter: byFilter,
    update_mode: optional(word(["upsert"], ["insert_only", "update_only"])),
    shard_key: shardKey,
    points: optional(list(point)),
    batch: optional(columns),
    if_version: ifVersion,
  });
  return mapped(body, ({ points, batch, if_version }, at): Draft => {
    if ((points === null) === (batch === null)) throw wrong(at, "must have either `points` or `batch`");
    const raw: readonly RawPoint[] =
      batch !== null
        ? fromColumns(batch, under(at, "batch"))
        : (points ?? []).map((given, i) => ({ ...given, at: under(at, "points", i, "vector") }));
    return {
      ifVersion: if_version,
      build: (dimension, version) => ({
        kind: "upsert",
        points: raw.map(({ id, vector, payload, at: place }) => ({
          id,
          vector: vectorFrom(vector, dimension, vectorAt(place, id)),
          payload,
        })),
        ...condition(version),
      }),
    };
  });
}

const vectorList = list(rawVector);

function readVectors(value: unknown, at: Place): readonly RawVector[] {
  if (isObject(value)) throw unsupported("named vectors", at);
  return vectorList.read(value, at);
}

interface Columns {
  readonly ids: readonly PointId[];
  readonly vectors: readonly RawVector[];
  readonly payloads: readonly (Payload | null)[] | null;
}

function fromColumns({ ids, vectors, payloads }: Columns, at: Place): readonly RawPoint[] {
  const sameLength = (name: string, length: number): void => {
    if (length !== ids.length)
      throw new ApiError(
        "BAD_REQUEST",
        `Wrong input: ${named(under(at, name))} has ${length} elements, but there are ${ids.length} ids`,
      );
  };
  sameLength("vectors", vectors.length);
  if (payloads !== null) sameLength("payloads", payloads.length);
  return ids.map((id, i) => ({
    id,
    vector: vectors[i] ?? [],
    payload: payloads?.[i] ?? null,
    at: under(at, "vectors", i),
  }));
}

/** An object with exactly one of these fields. */
function oneOf(kinds: Readonly<Record<string, Schema<Draft>>>): Schema<Draft> {
  const fields = Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, optional(kind)]));
  const shape = object({ ...fields, delete_vectors: lacking("points without a vector") });
  return mapped(shape, (operation, at) => {
    const drafts = Object.values(operation).filter((found) => found !== null);
    const [only] = drafts;
    if (only === undefined || drafts.length > 1)
      throw wrong(at, `must have exactly one of ${Object.keys(kinds).join(", ")}`);
    return only;
  });
}
