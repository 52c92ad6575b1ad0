/** Fields that several requests about points have in common. */
import { pointId } from "../api/ids.ts";
import type { Limits } from "../api/limits.ts";
import type { PayloadSelector, PointId } from "../api/types.ts";
import {
  boolean,
  fallback,
  isObject,
  kindOf,
  lacking,
  list,
  mapped,
  named,
  object,
  required,
  schema,
  text,
  unsupported,
  wrong,
  type Field,
  type Place,
  type Schema,
} from "./schema.ts";

/** Elements not looked at yet: `vectorFrom` checks and converts them in one pass, once the dimension is known. */
export type RawVector = readonly unknown[];

export const rawVector: Schema<RawVector> = schema(
  { type: "array", items: { type: "number", format: "float" } },
  (value, at) => {
    if (Array.isArray(value)) {
      if (Array.isArray(value[0])) throw unsupported("multivectors", at);
      return value as readonly unknown[];
    }
    if (isObject(value)) throw unsupported(vectorKind(value), at);
    throw wrong(at, `must be an array of numbers, not ${kindOf(value)}`);
  },
);

function vectorKind(value: Readonly<Record<string, unknown>>): string {
  if ("indices" in value) return "sparse vectors";
  const lists = Object.values(value).some((part) => Array.isArray(part));
  const inference = !lists && ["text", "image", "object", "model"].some((key) => key in value);
  return inference ? "inference: send the vector itself" : "named vectors";
}

/** How an error names a vector: its place in the body and its point. */
export const vectorAt =
  (at: Place, id: PointId): (() => string) =>
  () =>
    `${named(at)} (id ${JSON.stringify(id)})`;

export const under = (parent: Place, ...keys: readonly (string | number)[]): Place =>
  keys.reduce<Place>((place, key) => ({ parent: place, key }), parent);

export const idSchema = (limits: Limits): Schema<PointId> =>
  schema(
    { anyOf: [{ type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER }, { type: "string" }] },
    (value, at) => pointId(value, limits, () => named(at)),
  );

const keys = list(text);
const included = mapped(object({ include: required(keys) }), ({ include }): PayloadSelector => ({
  kind: "include",
  keys: include,
}));
const excluded = mapped(object({ exclude: required(keys) }), ({ exclude }): PayloadSelector => ({
  kind: "exclude",
  keys: exclude,
}));

const selector: Schema<PayloadSelector> = schema(
  { anyOf: [boolean.json, keys.json, included.json, excluded.json] },
  (value, at) => {
    if (typeof value === "boolean") return { kind: value ? "all" : "none" };
    if (Array.isArray(value)) return { kind: "include", keys: keys.read(value, at) };
    if (!isObject(value))
      throw wrong(at, `must be true, false, an array of keys, or an object, not ${kindOf(value)}`);
    if ("include" in value && "exclude" in value) throw wrong(at, "must have either `include` or `exclude`");
    return ("exclude" in value ? excluded : included).read(value, at);
  },
);

/** `with_payload`: absent means all or nothing, by request. */
export const withPayload = (absent: boolean): Field<PayloadSelector> => ({
  required: false,
  schema: {
    json: { ...selector.json, default: absent },
    read: (value, at) =>
      value === undefined || value === null ? { kind: absent ? "all" : "none" } : selector.read(value, at),
  },
});

const vectorWanted: Schema<boolean> = schema(boolean.json, (value, at) => {
  if (Array.isArray(value)) throw unsupported("named vectors", at);
  return boolean.read(value, at);
});

export const withVector = fallback(vectorWanted, false);

export const shardKey = lacking("shard keys");
/** An empty filter asks for everything, which is what reads do. */
export const readFilter = lacking("filters yet", {});
