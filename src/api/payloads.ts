/** Payloads as they come from outside: bounded, without keys that other programs stumble over, and valid text. */
import { ApiError } from "./errors.ts";
import { isBroken } from "./ids.ts";
import { allowed, ENTRY_LIMITS, type Limits } from "./limits.ts";
import type { JsonValue, Payload } from "./types.ts";

/** A byte of a string takes at most so many of JSON (`\u0001`); a number, which counts 8, less than 4 times that. */
const JSON_PER_BYTE_MAX = 6;

/**
 * Throws when the payload is too large (TOO_LARGE) or nested too deeply (INVALID), or names a key that would change an
 * object's prototype in a careless reader (BAD_REQUEST). Size counts the UTF-8 of keys and strings, 8 bytes per number,
 * and 1 for everything else, which is close to its JSON; where it is not, the JSON must fit as well.
 */
export function checkPayload(
  payload: Payload,
  limits: Limits,
  most: "payloadBytes" | "metadataBytes",
  where: () => string,
): void {
  const bytes = measure(payload, 1, limits, where);
  if (bytes > limits[most])
    throw new ApiError("TOO_LARGE", `Wrong input: ${where()} has ${bytes} bytes, ${allowed(limits, most)}`);
  const { payloadJsonBytes } = ENTRY_LIMITS;
  if (bytes * JSON_PER_BYTE_MAX <= payloadJsonBytes) return;
  const json = Buffer.byteLength(JSON.stringify(payload));
  if (json > payloadJsonBytes)
    throw new ApiError(
      "TOO_LARGE",
      `Wrong input: ${where()} has ${json} bytes as JSON, at most ${payloadJsonBytes} fit into a log entry`,
    );
}

/**
 * A path into a payload: keys joined by dots. INVALID when empty or no text, BAD_REQUEST when a part of it is the
 * name of an object's prototype, UNSUPPORTED for Qdrant's steps into arrays (`a[].b`, `a[0]`).
 */
export function checkPath(path: string, limits: Limits, where: () => string): void {
  if (path === "") throw new ApiError("INVALID", `Wrong input: ${where()} must not be empty`);
  checkPayload({ path }, limits, "payloadBytes", where);
  if (path.split(".").includes("__proto__"))
    throw new ApiError("BAD_REQUEST", `Wrong input: ${where()} must not have the key \`__proto__\``);
  if (/\[[0-9]*\]/.test(path))
    throw new ApiError("UNSUPPORTED", `Not supported: ${where()}: Flotilla does not have paths into arrays`);
}

function measure(value: JsonValue, depth: number, limits: Limits, where: () => string): number {
  if (typeof value === "string") return text(value, where);
  if (typeof value === "number") return finite(value, where);
  if (value === null || typeof value === "boolean") return 1;
  if (depth > limits.payloadDepth)
    throw new ApiError(
      "INVALID",
      `Wrong input: ${where()} is nested too deeply, ${allowed(limits, "payloadDepth")}`,
    );
  let bytes = 2;
  if (isArray(value)) {
    for (const item of value) bytes += 1 + measure(item, depth + 1, limits, where);
    return bytes;
  }
  for (const key of Object.keys(value)) {
    const item = value[key] as JsonValue;
    refuseTrap(key, item, where);
    bytes += 2 + text(key, where) + measure(item, depth + 1, limits, where);
  }
  return bytes;
}

const isArray = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value);

function text(value: string, where: () => string): number {
  if (isBroken(value))
    throw new ApiError("INVALID", `Wrong input: ${where()} has half of a surrogate pair, which is no text`);
  return 2 + Buffer.byteLength(value);
}

function finite(value: number, where: () => string): number {
  // 1e400 is JSON, but no number that could be given back.
  if (!Number.isFinite(value))
    throw new ApiError("INVALID", `Wrong input: ${where()} has a number beyond the range of 64-bit floats`);
  return 8;
}

function refuseTrap(key: string, value: JsonValue, where: () => string): void {
  const trap =
    key === "__proto__" ||
    (key === "constructor" &&
      typeof value === "object" &&
      value !== null &&
      Object.hasOwn(value, "prototype"));
  if (trap) throw new ApiError("BAD_REQUEST", `Wrong input: ${where()} must not have the key \`${key}\``);
}
