/** A principal as one node tells another: plain data, read again with the same care as a token's claims. */
import type { Principal } from "./permit.ts";
import { isRights } from "./rights.ts";

/** Names of keys are short and a token's `sub` is bounded; longer ones only fill logs. */
const NAME_MAX = 512;

type Fields = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null;

export function isPrincipal(value: unknown): value is Principal {
  if (!isObject(value)) return false;
  const { name, credential, rights } = value;
  return typeof name === "string" && name.length <= NAME_MAX && isCredential(credential) && isRights(rights);
}

function isCredential(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { kind, why } = value;
  if (kind === "refused") return typeof why === "string";
  return kind === "none" || kind === "key" || kind === "token";
}
