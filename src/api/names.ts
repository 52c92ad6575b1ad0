/** Names that users choose. */
import { ApiError } from "./errors.ts";
import { isBroken } from "./ids.ts";
import { within, type Limits } from "./limits.ts";

const FORBIDDEN = /[\u0000-\u001f\u007f<>:"/\\|?*]/;

/** Throws INVALID for a name a collection cannot have. */
export function checkCollectionName(name: string, limits: Limits): void {
  const bad = (why: string): ApiError => new ApiError("INVALID", `Wrong input: a collection name ${why}`);
  if (name === "") throw bad("must not be empty");
  within(limits, "nameBytes", Buffer.byteLength(name), "the length of the collection name");
  const forbidden = FORBIDDEN.exec(name);
  if (forbidden !== null)
    throw bad(
      `must not have control characters or any of <>:"/\\|?*, but has ${JSON.stringify(forbidden[0])}`,
    );
  if (isBroken(name)) throw bad("must be text, but has half of a surrogate pair");
  if (name === "." || name === "..") throw bad("must not be `.` or `..`, which have a meaning in paths");
  if (name.trim() !== name) throw bad("must not begin or end with white space");
}

/** The catalogue's log has no place for a larger one; nodes are numbered from 1. */
const NODE_ID_MAX = 65_535;

/** Throws INVALID for a number that no node can have. */
export function checkNodeId(nodeId: number): void {
  if (nodeId >= 1 && nodeId <= NODE_ID_MAX && Number.isInteger(nodeId)) return;
  throw new ApiError("INVALID", `Wrong input: a node id is a whole number from 1 to 65535, not ${nodeId}`);
}

/** Throws unless it has 1 to `limits.idempotency_key_bytes` printable ASCII characters. */
export function checkIdempotencyKey(key: string, limits: Limits): void {
  if (!/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(key))
    throw new ApiError(
      "BAD_REQUEST",
      "Wrong input: Idempotency-Key must have printable ASCII characters only",
    );
  within(limits, "idempotencyKeyBytes", key.length, "the length of Idempotency-Key");
}
