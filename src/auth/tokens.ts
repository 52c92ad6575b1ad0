/** JSON Web Tokens to principals: signature, then claims, then kept until they end. */
import { verify } from "node:crypto";
import jwt from "jsonwebtoken";
import { readClaims, type ClaimRules, type Claims } from "./claims.ts";
import type { Principal } from "./permit.ts";
import { NO_RIGHTS } from "./rights.ts";
import type { TokenKey } from "./token-keys.ts";

/** Three parts of base64url; Buffer would pass over anything else in them. */
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** A signature is computed over all of it. */
const TOKEN_CHARACTERS_MAX = 8_192;
/** Verified tokens in one of two generations: twice as many are kept, at most 32 MiB of the longest. */
const GENERATION = 2_048;

export const looksLikeToken = (credential: string): boolean =>
  credential.length <= TOKEN_CHARACTERS_MAX && TOKEN.test(credential);

interface Known {
  readonly principal: Principal;
  readonly claims: Claims;
}

export class Tokens {
  readonly #rules: ClaimRules;
  readonly #nowMs: () => number;
  #keys: readonly TokenKey[];
  // Two generations make a bounded cache that keeps what is in use, without bookkeeping on a hit.
  #young = new Map<string, Known>();
  #old = new Map<string, Known>();

  constructor(
    options: { readonly rules: ClaimRules; readonly keys: readonly TokenKey[] },
    parts: { readonly nowMs: () => number },
  ) {
    this.#rules = options.rules;
    this.#keys = options.keys;
    this.#nowMs = parts.nowMs;
  }

  /** From now on only these count: what an earlier key signed has to be verified anew. */
  replaceKeys(keys: readonly TokenKey[]): void {
    this.#keys = keys;
    this.#young.clear();
    this.#old.clear();
  }

  /** Tokens kept; for tests and metrics. */
  get cached(): number {
    return this.#young.size + this.#old.size;
  }

  /** Never throws: what is wrong with a token is in the principal. */
  identify(token: string): Principal {
    const known = this.#young.get(token) ?? this.#promote(token) ?? this.#verify(token);
    if (typeof known === "string") return refused(known);
    const now = this.#nowMs();
    if (now < known.claims.fromMs) return refused("it is not valid yet");
    if (now < known.claims.untilMs) return known.principal;
    this.#young.delete(token);
    return refused("it has expired");
  }

  #promote(token: string): Known | undefined {
    const known = this.#old.get(token);
    if (known === undefined) return undefined;
    this.#old.delete(token);
    this.#keep(token, known);
    return known;
  }

  #keep(token: string, known: Known): void {
    if (this.#young.size >= GENERATION) [this.#old, this.#young] = [this.#young, new Map()];
    this.#young.set(token, known);
  }

  /** The token as known, or what is wrong with it. */
  #verify(token: string): Known | string {
    const [head = "", body = "", signature = ""] = token.split(".");
    const header = parsed(head);
    if (header === null) return "its header is not JSON";
    const { alg, kid, crit } = header;
    // What must be understood and is not refuses the token (RFC 7515 §4.1.11).
    if (crit !== undefined) return "it has a `crit` header, which is not supported";
    if (kid !== undefined && typeof kid !== "string") return "its `kid` is no text";
    const fit = this.#keys.filter(
      (key) => key.algorithm === alg && (kid === undefined || key.kid === null || key.kid === kid),
    );
    if (fit.length === 0) return "no key here verifies its `alg` and `kid`";
    const signed = fit.some((key) => isSigned(token, { input: `${head}.${body}`, signature }, key));
    if (!signed) return "its signature is not from a key known here";
    const read = readClaims(parsed(body), this.#rules);
    if (read.kind === "refused") return read.why;
    const { subject, rights, fromMs, untilMs } = read.claims;
    const name = subject === null ? "token" : `token:${subject}`;
    const bound = (ms: number): number | null => (Number.isFinite(ms) ? ms : null);
    const valid = { fromMs: bound(fromMs), untilMs: bound(untilMs) };
    const always = valid.fromMs === null && valid.untilMs === null;
    const known = {
      principal: { name, credential: { kind: "token" }, rights, ...(always ? {} : { valid }) },
      claims: read.claims,
    } as const;
    // What has ended would only take the place of what counts.
    if (this.#nowMs() < known.claims.untilMs) this.#keep(token, known);
    return known;
  }
}

function isSigned(
  token: string,
  parts: { readonly input: string; readonly signature: string },
  { key, algorithm }: TokenKey,
): boolean {
  try {
    // The library knows no EdDSA; and times are checked with the other claims, for every algorithm alike.
    if (algorithm === "EdDSA")
      return verify(null, Buffer.from(parts.input), key, Buffer.from(parts.signature, "base64url"));
    jwt.verify(token, key, { algorithms: [algorithm], ignoreExpiration: true, ignoreNotBefore: true });
    return true;
  } catch (error) {
    // Whatever was wrong, this key did not sign it; only a defect of ours would be another kind of error.
    if (error instanceof TypeError && !("code" in error)) throw error;
    return false;
  }
}

function parsed(part: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

const refused = (why: string): Principal => ({
  name: "refused-token",
  credential: { kind: "refused", why: `Invalid token: ${why}` },
  rights: NO_RIGHTS,
});
