/** From the credential of a request to who is asking. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Principal } from "./permit.ts";
import { NO_RIGHTS } from "./rights.ts";
import { looksLikeToken, type Tokens } from "./tokens.ts";

/** Keys of the configuration; null or absent: not set. */
export interface Keys {
  /** May do everything. */
  readonly apiKey?: string | null;
  /** As `apiKey`, so that one can be replaced while the other is still in use. */
  readonly altApiKey?: string | null;
  /** May read. */
  readonly readOnlyApiKey?: string | null;
}

/** What a request brought along: the `api-key` header (or its gRPC metadata), and the whole `authorization`. */
export interface Credentials {
  readonly apiKey: string | undefined;
  readonly authorization: string | undefined;
}

const MANAGE = { kind: "manage" } as const;
const NONE = { kind: "none" } as const;
const KEY = { kind: "key" } as const;

const ANYBODY: Principal = { name: "anybody", credential: NONE, rights: MANAGE };
const ANONYMOUS: Principal = { name: "anonymous", credential: NONE, rights: NO_RIGHTS };
const UNKNOWN: Principal = {
  name: "unknown",
  credential: { kind: "refused", why: "Invalid API key" },
  rights: NO_RIGHTS,
};
const MANAGER: Principal = { name: "api_key", credential: KEY, rights: MANAGE };
const ALT_MANAGER: Principal = { name: "alt_api_key", credential: KEY, rights: MANAGE };
const READER: Principal = { name: "read_only_api_key", credential: KEY, rights: { kind: "read" } };

// Digests have one length and say nothing of the key, so that comparing them in constant time tells nothing.
const digest = (key: string): Buffer => createHash("sha256").update(key, "utf8").digest();

export class Authenticator {
  readonly #known: readonly { readonly digest: Buffer; readonly principal: Principal }[];
  readonly #tokens: Tokens | null;

  /** RangeError for an empty key: it would let everybody in who sends an empty header. */
  constructor(keys: Keys, parts: { readonly tokens: Tokens | null } = { tokens: null }) {
    const known = [
      { key: keys.apiKey, principal: MANAGER },
      { key: keys.altApiKey, principal: ALT_MANAGER },
      { key: keys.readOnlyApiKey, principal: READER },
    ];
    this.#tokens = parts.tokens;
    this.#known = known.flatMap(({ key, principal }) => {
      if (key === undefined || key === null) return [];
      if (key === "") throw new RangeError(`${principal.name} must not be empty`);
      return [{ digest: digest(key), principal }];
    });
  }

  /** Whether anybody may do everything, because neither keys nor tokens are configured. */
  get open(): boolean {
    return this.#known.length === 0 && this.#tokens === null;
  }

  /** Never throws: a missing or wrong credential is a principal that may do next to nothing. */
  identify(credentials: Credentials): Principal {
    if (this.open) return ANYBODY;
    const key = credentials.apiKey ?? bearerOf(credentials.authorization);
    if (key === undefined) return credentials.authorization === undefined ? ANONYMOUS : UNKNOWN;
    if (this.#tokens === null || !looksLikeToken(key)) return this.#byKey(key);
    // Tokens first: a known one costs a look into a table, a digest several times that.
    const holder = this.#tokens.identify(key);
    if (holder.credential.kind === "token") return holder;
    const found = this.#byKey(key);
    return found === UNKNOWN ? holder : found;
  }

  #byKey(key: string): Principal {
    const sent = digest(key);
    let found = UNKNOWN;
    // Every key is compared, whichever matches, so that the time taken does not say which.
    for (const { digest: expected, principal } of this.#known) {
      if (timingSafeEqual(sent, expected) && found === UNKNOWN) found = principal;
    }
    return found;
  }
}

function bearerOf(authorization: string | undefined): string | undefined {
  const match = /^bearer +(\S+) *$/i.exec(authorization ?? "");
  return match?.[1];
}
