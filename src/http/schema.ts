/**
 * What a request may look like, written once: a schema reads a parsed JSON value (or says what is wrong with it, and
 * where) and describes itself as JSON Schema, so that documentation and validation cannot differ.
 */
import { closest, distance } from "fastest-levenshtein";
import { ApiError } from "../api/errors.ts";
import type { JsonValue } from "../api/types.ts";

/** Where a value stands; a linked list, so that nothing is put together unless there is an error to report. */
export interface Place {
  readonly parent: Place | null;
  readonly key: string | number;
}

/** "`points[3].vector`", or "the body" for the outermost value. */
export function named(place: Place): string {
  let path = "";
  let at: Place = place;
  for (; at.parent !== null; at = at.parent)
    path = typeof at.key === "number" ? `[${at.key}]${path}` : `.${at.key}${path}`;
  return path === "" ? String(at.key) : `\`${path.replace(/^\./, "")}\``;
}

export const BODY: Place = { parent: null, key: "the body" };
export const QUERY: Place = { parent: null, key: "the query string" };

export type JsonSchema = { readonly [key: string]: JsonValue };

export interface Schema<T> {
  /** Throws BAD_REQUEST for the wrong type or an unknown field, UNSUPPORTED for what Flotilla does not have. */
  read(value: unknown, at: Place): T;
  readonly json: JsonSchema;
}

export const wrong = (at: Place, what: string): ApiError =>
  new ApiError("BAD_REQUEST", `Wrong input: ${named(at)} ${what}`);

export const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "an array"
      : typeof value === "object"
        ? "an object"
        : `a ${typeof value}`;

export function unsupported(feature: string, at: Place): ApiError {
  return new ApiError("UNSUPPORTED", `Not supported: ${named(at)}: Flotilla does not have ${feature}`);
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

// ------------------------------------------------------------------------------------------------------- values

export const boolean: Schema<boolean> = {
  json: { type: "boolean" },
  read(value, at) {
    if (typeof value !== "boolean") throw wrong(at, `must be true or false, not ${kindOf(value)}`);
    return value;
  },
};

export const text: Schema<string> = {
  json: { type: "string" },
  read(value, at) {
    if (typeof value !== "string") throw wrong(at, `must be a string, not ${kindOf(value)}`);
    return value;
  },
};

export const number: Schema<number> = {
  json: { type: "number" },
  read(value, at) {
    if (typeof value !== "number") throw wrong(at, `must be a number, not ${kindOf(value)}`);
    return value;
  },
};

/** A whole number of at least `min`; one out of range is INVALID. */
export function whole(min: number): Schema<number> {
  return {
    json: { type: "integer", minimum: min, maximum: Number.MAX_SAFE_INTEGER },
    read(value, at) {
      if (typeof value !== "number") throw wrong(at, `must be a whole number, not ${kindOf(value)}`);
      if (!Number.isSafeInteger(value) || value < min)
        throw new ApiError(
          "INVALID",
          `Wrong input: ${named(at)} must be a whole number from ${min} to ${Number.MAX_SAFE_INTEGER}, not ${value}`,
        );
      return value;
    },
  };
}

/** One of the words; `absent` names words that Qdrant has and Flotilla does not. */
export function word<const W extends string>(words: readonly W[], absent: readonly string[] = []): Schema<W> {
  return {
    json: { type: "string", enum: [...words] },
    read(value, at) {
      const found = words.find((candidate) => candidate === value);
      if (found !== undefined) return found;
      if (typeof value === "string" && absent.includes(value)) throw unsupported(`\`${value}\` here`, at);
      throw wrong(at, `must be one of ${words.join(", ")}, not ${shown(value)}`);
    },
  };
}

/** An object with any content: a payload. */
export const anyObject: Schema<{ readonly [key: string]: JsonValue }> = {
  json: { type: "object", additionalProperties: true },
  read(value, at) {
    if (!isObject(value)) throw wrong(at, `must be an object, not ${kindOf(value)}`);
    return value as { readonly [key: string]: JsonValue };
  },
};

export function list<T>(item: Schema<T>): Schema<readonly T[]> {
  return {
    json: { type: "array", items: item.json },
    read(value, at) {
      if (!Array.isArray(value)) throw wrong(at, `must be an array, not ${kindOf(value)}`);
      return value.map((element: unknown, key) => item.read(element, { parent: at, key }));
    },
  };
}

/** The same values, turned into something else; `at` is where they stand. */
export const mapped = <T, U>(inner: Schema<T>, turn: (value: T, at: Place) => U): Schema<U> => ({
  json: inner.json,
  read: (value, at) => turn(inner.read(value, at), at),
});

/** A schema of its own making. */
export const schema = <T>(json: JsonSchema, read: (value: unknown, at: Place) => T): Schema<T> => ({
  json,
  read,
});

function shown(value: unknown): string {
  if (typeof value !== "string") return kindOf(value);
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
}

// ------------------------------------------------------------------------------------------------------- objects

export interface Field<T> {
  readonly schema: Schema<T>;
  readonly required: boolean;
  /** Known to be refused: nothing to propose to who used another name. */
  readonly lacking?: true;
}

export const required = <T>(schema: Schema<T>): Field<T> => ({ schema, required: true });

/** Absent and null are null. */
export const optional = <T>(schema: Schema<T>): Field<T | null> => ({
  required: false,
  schema: {
    json: { anyOf: [schema.json, { type: "null" }] },
    read: (value, at) => (value === undefined || value === null ? null : schema.read(value, at)),
  },
});

/** Absent and null are the fallback. */
export const fallback = <T extends JsonValue>(schema: Schema<T>, value: T): Field<T> => ({
  required: false,
  schema: {
    json: { ...schema.json, default: value },
    read: (given, at) => (given === undefined || given === null ? value : schema.read(given, at)),
  },
});

/** Something Qdrant has and Flotilla does not: refused by name, unless null or a value that asks for nothing. */
export const lacking = (feature: string, ...harmless: readonly JsonValue[]): Field<null> => ({
  required: false,
  lacking: true,
  schema: {
    json: { description: `Not supported: ${feature}.`, enum: [null, ...harmless] },
    read(value, at) {
      if (value === undefined || value === null) return null;
      if (harmless.some((accepted) => JSON.stringify(accepted) === JSON.stringify(value))) return null;
      const only =
        harmless.length === 0 ? "" : ` (only ${harmless.map((v) => JSON.stringify(v)).join(" or ")})`;
      throw unsupported(feature + only, at);
    },
  },
});

type Fields = Readonly<Record<string, Field<unknown>>>;
export type Shape<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never;
};

