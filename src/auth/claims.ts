/** What a token says besides its signature; the same checks for every algorithm. */
import { readAccess, type Rights } from "./rights.ts";

export interface ClaimRules {
  /** How far clocks may differ, for `exp` and `nbf`. */
  readonly leewayMs: number;
  /** null: any. */
  readonly issuer: string | null;
  /** null: any. */
  readonly audience: string | null;
}

/** `fromMs` and `untilMs`: when it counts, leeway included; `untilMs` itself is too late. */
export interface Claims {
  readonly subject: string | null;
  readonly rights: Rights;
  readonly fromMs: number;
  readonly untilMs: number;
}

type Read =
  { readonly kind: "claims"; readonly claims: Claims } | { readonly kind: "refused"; readonly why: string };

/** Longer names only fill logs. */
const SUBJECT_MAX = 256;

export function readClaims(payload: unknown, rules: ClaimRules): Read {
  if (typeof payload !== "object" || payload === null || Array.isArray(payload))
    return refused("its payload is no object");
  const claims = payload as Readonly<Record<string, unknown>>;
  const { exp, nbf, sub = null, iss, aud } = claims;
  for (const [name, value] of [
    ["exp", exp],
    ["nbf", nbf],
  ] as const)
    if (value !== undefined && !(typeof value === "number" && Number.isFinite(value)))
      return refused(`\`${name}\` is no number of seconds`);
  if (sub !== null && (typeof sub !== "string" || sub.length > SUBJECT_MAX))
    return refused(`\`sub\` must be a text of at most ${SUBJECT_MAX} characters`);
  // It would tie the token to a point of a collection: to pass over it would let it live on.
  if ("value_exists" in claims) return refused("`value_exists` is not supported");
  if (rules.issuer !== null && iss !== rules.issuer) return refused("`iss` is not the issuer expected here");
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (rules.audience !== null && !audiences.includes(rules.audience))
    return refused("`aud` does not name this cluster");
  const access = readAccess(claims["access"]);
  if (access.kind === "refused") return access;
  return {
    kind: "claims",
    claims: {
      subject: sub,
      rights: access.rights,
      fromMs: typeof nbf === "number" ? nbf * 1000 - rules.leewayMs : -Infinity,
      untilMs: typeof exp === "number" ? exp * 1000 + rules.leewayMs : Infinity,
    },
  };
}

const refused = (why: string): Read => ({ kind: "refused", why });
