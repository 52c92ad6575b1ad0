/** The envelope around every answer, and the way from a failure to it. */
import { ERRORS, type ApiError } from "../api/errors.ts";

export const JSON_TYPE = "application/json; charset=utf-8";

/** `{"result":...,"status":"ok","time":seconds}`; `resultJson` is JSON already. */
export const envelope = (resultJson: string, seconds: number): string =>
  `{"result":${resultJson},"status":"ok","time":${seconds.toFixed(6)}}`;

export interface Failure {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What a client is told of an error: status, headers and body by the table of errors. */
export function failure(error: ApiError, seconds: number): Failure {
  const { code, message, details } = error;
  const row = ERRORS[code];
  const retryAfter = details.retryAfter ?? (row.http === 503 && row.retry === "yes" ? 1 : undefined);
  const leader = details.leader;
  return {
    status: row.http,
    headers: retryAfter === undefined ? {} : { "retry-after": String(Math.max(1, Math.ceil(retryAfter))) },
    body: JSON.stringify({
      status: { error: message, code },
      time: Number(seconds.toFixed(6)),
      ...(details.shard === undefined ? {} : { shard: details.shard }),
      ...(details.unknown === undefined ? {} : { unknown: details.unknown }),
      ...(details.shards === undefined ? {} : { shards: details.shards }),
      ...(leader === undefined
        ? {}
        : { leader: { node_id: leader.nodeId, http: leader.http, grpc: leader.grpc, term: leader.term } }),
    }),
  };
}
