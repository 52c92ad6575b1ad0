/** What became of a request, as the audit log has it. */
import { ApiError, ERRORS, type ErrorDetails } from "../api/errors.ts";
import type { AuditEntry } from "./audit-log.ts";

type Happened = Pick<AuditEntry, "outcome" | "status" | "code" | "index" | "why">;

/** `index`: where a write is in the log. */
export function afterSuccess(index: string | null = null): Happened {
  return { outcome: "done", status: 200, code: null, index, why: null };
}

export function afterFailure(error: unknown): Happened {
  if (!(error instanceof ApiError))
    return { outcome: "unknown", status: ERRORS.INTERNAL.http, code: "INTERNAL", index: null, why: null };
  const { code, message, details } = error;
  return {
    outcome: outcomeOf(error),
    status: ERRORS[code].http,
    code,
    index: places(details),
    why: message,
  };
}

function outcomeOf({ code, details }: ApiError): Happened["outcome"] {
  if (code === "OUTCOME_UNKNOWN") return "unknown";
  // Some rights are known to be needed only once the body is read; of several shards one may have done its part.
  const refused = (code === "UNAUTHENTICATED" || code === "FORBIDDEN") && details.shards === undefined;
  return refused ? "refused" : "failed";
}

function places({ unknown }: ErrorDetails): string | null {
  const known = unknown?.flatMap(({ shard, index }) => (index === null ? [] : [`${shard}=${index}`])) ?? [];
  return known.length === 0 ? null : known.join(",");
}
