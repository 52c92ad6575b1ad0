/** Point ids as they come from outside: an unsigned integer up to 2^53 - 1, a UUID, or any other string. */
import { ApiError } from "./errors.ts";
import { allowed, type Limits } from "./limits.ts";
import type { PointId } from "./types.ts";

const HYPHENATED = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const SIMPLE = /^[0-9a-f]{32}$/i;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Whether the string has a half of a surrogate pair, which no UTF-8 can hold. */
export const isBroken = (text: string): boolean => LONE_SURROGATE.test(text);

/**
 * A UUID in any of the forms Qdrant reads (hyphenated, 32 hex digits, `{...}`, `urn:uuid:...`; any case) as lower
 * case with hyphens, so that all of them name one point; any other string as it is.
 */
export function canonical(id: string): string {
  if (id.length < 32 || id.length > 45) return id;
  const bare = id.startsWith("{") && id.endsWith("}") ? id.slice(1, -1) : id.replace(/^urn:uuid:/i, "");
  if (HYPHENATED.test(bare)) return bare.toLowerCase();
  if (bare !== id || !SIMPLE.test(bare)) return id;
  const hex = bare.toLowerCase();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Throws BAD_REQUEST for another type, INVALID for what is out of range; `where` names the place. */
export function pointId(value: unknown, limits: Limits, where: () => string): PointId {
  if (typeof value === "number") {
    // JSON has a -0, which is the id 0 and not one of its own.
    if (Number.isSafeInteger(value) && value >= 0) return value === 0 ? 0 : value;
    // A larger number was rounded by the JSON parser already: taking it would name another point.
    const why = value > Number.MAX_SAFE_INTEGER ? " (send larger ones as strings)" : "";
    throw new ApiError(
      "INVALID",
      `Wrong input: ${where()} must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}${why} or a string, not ${value}`,
    );
  }
  if (typeof value !== "string")
    throw new ApiError("BAD_REQUEST", `Wrong input: ${where()} must be a whole number or a string`);
  if (value === "") throw new ApiError("INVALID", `Wrong input: ${where()} must not be an empty string`);
  if (value.length * 3 > limits.idBytes) {
    const bytes = Buffer.byteLength(value);
    if (bytes > limits.idBytes)
      throw new ApiError(
        "INVALID",
        `Wrong input: ${where()} has ${bytes} bytes, ${allowed(limits, "idBytes")}`,
      );
  }
  if (isBroken(value))
    throw new ApiError("INVALID", `Wrong input: ${where()} has half of a surrogate pair, which is no text`);
  return canonical(value);
}

/**
 * An id in a URL path. Digits only (no leading zero) are the number; a segment in double quotes is the string
 * between them, read as JSON, so that the string `"42"` can be named too; everything else is that string.
 */
export function pointIdFromPath(segment: string, limits: Limits): PointId {
  const where = (): string => "the point id in the path";
  if (/^(0|[1-9][0-9]*)$/.test(segment)) return pointId(Number(segment), limits, where);
  if (segment.length >= 2 && segment.startsWith('"') && segment.endsWith('"')) {
    return pointId(unquoted(segment), limits, where);
  }
  return pointId(segment, limits, where);
}

function unquoted(segment: string): unknown {
  try {
    return JSON.parse(segment);
  } catch (cause) {
    throw new ApiError(
      "BAD_REQUEST",
      "Wrong input: the quoted point id in the path is not a JSON string",
      {},
      { cause },
    );
  }
}
