/** How replication's outcomes and the other threads' failures read to a client. */
import type { ProposalOutcome, ReadOutcome } from "../../shards/index.ts";
import { ApiError } from "../api/errors.ts";
import type { WriteOutcome } from "../engine/types.ts";
import { NodeCallError } from "./node-calls/errors.ts";
import type { Roles } from "./roles.ts";

/** Seconds after which another attempt makes sense: an election or a full queue takes about that. */
const RETRY_AFTER = 1;

/** What became of one entry, where the caller has to choose how to go on; everything else is thrown. */
export type EntryFate =
  | { readonly kind: "done"; readonly index: number; readonly outcome: unknown }
  /** It never happened and never will: proposing it again is safe. */
  | { readonly kind: "again"; readonly leader: number | null; readonly why: ApiError | null }
  | { readonly kind: "failed"; readonly error: ApiError };

/** A shard and its group. */
export interface Place {
  readonly shard: number;
  readonly group: number;
}

export function fateOf(outcome: ProposalOutcome, place: Place, roles: Roles): EntryFate {
  switch (outcome.kind) {
    case "applied":
      return { kind: "done", index: outcome.index, outcome: outcome.result };
    case "committed":
      return { kind: "done", index: outcome.index, outcome: null };
    case "notLeader":
      return { kind: "again", leader: outcome.leader, why: null };
    case "overwritten":
      return { kind: "again", leader: null, why: null };
    case "dropped":
      switch (outcome.why) {
        case "overloaded":
          return failed(
            "OVERLOADED",
            `shard ${place.shard} has as many writes waiting as it may (raft.queue_*)`,
          );
        case "tooLarge":
          return failed(
            "TOO_LARGE",
            "Payload error: one operation is larger than a log entry may be (16 MiB)",
          );
        case "deadline":
        case "aborted":
          return failed("DEADLINE_EXCEEDED", "Timeout error: the write was not proposed in time");
        case "refusedByCore":
          return { kind: "again", leader: null, why: null };
      }
      break;
    case "unknown":
      return failed(
        "OUTCOME_UNKNOWN",
        `Timeout error: the write was proposed to shard ${place.shard} at index ${outcome.index} and may still happen`,
        { unknown: [{ shard: place.shard, term: outcome.term, index: outcome.index }] },
      );
    case "stopped":
      return { kind: "failed", error: stoppedError(place, roles, outcome.why) };
  }
  throw new TypeError(`a proposal ended in a way that is not known: ${JSON.stringify(outcome)}`);
}

/** null: the replica may be read; else who leads, as far as it knows. Throws why it may not be. */
export function checkRead(
  outcome: ReadOutcome,
  place: Place,
  roles: Roles,
): { readonly kind: "notLeader"; readonly leader: number | null } | null {
  switch (outcome.kind) {
    case "ready":
      return null;
    case "notLeader":
      return outcome;
    case "dropped":
      throw outcome.why === "overloaded"
        ? new ApiError("OVERLOADED", `shard ${place.shard} has as many reads waiting as it may`, {
            retryAfter: RETRY_AFTER,
          })
        : new ApiError("DEADLINE_EXCEEDED", `Timeout error: shard ${place.shard} was not up to date in time`);
    case "stopped":
      throw stoppedError(place, roles, outcome.why);
  }
}

/** `why`: how the last try to find one ended. */
export function noLeader(place: Place, why: Error | null = null): ApiError {
  const { group, shard } = place;
  return new ApiError(
    "NO_LEADER",
    `Service unavailable: ${named(place)} has no leader at the moment${because(why)}`,
    { retryAfter: RETRY_AFTER, ...(group === 0 ? {} : { shard }) },
    { cause: why },
  );
}

/** Nobody took it for so long: nodes that cannot be reached are why nobody leads; any other failure speaks for itself. */
export function unled(place: Place, last: ApiError | null): ApiError {
  const { cause } = last ?? {};
  const isAway = cause instanceof NodeCallError && cause.code === "UNREACHABLE";
  return last === null || isAway ? noLeader(place, last) : last;
}

/**
 * `reason`, why a signal aborted; a deadline also says what the request waited for in vain: a leader, or any replica.
 * `why`: how the last try ended.
 */
