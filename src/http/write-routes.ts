/** Writes: each body becomes operations of one call, so that a request is checked as a whole before it is proposed. */
import type { Limits } from "../api/limits.ts";
import { arrayOf, result, UPDATED } from "./answers.ts";
import {
  expectedVersion,
  receiptHeaders,
  refusePreconditions,
  WRITE_QUERY,
  writeOptions,
  type WriteQuery,
} from "./call-options.ts";
import type { WriteReceipt } from "../api/types.ts";
import { onCollection, POINTS, route, type Answer, type Route } from "./route.ts";
import type { Schema } from "./schema.ts";
import { writeBodies, type Draft } from "./write-bodies.ts";

function updateResult(receipt: WriteReceipt, query: WriteQuery) {
  return {
    // Qdrant's number of the operation; which shard it counts for is in the header.
    operation_id: receipt.indexes.reduce((highest, { index }) => Math.max(highest, index), 0),
    status: query.wait ? "completed" : "acknowledged",
  };
}

const answer = (receipt: WriteReceipt, query: WriteQuery): Answer => ({
  result: updateResult(receipt, query),
  headers: receiptHeaders(receipt),
});

function writeRoute(
  method: "PUT" | "POST",
  url: string,
  summary: string,
  body: Schema<Draft>,
  adds = true,
): Route {
  return route({
    method,
    url,
    rule: onCollection("write"),
    summary,
    adds,
    query: WRITE_QUERY,
    answer: result(UPDATED),
    body,
    async handle(call) {
      const { service, permit, query, headers } = call;
      const { vectors } = service.collection(permit);
      const version = expectedVersion(call.body.ifVersion, headers);
      const operation = call.body.build(vectors.dimension, version);
      return answer(await service.write(permit, [operation], writeOptions(call)), query);
    },
  });
}

export function writeRoutes(limits: Limits): readonly Route[] {
  const bodies = writeBodies(limits);
  return [
    writeRoute("PUT", POINTS, "Insert points, or replace those that exist", bodies.upsert),
    writeRoute("POST", `${POINTS}/delete`, "Delete points by id", bodies.delete, false),
    writeRoute("PUT", `${POINTS}/vectors`, "Replace the vectors of existing points", bodies.updateVectors),
    writeRoute("POST", `${POINTS}/payload`, "Set keys of payloads, keep the others", bodies.setPayload),
    writeRoute("PUT", `${POINTS}/payload`, "Replace whole payloads", bodies.overwritePayload),
    writeRoute("POST", `${POINTS}/payload/delete`, "Remove keys of payloads", bodies.deletePayload, false),
    writeRoute("POST", `${POINTS}/payload/clear`, "Remove whole payloads", bodies.clearPayload, false),
    route({
      method: "POST",
      url: `${POINTS}/batch`,
      rule: onCollection("write"),
      summary: "Several operations, in order",
      query: WRITE_QUERY,
      answer: result(arrayOf(UPDATED)),
      body: bodies.batch,
      async handle(call) {
        const { service, permit, query, body, headers } = call;
        refusePreconditions(headers, "use `if_version` inside the operations");
        const { vectors } = service.collection(permit);
        const operations = body.map((draft) => draft.build(vectors.dimension, draft.ifVersion ?? undefined));
        const receipt = await service.write(permit, operations, writeOptions(call));
        const one = updateResult(receipt, query);
        return { result: operations.map(() => one), headers: receiptHeaders(receipt) };
      },
    }),
  ];
}
