/**
 * Every error a client can get, in one table: documentation, HTTP, gRPC and retry advice agree because they read it.
 * `retry`: "yes" it had no effect; "safe-with-key" its outcome is unknown and a retry is safe under the same
 * Idempotency-Key; "no" the same request fails again.
 */
interface ErrorRow {
  readonly http: number;
  readonly grpc: string;
  readonly retry: "yes" | "no" | "safe-with-key";
  readonly meaning: string;
}

const row = (http: number, grpc: string, retry: ErrorRow["retry"], meaning: string): ErrorRow => ({
  http,
  grpc,
  retry,
  meaning,
});

export const ERRORS = {
  BAD_REQUEST: row(
    400,
    "INVALID_ARGUMENT",
    "no",
    "The request cannot be understood; the message names the place.",
  ),
  UNSUPPORTED: row(
    400,
    "UNIMPLEMENTED",
    "no",
    "The request uses something Flotilla does not have; it is named.",
  ),
  UNAUTHENTICATED: row(401, "UNAUTHENTICATED", "no", "No valid credential was sent."),
  FORBIDDEN: row(403, "PERMISSION_DENIED", "no", "The credential does not allow this."),
  COLLECTION_NOT_FOUND: row(404, "NOT_FOUND", "no", "There is no collection of this name."),
  POINT_NOT_FOUND: row(404, "NOT_FOUND", "no", "There is no point with this id."),
  SHARD_NOT_FOUND: row(404, "NOT_FOUND", "no", "The collection has no shard of this number."),
  ROUTE_NOT_FOUND: row(404, "UNIMPLEMENTED", "no", "There is no such route."),
  METHOD_NOT_ALLOWED: row(405, "UNIMPLEMENTED", "no", "The route exists, not with this method."),
  OUTCOME_UNKNOWN: row(
    408,
    "DEADLINE_EXCEEDED",
    "safe-with-key",
    "The deadline passed; the write may still happen.",
  ),
  DEADLINE_EXCEEDED: row(408, "DEADLINE_EXCEEDED", "yes", "The deadline passed; nothing was changed."),
  COLLECTION_EXISTS: row(409, "ALREADY_EXISTS", "no", "The name is taken."),
  CONFLICT: row(
    409,
    "ABORTED",
    "no",
    "The request contradicts the present state, or reuses an Idempotency-Key.",
  ),
  VERSION_CONFLICT: row(
    412,
    "FAILED_PRECONDITION",
    "no",
    "A point does not have the version that was asked for.",
  ),
  TOO_LARGE: row(413, "RESOURCE_EXHAUSTED", "no", "A body or batch is over its limit; the limit is named."),
  INVALID: row(422, "INVALID_ARGUMENT", "no", "Well-formed but not acceptable: dimension, range, limit."),
  RATE_LIMITED: row(
    429,
    "RESOURCE_EXHAUSTED",
    "yes",
    "This key asks more often than it may; `Retry-After` says when it may again.",
  ),
  OVERLOADED: row(503, "UNAVAILABLE", "yes", "A queue is at its limit; nothing was changed."),
  NOT_READY: row(503, "UNAVAILABLE", "yes", "Starting, stopping, or the shard cannot serve yet."),
  NO_LEADER: row(503, "UNAVAILABLE", "yes", "The shard has no leader at the moment; nothing was changed."),
  NOT_LEADER: row(307, "UNAVAILABLE", "yes", "Another node leads the shard; the answer says which."),
  SHARD_FAILED: row(503, "UNAVAILABLE", "no", "A storage fault stopped this shard on this node."),
  OUT_OF_SPACE: row(507, "RESOURCE_EXHAUSTED", "no", "Disk or quota is used up; nothing was changed."),
  INTERNAL: row(500, "INTERNAL", "no", "A defect in Flotilla."),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetails {
  /** Seconds, for `Retry-After`. */
  readonly retryAfter?: number;
  /** Where an outcome is unknown: the log positions to ask about later. */
  readonly unknown?: readonly {
    readonly shard: number;
    readonly term: number | null;
    readonly index: number | null;
  }[];
  readonly leader?: {
    readonly nodeId: number;
    readonly http: string;
    readonly grpc: string;
    readonly term: number;
  };
  readonly shard?: number;
  /** What became of each shard's part, when not all of a write that touches several succeeded. */
  readonly shards?: readonly ShardResult[];
}

/** `applied`: so many of its entries are in; `code`: why the rest is not, null when all are. */
export interface ShardResult {
  readonly shard: number;
  readonly applied: number;
  readonly entries: number;
  readonly code: ErrorCode | null;
  readonly message: string | null;
}

/** An outcome that is the client's to know. Anything else that reaches a front-end is INTERNAL. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

export function noShard(collection: string, shard: number): ApiError {
  return new ApiError(
    "SHARD_NOT_FOUND",
    `Not found: Shard ${shard} of collection \`${collection}\` doesn't exist!`,
  );
}