export function lateWithout(
  what: "leader" | "replica",
  reason: unknown,
  place: Place,
  why: Error | null,
): unknown {
  if (!(reason instanceof ApiError) || reason.code !== "DEADLINE_EXCEEDED") return reason;
  const lacked = what === "leader" ? "had no leader" : "had no replica that answers";
  const message = `${reason.message} while ${named(place)} ${lacked}${because(why)}`;
  return new ApiError(reason.code, message, reason.details, { cause: reason });
}

function named({ group, shard }: Place): string {
  return group === 0 ? "the catalogue" : `shard ${shard}`;
}
function because(why: Error | null): string {
  return why === null ? "" : ` (${why.message.replace(/^Service unavailable: /, "")})`;
}

/** A group that takes no part: for good after a storage fault, for a moment while it opens or the node ends. */
export function stoppedError(place: Place, roles: Roles, why: string): ApiError {
  const { stopped } = roles.of(place.group);
  const { shard } = place;
  if (stopped === null) {
    return new ApiError("NOT_READY", `Service unavailable: shard ${shard}: ${why}`, {
      retryAfter: RETRY_AFTER,
      shard,
    });
  }
  return stopped.code === "LOG_FULL" || stopped.code === "STORE_FULL"
    ? new ApiError("OUT_OF_SPACE", `the disk is full: shard ${shard}: ${stopped.why}`, { shard })
    : new ApiError("SHARD_FAILED", `Service unavailable: shard ${shard} failed: ${stopped.why}`, { shard });
}

/** The state machine refused the entry: the same for every replica and every retry. */
export function rejection(outcome: WriteOutcome & { readonly kind: "rejected" }): ApiError {
  const { code, message } = outcome;
  switch (code) {
    case "VERSION_CONFLICT":
      return new ApiError("VERSION_CONFLICT", `Precondition failed: ${message}`);
    case "POINT_NOT_FOUND":
      return new ApiError("POINT_NOT_FOUND", `Not found: ${message}`);
    case "WRONG_DIMENSION":
    case "BAD_VECTOR":
    case "LIMIT_EXCEEDED":
      return new ApiError("INVALID", `Wrong input: ${message}`);
    case "BAD_ENTRY":
      return new ApiError("INTERNAL", `Service internal error: an entry could not be applied: ${message}`);
  }
}

/** Failures of another thread that a client can act on; anything else stays what it is: a defect. */
export function asApiError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof ApiError || !("code" in error)) return error;
  const { code, message } = error;
  const options = { cause: error };
  switch (code) {
    case "OVERLOADED":
      return new ApiError("OVERLOADED", message, { retryAfter: RETRY_AFTER }, options);
    case "THREAD_GONE":
    case "SHARD_CLOSED":
    case "CLOSED":
    case "UNREACHABLE":
    case "BAD_REPLY":
    case "BAD_CALL":
      return new ApiError(
        "NOT_READY",
        `Service unavailable: ${message}`,
        { retryAfter: RETRY_AFTER },
        options,
      );
    case "BAD_QUERY":
      return new ApiError("INVALID", `Wrong input: ${message}`, {}, options);
    case "SHARD_STOPPED":
    case "STORE_CORRUPT":
    case "STORE_IO":
      return new ApiError("SHARD_FAILED", `Service unavailable: ${message}`, {}, options);
    case "STORE_FULL":
      return new ApiError("OUT_OF_SPACE", message, {}, options);
    case "TOO_LARGE":
      return new ApiError("TOO_LARGE", `Payload error: ${message}`, {}, options);
    case "DEADLINE":
    case "ABORTED":
      return new ApiError("DEADLINE_EXCEEDED", `Timeout error: ${message}`, {}, options);
    default:
      return error;
  }
}

function failed(
  code: "OVERLOADED" | "TOO_LARGE" | "DEADLINE_EXCEEDED" | "OUTCOME_UNKNOWN",
  message: string,
  details: ConstructorParameters<typeof ApiError>[2] = {},
): EntryFate {
  const retry = code === "OVERLOADED" ? { retryAfter: RETRY_AFTER } : {};
  return { kind: "failed", error: new ApiError(code, message, { ...retry, ...details }) };
}
