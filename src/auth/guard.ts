/** What stands before every use case besides permission: rates, quotas, and the record of who did what. */
import { ApiError } from "../api/errors.ts";
import type { Quotas } from "../api/quotas.ts";
import type { AuditEntry, AuditLog } from "./audit-log.ts";
import type { Action, Principal } from "./permit.ts";
import type { RateLimit } from "./rate-limit.ts";

export interface GuardParts {
  readonly audit?: AuditLog | null;
  /** Whether changes are refused while the audit log cannot be written. */
  readonly auditRequired?: boolean;
  readonly rate?: RateLimit | null;
  readonly quotas?: Quotas | null;
}

const CHANGES: readonly Action[] = ["write", "configure", "manage"];

export class Guard {
  readonly #parts: GuardParts;

  constructor(parts: GuardParts = {}) {
    this.#parts = parts;
  }

  /** RATE_LIMITED when this principal asks too often; whoever has no name here counts by address. */
  admit(principal: Principal, remote: string): void {
    const { rate } = this.#parts;
    if (rate === undefined || rate === null) return;
    const named = principal.credential.kind === "key" || principal.credential.kind === "token";
    const waitMs = rate.take(named ? principal.name : `address ${remote}`);
    if (waitMs === 0) return;
    throw new ApiError(
      "RATE_LIMITED",
      `Too many requests: ${named ? principal.name : remote} asks more often than allowed (option \`auth.rate_per_second\`)`,
      { retryAfter: waitMs / 1000 },
    );
  }

  /** Throws what forbids every change now (the audit log), or every one that adds data (quotas). */
  checkChange(action: Action, adds: boolean): void {
    if (!this.records(action)) return;
    const { audit, auditRequired, quotas } = this.#parts;
    if (auditRequired === true && audit !== undefined && audit !== null && audit.failure !== null) {
      audit.retry();
      const failure: Error | null = audit.failure;
      if (failure !== null) throw unrecorded(failure);
    }
    if (adds) quotas?.check();
  }

  /** Whether what an action did is recorded; a refusal always is. */
  records(action: Action): boolean {
    return CHANGES.includes(action);
  }

  /** Changes, and whatever was refused; looking at data is not recorded. */
  record(action: Action, entry: Omit<AuditEntry, "action">): void {
    if (entry.outcome !== "refused" && !CHANGES.includes(action)) return;
    this.#parts.audit?.record({ ...entry, action });
  }

  /** What an operator should see on `/readyz`. */
  notes(): readonly string[] {
    const { audit, quotas } = this.#parts;
    if (audit !== undefined && audit !== null && audit.failure !== null) audit.retry();
    const failure = audit?.failure ?? null;
    const problem = quotas?.problem ?? null;
    return [
      ...(failure === null ? [] : [`the audit log cannot be written: ${failure.message}`]),
      ...(problem === null ? [] : [`what adds data is refused: ${problem}`]),
    ];
  }
}

function unrecorded(failure: Error): ApiError {
  const full = "code" in failure && (failure.code === "ENOSPC" || failure.code === "EDQUOT");
  const message = `the audit log cannot be written (${failure.message}) and option \`audit.required\` is set; nothing was changed`;
  return full
    ? new ApiError("OUT_OF_SPACE", `Out of space: ${message}`)
    : new ApiError("NOT_READY", `Service unavailable: ${message}`);
}
