/** What of a request goes into the audit log. */
import type { FastifyRequest } from "fastify";
import type { AuditEntry } from "../auth/audit-log.ts";
import type { Principal } from "../auth/permit.ts";

type Asked = Pick<AuditEntry, "request" | "actor" | "credential" | "operation" | "target" | "remote">;

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
