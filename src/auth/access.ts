/** Everything of access control that a configuration asks for, put together for the front-ends of a node. */
import type { Quotas } from "../api/quotas.ts";
import { AuditLog, type AuditEntry } from "./audit-log.ts";
import { Authenticator, type Keys } from "./authenticator.ts";
import { Guard } from "./guard.ts";
import { KeyFiles } from "./key-files.ts";
import { RateLimit } from "./rate-limit.ts";
import { openTlsFiles, type TlsFiles } from "./tls-files.ts";
import { Tokens } from "./tokens.ts";

export interface AccessOptions {
  readonly auth: Required<Keys> & {
    readonly jwtPublicKeyFile: string | null;
    readonly jwtJwksFile: string | null;
    readonly jwtLeewayMs: number;
    readonly jwtIssuer: string | null;
    readonly jwtAudience: string | null;
    readonly ratePerSecond: number;
    readonly rateBurst: number;
  };
  readonly audit: {
    readonly path: string | null;
    readonly fileBytes: number;
    readonly files: number;
    readonly refusalsPerSecond: number;
    readonly required: boolean;
  };
  readonly tls: {
    readonly certFile: string | null;
    readonly keyFile: string | null;
    readonly caFile: string | null;
    readonly peerCaFile: string | null;
  };
}

/** Things an operator should hear of; `failure` null: it is over. */
export interface AccessEvents {
  /** A changed file cannot be used: what was in use stays so. */
  fileTrouble(error: Error): void;
  keysReplaced(count: number): void;
  audit(failure: Error | null): void;
}

/** Between two looks at keys and certificates: soon enough for a rotation, nothing to a disk. */
const LOOK_MS = 2_000;

const STARTED: AuditEntry = {
  request: "-",
  actor: "flotilla",
  credential: "none",
  action: "start",
  operation: "serve",
  target: {},
  outcome: "done",
  status: 200,
  code: null,
  index: null,
  why: null,
  remote: "-",
};

export class Access implements Disposable {
  readonly authenticator: Authenticator;
  readonly guard: Guard;
  /** null: no certificate is configured. Every port of the node may use it. */
  readonly tls: TlsFiles | null;
  readonly audit: AuditLog | null;
  readonly #keys: KeyFiles | null;

  /** Throws what makes the configured files unusable, with their paths. */
  constructor(
    options: AccessOptions,
    parts: {
      readonly quotas: Quotas | null;
      readonly events: AccessEvents;
      /** Milliseconds since 1970: what tokens and the audit log go by. */
      readonly nowMs: () => number;
      /** Milliseconds that never go back: with the system's clock set back, a rate would stay used up. */
      readonly steadyMs: () => number;
      readonly everyMs?: number;
    },
  ) {
    const { events, nowMs, steadyMs, everyMs = LOOK_MS } = parts;
    const { auth, audit, tls } = options;
    const { certFile, keyFile, caFile, peerCaFile } = tls;
    this.tls =
      certFile === null || keyFile === null
        ? null
        : openTlsFiles(
            { certFile, keyFile, caFile, peerCaFile },
            { everyMs, trouble: (error) => events.fileTrouble(error) },
          );

    const secrets = [auth.apiKey, auth.altApiKey];
    const { jwtPublicKeyFile: publicKeyFile, jwtJwksFile: jwksFile } = auth;
    // With the read-only key alone nothing signs: its holders could write tokens that manage.
    const verifies = [...secrets, publicKeyFile, jwksFile].some((given) => given !== null);
    let tokens: Tokens | null = null;
    this.#keys = !verifies
      ? null
      : new KeyFiles(
          { secrets, publicKeyFile, jwksFile, everyMs },
          {
            changed: (keys) => {
              tokens?.replaceKeys(keys);
              events.keysReplaced(keys.length);
            },
            trouble: (error) => events.fileTrouble(error),
          },
        );
    const rules = { leewayMs: auth.jwtLeewayMs, issuer: auth.jwtIssuer, audience: auth.jwtAudience };
    if (this.#keys !== null) tokens = new Tokens({ rules, keys: this.#keys.keys }, { nowMs });
    this.authenticator = new Authenticator(auth, { tokens });

    const { path } = audit;
    this.audit =
      path === null ? null : new AuditLog({ ...audit, path }, { nowMs, changed: (why) => events.audit(why) });
    // A disk that is full already shows before the first change, not with it.
    this.audit?.record(STARTED);
    const { ratePerSecond: perSecond, rateBurst: burst } = auth;
    this.guard = new Guard({
      audit: this.audit,
      auditRequired: audit.required,
      rate: perSecond === 0 ? null : new RateLimit({ perSecond, burst }, { nowMs: steadyMs }),
      quotas: parts.quotas,
    });
  }

  /** Looks at keys and certificates now. */
  async check(): Promise<void> {
    await this.#keys?.check();
    await this.tls?.check();
  }

  [Symbol.dispose](): void {
    this.#keys?.[Symbol.dispose]();
    this.tls?.[Symbol.dispose]();
    this.audit?.[Symbol.dispose]();
  }
}
