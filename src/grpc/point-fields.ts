/** From what messages hold to the words of the domain, and back. */
import { ApiError } from "../api/errors.ts";
import { pointId } from "../api/ids.ts";
import { parseJson } from "../api/json.ts";
import type { Limits } from "../api/limits.ts";
import type { Payload, PayloadSelector, PointId, ScoredPoint, StoredPoint } from "../api/types.ts";
import { checkedVector } from "../api/vectors.ts";
import type { PAYLOAD_SELECTOR, POINT, SCORED_POINT } from "./messages/points.ts";
import type { Of } from "./messages/points.ts";

type Where = () => string;

export function idOf(sent: PointId | null, limits: Limits, where: Where): PointId {
  if (sent === null) throw new ApiError("BAD_REQUEST", `Wrong input: ${where()} lacks \`num\` or \`text\``);
  return pointId(sent, limits, where);
}

export const idsOf = (sent: readonly (PointId | null)[], limits: Limits, under = ""): readonly PointId[] =>
  sent.map((id, at) => idOf(id, limits, () => `\`${under}ids[${at}]\``));

export const vectorOf = (vector: Float32Array, dimension: number, where: Where): Float32Array =>
  checkedVector(vector, dimension, where);

/** JSON of an object. */
export function payloadOf(json: string, limits: Limits, where: Where): Payload {
  const place = where();
  const value = parseJson(Buffer.from(json), limits, place);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ApiError("BAD_REQUEST", `Wrong input: ${place} must be JSON of an object`);
  return value as Payload;
}

/** `absent`: what it means not to say. */
export function selectorOf(
  sent: Of<typeof PAYLOAD_SELECTOR> | null,
  absent: "all" | "none",
  where: string,
): PayloadSelector {
  const kind = sent?.mode ?? absent;
  const keys = sent?.keys ?? [];
  if (kind === "include" || kind === "exclude") return { kind, keys };
  if (keys.length > 0)
    throw new ApiError(
      "BAD_REQUEST",
      `Wrong input: \`${where}\` has keys, and the mode neither MODE_INCLUDE nor MODE_EXCLUDE`,
    );
  return { kind };
}

interface Shape {
  readonly withPayload: PayloadSelector;
  readonly withVector: boolean;
}

const NO_VECTOR = new Float32Array(0);

const details = ({ id, version, payload, vector }: StoredPoint, { withPayload, withVector }: Shape) => ({
  id,
  version,
  vector: withVector && vector !== undefined ? vector : NO_VECTOR,
  // A payload that was asked for is at least an empty object.
  payloadJson: withPayload.kind === "none" ? null : JSON.stringify(payload ?? {}),
});

export const point = (stored: StoredPoint, shape: Shape): Of<typeof POINT> => details(stored, shape);

export const scored = (hit: ScoredPoint, shape: Shape): Of<typeof SCORED_POINT> => ({
  score: hit.score,
  ...details(hit, shape),
});
