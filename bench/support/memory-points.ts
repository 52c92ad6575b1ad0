/** The model's points: what each operation does to them, how they are ordered, scored and shown. */
import { ApiError } from "../../src/api/errors.ts";
import type {
  Distance,
  JsonValue,
  Payload,
  PayloadSelector,
  PointId,
  WriteOp,
} from "../../src/cluster/types.ts";

export interface Point {
  readonly id: PointId;
  readonly version: number;
  readonly vector: Float32Array;
  readonly payload: Payload | null;
}

/** All operations on a copy, or an ApiError and the original untouched. */
export function applyAll(
  points: ReadonlyMap<PointId, Point>,
  operations: readonly WriteOp[],
  version: number,
): Map<PointId, Point> {
  const next = new Map(points);
  for (const operation of operations) applyOne(next, operation, version);
  return next;
}

function applyOne(points: Map<PointId, Point>, operation: WriteOp, version: number): void {
  const ids = "ids" in operation ? operation.ids : operation.points.map(({ id }) => id);
  if (operation.ifVersion !== undefined) checkVersions(points, ids, operation.ifVersion);
  const change = (edit: (payload: Payload | null) => Payload | null): void => {
    for (const id of ids) {
      const point = points.get(id);
      if (point !== undefined) points.set(id, { ...point, version, payload: edit(point.payload) });
    }
  };
  switch (operation.kind) {
    case "upsert":
      for (const point of operation.points) points.set(point.id, { ...point, version });
      return;
    case "updateVectors":
      for (const { id, vector } of operation.points) {
        const point = points.get(id);
        if (point === undefined)
          throw new ApiError("POINT_NOT_FOUND", `Not found: No point with id ${id} found`);
        points.set(id, { ...point, version, vector });
      }
      return;
    case "delete":
      for (const id of ids) points.delete(id);
      return;
    case "setPayload":
      change((payload) => merged(payload ?? {}, operation.key?.split(".") ?? [], operation.payload));
      return;
    case "overwritePayload":
      change(() => operation.payload);
      return;
    case "deletePayload":
      change((payload) =>
        payload === null ? null : select(payload, { kind: "exclude", keys: operation.keys }),
      );
      return;
    case "clearPayload":
      change(() => null);
      return;
  }
}

function checkVersions(points: ReadonlyMap<PointId, Point>, ids: readonly PointId[], wanted: number): void {
  for (const id of ids) {
    const version = points.get(id)?.version ?? 0;
    if (version !== wanted)
      throw new ApiError("VERSION_CONFLICT", `Conflict: point ${id} has version ${version}, not ${wanted}`);
  }
}

function merged(payload: Payload, path: readonly string[], addition: Payload): Payload {
  const [key, ...rest] = path;
  if (key === undefined) return { ...payload, ...addition };
  const inner = payload[key];
  return { ...payload, [key]: merged(isObject(inner) ? inner : {}, rest, addition) };
}

const isObject = (value: JsonValue | undefined): value is Payload =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The part of a payload that is asked for; keys are top-level ones or dotted paths. */
export function select(payload: Payload, selector: PayloadSelector): Payload | null {
  switch (selector.kind) {
    case "none":
      return null;
    case "all":
      return payload;
    case "include":
      return filtered(payload, "", (path) =>
        selector.keys.some((key) => path === key || path.startsWith(`${key}.`)),
      );
    case "exclude":
      return filtered(payload, "", (path) => !selector.keys.includes(path), true);
  }
}

function filtered(value: Payload, prefix: string, keep: (path: string) => boolean, deep = false): Payload {
  const out: [string, JsonValue][] = [];
  for (const [key, item] of Object.entries(value)) {
    const path = `${prefix}${key}`;
    if (keep(path)) {
      out.push([key, deep && isObject(item) ? filtered(item, `${path}.`, keep, deep) : item]);
    } else if (!deep && isObject(item)) {
      const inner = filtered(item, `${path}.`, keep);
      if (Object.keys(inner).length > 0) out.push([key, inner]);
    }
  }
  return Object.fromEntries(out);
}

export function score(distance: Distance, a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let squares = 0;
  let lengthA = 0;
  let lengthB = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    dot += x * y;
    squares += (x - y) * (x - y);
    lengthA += x * x;
    lengthB += y * y;
  }
  if (distance === "Dot") return dot;
  if (distance === "Euclid") return Math.sqrt(squares);
  return lengthA === 0 || lengthB === 0 ? 0 : dot / Math.sqrt(lengthA * lengthB);
}
