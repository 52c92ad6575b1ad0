/** A principal as one node tells another: plain data, read again with the same care as a token's claims. */
import { ApiError } from "../api/errors.ts";
import type { Principal } from "./permit.ts";
import { isRights } from "./rights.ts";

/** Names of keys are short and a token's `sub` is bounded; longer ones only fill logs. */
const NAME_MAX = 512;

type Fields = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null;

export function isPrincipal(value: unknown): value is Principal {
  if (!isObject(value)) return false;
  const { name, credential, rights, valid } = value;
  return (
    typeof name === "string" &&
    name.length <= NAME_MAX &&
    isCredential(credential) &&
    isRights(rights) &&
    (valid === undefined || isValidTime(valid))
  );
}

/**
 * UNAUTHENTICATED when the token of a request that another node sent on does not count any more, or not yet, by this
 * node's clock. Its leeway is that of the node that verified it.
 */
export function checkStillValid({ valid }: Principal, nowMs: number): void {
  const { fromMs, untilMs } = valid ?? ALWAYS;
  if (untilMs !== null && nowMs >= untilMs)
    throw new ApiError("UNAUTHENTICATED", "Invalid token: it expired while its request was forwarded");
  if (fromMs !== null && nowMs < fromMs)
    throw new ApiError(
      "UNAUTHENTICATED",
      "Invalid token: it is not valid yet by the clock of the node its request was forwarded to",
    );
}

const ALWAYS = { fromMs: null, untilMs: null };

function isValidTime(value: unknown): boolean {
  if (!isObject(value)) return false;
  return [value["fromMs"], value["untilMs"]].every((bound) => bound === null || Number.isFinite(bound));
}

function isCredential(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { kind, why } = value;
  if (kind === "refused") return typeof why === "string";
  return kind === "none" || kind === "key" || kind === "token";
}