/** An object with these fields and no others; an unknown one is an error that names the nearest known one. */
export function object<F extends Fields>(fields: F): Schema<Shape<F>> {
  const entries = Object.entries(fields);
  const known = new Set(Object.keys(fields));
  const usable = entries.filter(([, field]) => field.lacking === undefined).map(([name]) => name);
  return {
    json: {
      type: "object",
      additionalProperties: false,
      required: entries.filter(([, field]) => field.required).map(([name]) => name),
      properties: Object.fromEntries(entries.map(([name, field]) => [name, field.schema.json])),
    },
    read(value, at) {
      if (!isObject(value)) throw wrong(at, `must be an object, not ${kindOf(value)}`);
      for (const key of Object.keys(value)) if (!known.has(key)) throw unknown(key, usable, at);
      const out: Record<string, unknown> = {};
      for (const [name, field] of entries) {
        const given = value[name];
        if (given === undefined && field.required) throw wrong(at, `lacks the field \`${name}\``);
        out[name] = field.schema.read(given, { parent: at, key: name });
      }
      return out as Shape<F>;
    },
  };
}

function unknown(key: string, known: readonly string[], at: Place): ApiError {
  const shown = key.length > 60 ? `${key.slice(0, 60)}...` : key;
  const meant = nearest(key.slice(0, 60), known);
  const hint =
    meant !== null
      ? `, did you mean \`${meant}\`?`
      : known.length === 0
        ? ", none are known"
        : `, known are ${known.join(", ")}`;
  return wrong(at, `has an unknown ${at === QUERY ? "parameter" : "field"} \`${shown}\`${hint}`);
}

/** The known name that was probably meant: one with a part in common (`ef`, `hnsw_ef`), or a few letters off. */
function nearest(key: string, known: readonly string[]): string | null {
  if (known.length === 0) return null;
  const related = known.find((name) => key.length > 1 && (name.includes(key) || key.includes(name)));
  if (related !== undefined) return related;
  const best = closest(key, known);
  return distance(key, best) <= Math.max(2, best.length / 2) ? best : null;
}
