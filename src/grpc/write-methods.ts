/** The writes of the service Points. */
import type { Limits } from "../api/limits.ts";
import type { WriteOp } from "../api/types.ts";
import { receipt, writeOptions } from "./call-options.ts";
import type { WRITE_OPTIONS } from "./messages/common.ts";
import * as messages from "./messages/points.ts";
import type { Of } from "./messages/points.ts";
import { method, onCollection, type Method } from "./method.ts";
import * as operations from "./operations.ts";
import type { Message } from "./wire/message.ts";

interface WriteRequest {
  readonly collection: string;
  readonly options: Of<typeof WRITE_OPTIONS> | null;
}

export function writeMethods(limits: Limits): readonly Method[] {
  function writing<Q extends WriteRequest>(
    name: string,
    request: Message<Q>,
    build: (request: Q, target: operations.Target) => WriteOp,
    adds = true,
  ): Method {
    return method({
      service: "Points",
      name,
      rule: onCollection("write"),
      adds,
      request,
      answer: messages.WRITE_ANSWER,
      async handle(call) {
        const { dimension } = call.service.collection(call.permit).vectors;
        const built = build(call.request, { limits, dimension, under: "" });
        return receipt(await call.service.write(call.permit, [built], writeOptions(call)));
      },
    });
  }
  return [
    writing("Upsert", messages.UPSERT, operations.upsert),
    method({
      service: "Points",
      name: "UpsertStream",
      rule: onCollection("write"),
      streams: true,
      request: messages.UPSERT,
      answer: messages.UPSERT_STREAM_ANSWER,
      async handle(call) {
        const { dimension } = call.service.collection(call.permit).vectors;
        const built = operations.upsert(call.request, { limits, dimension, under: "" });
        const written = await call.service.write(call.permit, [built], writeOptions(call));
        return { message: call.number, ...receipt(written) };
      },
    }),
    writing("Delete", messages.DELETE, operations.deletion, false),
    writing("UpdateVectors", messages.UPDATE_VECTORS, operations.updateVectors),
    writing("SetPayload", messages.SET_PAYLOAD, operations.setPayload),
    writing("OverwritePayload", messages.OVERWRITE_PAYLOAD, operations.overwritePayload),
    writing("DeletePayload", messages.DELETE_PAYLOAD, operations.deletePayload, false),
    writing("ClearPayload", messages.CLEAR_PAYLOAD, operations.clearPayload, false),
    method({
      service: "Points",
      name: "Batch",
      rule: onCollection("write"),
      request: messages.BATCH,
      answer: messages.WRITE_ANSWER,
      async handle(call) {
        const { dimension } = call.service.collection(call.permit).vectors;
        const built = call.request.operations.map((sent, at) =>
          operations.operation(sent, { limits, dimension, under: `operations[${at}].` }),
        );
        return receipt(await call.service.write(call.permit, built, writeOptions(call)));
      },
    }),
  ];
}
