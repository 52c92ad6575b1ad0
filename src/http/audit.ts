/** What of a request goes into the audit log. */
import type { FastifyRequest } from "fastify";
import { ApiError, ERRORS, type ErrorDetails } from "../api/errors.ts";
import type { AuditEntry } from "../auth/audit-log.ts";
import type { Principal } from "../auth/permit.ts";

type Asked = Pick<AuditEntry, "request" | "actor" | "credential" | "operation" | "target" | "remote">;
type Happened = Pick<AuditEntry, "outcome" | "status" | "code" | "index" | "why">;

export function auditEntry(
  request: FastifyRequest,
  {
    who,
    operation,
    params,
  }: { readonly who: Principal; readonly operation: string; readonly params: AuditEntry["target"] },
): Asked {
  return {
    request: request.id,
    actor: who.name,
    credential: who.credential.kind,
    operation,
    target: params,
    remote: request.ip,
  };
}

/** `headers`: of the answer, which say where a write is in the log. */
export function afterSuccess(headers: Readonly<Record<string, string>> = {}): Happened {
  const index = headers["x-flotilla-index"] ?? null;
  return { outcome: "done", status: 200, code: null, index, why: null };
}

export function afterFailure(error: unknown): Happened {
  if (!(error instanceof ApiError))
    return { outcome: "unknown", status: ERRORS.INTERNAL.http, code: "INTERNAL", index: null, why: null };
  const { code, message, details } = error;
  return {
    outcome: code === "OUTCOME_UNKNOWN" ? "unknown" : "failed",
    status: ERRORS[code].http,
    code,
    index: places(details),
    why: message,
  };
}

function places({ unknown }: ErrorDetails): string | null {
  const known = unknown?.flatMap(({ shard, index }) => (index === null ? [] : [`${shard}=${index}`])) ?? [];
  return known.length === 0 ? null : known.join(",");
}
