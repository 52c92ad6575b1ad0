/** proto/flotilla/v1/common.proto */
import type { PointId } from "../../api/types.ts";
import { optional, string, uint32, uint64, word } from "../wire/fields.ts";
import { many, mapped, message } from "../wire/message.ts";

/** null: neither a number nor a text was sent. Checked by those who know the limits. */
export const POINT_ID = mapped(
  message("PointId", { num: optional.uint64(1, ""), text: optional.string(2, "") }, "id"),
  ({ num, text }): PointId | null => num ?? text,
  (id) => (typeof id === "number" ? { num: id, text: null } : { num: null, text: id }),
);

export const SHARD_INDEX = message("ShardIndex", { shard: uint32(1), index: uint64(2) });

export const READ_OPTIONS = message("ReadOptions", {
  consistency: word(1, "Consistency", ["eventual", "session", "leader", "linearizable"]),
  session: many(2, SHARD_INDEX),
  timeoutMs: optional.uint32(3),
});

export const WRITE_OPTIONS = message("WriteOptions", {
  wait: optional.bool(1),
  timeoutMs: optional.uint32(2),
  idempotencyKey: string(3),
});

export const CALL_OPTIONS = message("CallOptions", { timeoutMs: optional.uint32(1) });

export const EMPTY = message("Empty", {});
