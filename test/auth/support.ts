/** Keys and tokens as others would make them: by node:crypto alone, so that nothing is checked against itself. */
import { createHmac, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { secretKey, type TokenKey } from "../../src/auth/token-keys.ts";
import { Tokens } from "../../src/auth/tokens.ts";
import type { ClaimRules } from "../../src/auth/claims.ts";

export const RSA = generateKeyPairSync("rsa", { modulusLength: 2_048 });
export const EC = generateKeyPairSync("ec", { namedCurve: "P-256" });
export const ED = generateKeyPairSync("ed25519");
export const SECRET = "a-secret-of-some-length-0123456789";

/** Milliseconds of the fake clock at the start of each test. */
export const NOW_MS = 1_800_000_000_000;
export const NOW = NOW_MS / 1000;

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

export type Alg = "HS256" | "RS256" | "ES256" | "EdDSA";

export function signature(alg: Alg, input: string, key: KeyObject | string): Buffer {
  if (typeof key === "string") return createHmac("sha256", key).update(input).digest();
  if (alg === "HS256")
    return createHmac("sha256", key.export({ format: "pem", type: "spki" }))
      .update(input)
      .digest();
  if (alg === "EdDSA") return sign(null, Buffer.from(input), key);
  return sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });
}

export function token(
  claims: unknown,
  key: KeyObject | string = SECRET,
  alg: Alg = "HS256",
  header: Record<string, unknown> = {},
): string {
  const input = `${part({ alg, typ: "JWT", ...header })}.${part(claims)}`;
  return `${input}.${signature(alg, input, key).toString("base64url")}`;
}

/** Says of itself what it likes, and carries no signature that counts. */
export const unsigned = (header: unknown, claims: unknown, tail = "AA"): string =>
  `${part(header)}.${part(claims)}.${tail}`;

export const publicKey = (
  algorithm: Exclude<Alg, "HS256">,
  key: KeyObject,
  kid: string | null = null,
): TokenKey => ({
  algorithm,
  key,
  kid,
});

export const RULES: ClaimRules = { leewayMs: 5_000, issuer: null, audience: null };

export function tokens(keys: readonly TokenKey[] = [secretKey(SECRET)], rules: Partial<ClaimRules> = {}) {
  const clock = { nowMs: NOW_MS };
  return {
    clock,
    tokens: new Tokens({ keys, rules: { ...RULES, ...rules } }, { nowMs: () => clock.nowMs }),
  };
}
