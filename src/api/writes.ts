/** Writes: limits, and batches in which a point is named more than once. */
import { ApiError } from "./errors.ts";
import { within, type Limits } from "./limits.ts";
import { checkIdempotencyKey } from "./names.ts";
import { checkPath, checkPayload } from "./payloads.ts";
import type { PayloadSelector, PointId, WriteOp, WriteOptions } from "./types.ts";

/**
 * The operations with each point at most once per operation (the last one counts). Throws INVALID for an empty
 * operation, TOO_LARGE or INVALID over a limit, UNSUPPORTED for a condition whose end nobody waits for.
 */
export function checkedWrite(
  operations: readonly WriteOp[],
  options: WriteOptions,
  limits: Limits,
): readonly WriteOp[] {
  if (options.idempotencyKey !== null) checkIdempotencyKey(options.idempotencyKey, limits);
  if (operations.length === 0) throw empty("operation");
  // Whether a version is the one asked for is known when the write is applied; a success before that may be false.
  if (!options.wait && operations.some(({ ifVersion }) => ifVersion !== undefined))
    throw new ApiError(
      "UNSUPPORTED",
      "Not supported: `wait` false with `if_version`, If-Match or If-None-Match: only an applied write can say whether the version was the one asked for; leave `wait` out",
    );
  within(limits, "batchOperations", operations.length, "the number of operations", "TOO_LARGE");
  let points = 0;
  for (const operation of operations) points += sizeOf(operation);
  within(limits, "batchPoints", points, "the number of points", "TOO_LARGE");
  return operations.map((operation) => checkedOperation(operation, limits));
}

const sizeOf = (operation: WriteOp): number =>
  operation.kind === "upsert" || operation.kind === "updateVectors"
    ? operation.points.length
    : operation.ids.length;

function checkedOperation(operation: WriteOp, limits: Limits): WriteOp {
  if (sizeOf(operation) === 0) throw empty("point");
  if (
    operation.ifVersion !== undefined &&
    !(Number.isSafeInteger(operation.ifVersion) && operation.ifVersion >= 0)
  )
    throw new ApiError(
      "INVALID",
      `Wrong input: \`if_version\` must be a whole number, not ${operation.ifVersion}`,
    );
  switch (operation.kind) {
    case "upsert":
      operation.points.forEach(({ id, payload }, at) => {
        if (payload !== null)
          checkPayload(
            payload,
            limits,
            "payloadBytes",
            () => `the payload of point ${at} (id ${JSON.stringify(id)})`,
          );
      });
      return { ...operation, points: lastOfEach(operation.points) };
    case "updateVectors":
      return { ...operation, points: lastOfEach(operation.points) };
    case "setPayload":
      if (operation.key !== undefined) checkPath(operation.key, limits, () => "`key`");
      checkPayload(operation.payload, limits, "payloadBytes", () => "`payload`");
      return { ...operation, ids: unique(operation.ids) };
    case "overwritePayload":
      checkPayload(operation.payload, limits, "payloadBytes", () => "`payload`");
      return { ...operation, ids: unique(operation.ids) };
    case "deletePayload":
      if (operation.keys.length === 0) throw empty("key");
      within(limits, "selectorKeys", operation.keys.length, "the number of keys");
      for (const key of operation.keys) checkPath(key, limits, () => "a key of `keys`");
      return { ...operation, ids: unique(operation.ids) };
    case "delete":
    case "clearPayload":
      return { ...operation, ids: unique(operation.ids) };
  }
}

/** INVALID when more keys are named than `limits.selector_keys`, or one is no path. */
export function checkSelector(selector: PayloadSelector, limits: Limits): void {
  if (selector.kind === "include" || selector.kind === "exclude") {
    within(limits, "selectorKeys", selector.keys.length, "the number of keys in `with_payload`");
    for (const key of selector.keys) checkPath(key, limits, () => "a key of `with_payload`");
  }
}

const unique = (ids: readonly PointId[]): readonly PointId[] => [...new Set(ids)];

function lastOfEach<P extends { readonly id: PointId }>(points: readonly P[]): readonly P[] {
  const last = new Map<PointId, P>();
  for (const point of points) last.set(point.id, point);
  return last.size === points.length ? points : [...last.values()];
}

const empty = (what: string): ApiError =>
  new ApiError("INVALID", `Wrong input: Empty update request, at least one ${what} is needed`);
