/** Payloads as canonical JSON: equal payloads have equal bytes, whatever their history. */
import type { JsonValue, Payload, PayloadSelector } from "./types.ts";

/** Keys sorted by code unit, no white space, numbers as ECMAScript prints them. */
export function canonicalJson(value: JsonValue): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`);
  return `{${members.join(",")}}`;
}

/** Null when the text is not a JSON object, or nests deeper than `depthMax`. */
export function parsePayload(text: string, depthMax: number): Payload | null {
  let parsed: JsonValue;
  try {
    parsed = JSON.parse(text) as JsonValue;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return null;
    throw thrown;
  }
  return isObject(parsed) && isWithinDepth(parsed, depthMax) ? parsed : null;
}

function isWithinDepth(value: JsonValue, left: number): boolean {
  if (value === null || typeof value !== "object") return true;
  return left > 0 && Object.values(value).every((inner: JsonValue) => isWithinDepth(inner, left - 1));
}

export function isObject(value: JsonValue | undefined): value is Payload {
  return typeof value === "object" && value !== null && !isList(value);
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** `update`'s keys replace those of the object at `path` (dotted), which is made where it is missing. */
export function mergePayload(payload: Payload, update: Payload, path: string | undefined): Payload {
  if (path === undefined) return { ...payload, ...update };
  const [head = "", ...rest] = path.split(".");
  const inner = payload[head];
  const base = isObject(inner) ? inner : {};
  return withKey(payload, head, mergePayload(base, update, rest.length === 0 ? undefined : rest.join(".")));
}

/** Without the key, or without what a dotted path leads to; a literal key wins over a path. */
export function withoutKey(payload: Payload, path: string): Payload {
  if (Object.hasOwn(payload, path))
    return Object.fromEntries(Object.entries(payload).filter(([k]) => k !== path));
  const dot = path.indexOf(".");
  if (dot < 0) return payload;
  const head = path.slice(0, dot);
  const inner = payload[head];
  if (!Object.hasOwn(payload, head) || !isObject(inner)) return payload;
  return withKey(payload, head, withoutKey(inner, path.slice(dot + 1)));
}

// A computed key, unlike an assignment, does not call the setter behind "__proto__".
function withKey(payload: Payload, key: string, value: JsonValue): Payload {
  return { ...payload, [key]: value };
}

/** What of a payload an answer carries; null when there is none or none was asked for. */
export function selectPayload(payload: Payload | null, selector: PayloadSelector): Payload | null {
  if (payload === null) return null;
  switch (selector.kind) {
    case "none":
      return null;
    case "all":
      return payload;
    case "include":
      return selector.keys.reduce<Payload>((out, key) => include(out, payload, key), {});
    case "exclude":
      return selector.keys.reduce<Payload>(withoutKey, payload);
  }
}

function include(out: Payload, from: Payload, path: string): Payload {
  if (Object.hasOwn(from, path)) return withKey(out, path, from[path] ?? null);
  const dot = path.indexOf(".");
  if (dot < 0) return out;
  const head = path.slice(0, dot);
  const inner = from[head];
  if (!Object.hasOwn(from, head) || !isObject(inner)) return out;
  const base = out[head];
  const picked = include(isObject(base) ? base : {}, inner, path.slice(dot + 1));
  return Object.keys(picked).length === 0 ? out : withKey(out, head, picked);
}
