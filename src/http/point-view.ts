/** How points look from outside: Qdrant's Record and ScoredPoint, with a version in both. */
import type { PayloadSelector, ScoredPoint, StoredPoint } from "../api/types.ts";
import { shortest } from "../api/vectors.ts";

interface Shape {
  readonly withPayload: PayloadSelector;
  readonly withVector: boolean;
}

export const record = (point: StoredPoint, shape: Shape) => ({
  id: point.id,
  version: point.version,
  ...details(point, shape),
});

export const hit = (point: ScoredPoint, shape: Shape) => ({
  id: point.id,
  version: point.version,
  score: point.score,
  ...details(point, shape),
});

/** A payload that was asked for is at least an empty object. */
function details({ payload, vector }: StoredPoint, { withPayload, withVector }: Shape) {
  return {
    ...(withPayload.kind === "none" ? {} : { payload: payload ?? {} }),
    ...(withVector && vector !== undefined ? { vector: Array.from(vector, shortest) } : {}),
  };
}
