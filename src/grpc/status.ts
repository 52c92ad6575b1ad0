/** From a failure to what a gRPC client is told: status, words, and metadata for programs. */
import { Metadata, status as STATUS, type StatusObject } from "@grpc/grpc-js";
import { ApiError, ERRORS } from "../api/errors.ts";

/** Trailers have to fit into what clients take, 8 KiB with some; a word may take three bytes of it per byte. */
const WORDS_MAX = 1_500;
const SHARDS_MAX = 3_000;

/** Anything that is not an ApiError is a defect, of which clients are told nothing. */
export const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError
    ? error
    : new ApiError("INTERNAL", "Service internal error: a defect in Flotilla, the log has the details");

export function statusOf({ code, message, details }: ApiError): StatusObject {
  const row = ERRORS[code];
  const metadata = new Metadata();
  metadata.set("flotilla-code", code);
  const retryAfter = details.retryAfter ?? (row.http === 503 && row.retry === "yes" ? 1 : undefined);
  if (retryAfter !== undefined) metadata.set("retry-after", String(Math.max(1, Math.ceil(retryAfter))));
  if (details.shard !== undefined) metadata.set("flotilla-shard", String(details.shard));
  if (details.leader !== undefined) {
    metadata.set("flotilla-leader-id", String(details.leader.nodeId));
    metadata.set("flotilla-leader-grpc", details.leader.grpc);
    metadata.set("flotilla-term", String(details.leader.term));
  }
  if (details.unknown !== undefined) {
    const places = details.unknown.map(({ shard, index }) => `${shard}=${index ?? "?"}`);
    metadata.set("flotilla-unknown", places.join(",").slice(0, SHARDS_MAX));
  }
  if (details.shards !== undefined) {
    const all = details.shards.map(({ shard, applied, entries, code: why }) => ({
      shard,
      applied,
      entries,
      code: why,
    }));
    const json = JSON.stringify(all);
    // Half a list would be no JSON.
    if (json.length <= SHARDS_MAX) metadata.set("flotilla-shards", json);
  }
  return { code: CODES[row.grpc] ?? STATUS.UNKNOWN, details: told(message), metadata };
}

const CODES: Readonly<Record<string, STATUS | undefined>> = {
  INVALID_ARGUMENT: STATUS.INVALID_ARGUMENT,
  UNIMPLEMENTED: STATUS.UNIMPLEMENTED,
  UNAUTHENTICATED: STATUS.UNAUTHENTICATED,
  PERMISSION_DENIED: STATUS.PERMISSION_DENIED,
  NOT_FOUND: STATUS.NOT_FOUND,
  DEADLINE_EXCEEDED: STATUS.DEADLINE_EXCEEDED,
  ALREADY_EXISTS: STATUS.ALREADY_EXISTS,
  ABORTED: STATUS.ABORTED,
  FAILED_PRECONDITION: STATUS.FAILED_PRECONDITION,
  RESOURCE_EXHAUSTED: STATUS.RESOURCE_EXHAUSTED,
  UNAVAILABLE: STATUS.UNAVAILABLE,
  INTERNAL: STATUS.INTERNAL,
};

/** Half of a surrogate pair, as cutting a text leaves it, cannot be sent. */
function told(message: string): string {
  const cut = message.length > WORDS_MAX ? `${message.slice(0, WORDS_MAX)}...` : message;
  return cut.replace(/\p{Surrogate}/gu, "\ufffd");
}
