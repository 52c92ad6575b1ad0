/** Requests that write, as operations; `under` is where a request stands within a batch, for errors. */
import { ApiError } from "../api/errors.ts";
import type { Limits } from "../api/limits.ts";
import type { WriteOp } from "../api/types.ts";
import type * as messages from "./messages/points.ts";
import type { Of } from "./messages/points.ts";
import { idOf, idsOf, payloadOf, vectorOf } from "./point-fields.ts";
import { protoName } from "./wire/message.ts";

export interface Target {
  readonly limits: Limits;
  readonly dimension: number;
  readonly under: string;
}

const when = (ifVersion: number | null): { readonly ifVersion?: number } =>
  ifVersion === null ? {} : { ifVersion };

export function upsert(request: Of<typeof messages.UPSERT>, { limits, dimension, under }: Target): WriteOp {
  const points = request.points.map(({ id: sent, vector, payloadJson, version }, at) => {
    const place = (field: string) => (): string => `\`${under}points[${at}].${field}\``;
    const id = idOf(sent, limits, place("id"));
    if (version !== 0)
      throw new ApiError(
        "BAD_REQUEST",
        `Wrong input: ${place("version")()} cannot be chosen: use \`if_version\` to ask for one`,
      );
    return {
      id,
      vector: vectorOf(vector, dimension, () => `${place("vector")()} (id ${JSON.stringify(id)})`),
      payload: payloadJson === null ? null : payloadOf(payloadJson, limits, place("payload_json")),
    };
  });
  return { kind: "upsert", points, ...when(request.ifVersion) };
}

export function updateVectors(
  request: Of<typeof messages.UPDATE_VECTORS>,
  { limits, dimension, under }: Target,
): WriteOp {
  const points = request.points.map(({ id: sent, vector }, at) => {
    const place = `${under}points[${at}]`;
    const id = idOf(sent, limits, () => `\`${place}.id\``);
    const where = (): string => `\`${place}.vector\` (id ${JSON.stringify(id)})`;
    return { id, vector: vectorOf(vector, dimension, where) };
  });
  return { kind: "updateVectors", points, ...when(request.ifVersion) };
}

export const deletion = (request: Of<typeof messages.DELETE>, { limits, under }: Target): WriteOp => ({
  kind: "delete",
  ids: idsOf(request.ids, limits, under),
  ...when(request.ifVersion),
});

export const setPayload = (request: Of<typeof messages.SET_PAYLOAD>, { limits, under }: Target): WriteOp => ({
  kind: "setPayload",
  ids: idsOf(request.ids, limits, under),
  payload: payloadOf(request.payloadJson, limits, () => `\`${under}payload_json\``),
  ...(request.key === null ? {} : { key: request.key }),
  ...when(request.ifVersion),
});

export const overwritePayload = (
  request: Of<typeof messages.OVERWRITE_PAYLOAD>,
  { limits, under }: Target,
): WriteOp => ({
  kind: "overwritePayload",
  ids: idsOf(request.ids, limits, under),
  payload: payloadOf(request.payloadJson, limits, () => `\`${under}payload_json\``),
  ...when(request.ifVersion),
});

export const deletePayload = (
  request: Of<typeof messages.DELETE_PAYLOAD>,
  { limits, under }: Target,
): WriteOp => ({
  kind: "deletePayload",
  ids: idsOf(request.ids, limits, under),
  keys: request.keys,
  ...when(request.ifVersion),
});

export const clearPayload = (
  request: Of<typeof messages.CLEAR_PAYLOAD>,
  { limits, under }: Target,
): WriteOp => ({
  kind: "clearPayload",
  ids: idsOf(request.ids, limits, under),
  ...when(request.ifVersion),
});

/** One operation of a batch. What only the batch decides must not be said in it. */
export function operation(sent: Of<typeof messages.OPERATION>, target: Target): WriteOp {
  const [name, part] = Object.entries(sent).find(([, value]) => value !== null) ?? [null, null];
  if (name === null || part === null) throw nothing(target);
  if (part.collection !== "" || part.options !== null)
    throw new ApiError(
      "BAD_REQUEST",
      `Wrong input: \`${target.under}${protoName(name)}\` must have neither \`collection\` nor \`options\`: those of the batch count`,
    );
  const inside = { ...target, under: `${target.under}${protoName(name)}.` };
  if (sent.upsert !== null) return upsert(sent.upsert, inside);
  if (sent.delete !== null) return deletion(sent.delete, inside);
  if (sent.updateVectors !== null) return updateVectors(sent.updateVectors, inside);
  if (sent.setPayload !== null) return setPayload(sent.setPayload, inside);
  if (sent.overwritePayload !== null) return overwritePayload(sent.overwritePayload, inside);
  if (sent.deletePayload !== null) return deletePayload(sent.deletePayload, inside);
  if (sent.clearPayload !== null) return clearPayload(sent.clearPayload, inside);
  throw nothing(target);
}

const nothing = ({ under }: Target): ApiError =>
  new ApiError("BAD_REQUEST", `Wrong input: \`${under.slice(0, -1)}\` names no operation`);
