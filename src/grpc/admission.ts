/**
 * Who calls, decided before anything of a message is read: a client that may do nothing at all is told so while its
 * message is still on its way, and takes no memory here.
 */
import {
  ServerInterceptingCall,
  type Metadata,
  type ServerInterceptor,
  type StatusObject,
} from "@grpc/grpc-js";
import { ERRORS } from "../api/errors.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import type { Guard } from "../auth/guard.ts";
import { afterFailure } from "../auth/outcome.ts";
import { authorizeCluster, type Action, type Principal } from "../auth/permit.ts";
import { credentialsOf } from "./call-options.ts";
import type { GrpcObservation } from "./observation.ts";
import { asApiError, statusOf } from "./status.ts";

/** What is asked before a message of this path is read. */
export interface Door {
  readonly path: string;
  readonly rule: { readonly action: Action };
}

export interface AdmissionParts {
  readonly authenticator: Authenticator;
  readonly guard: Guard;
  /**
   * Resets a stream whose first frames announce more than they may, before a byte of them is gathered. Default: of
   * calls that are open to anybody as much is gathered as of all others.
   */
  readonly limitFirstFrames?: (
    call: object,
    limit: {
      readonly frames: number;
      readonly bytesMax: number;
      readonly exceeded: (why: string) => void;
    },
  ) => boolean;
  observe(observation: GrpcObservation): void;
}

/** Of a question that anybody may ask: the name of a service and room. */
const PROBE_BYTES_MAX = 1_024;

export class Admission {
  readonly #parts: AdmissionParts;
  readonly #doors: ReadonlyMap<string, Door>;
  readonly #probes: ReadonlySet<string>;
  #refusals = 0;

  /** `probes`: paths that are open to anybody. */
  constructor(
    { doors, probes }: { readonly doors: readonly Door[]; readonly probes: readonly string[] },
    parts: AdmissionParts,
  ) {
    this.#doors = new Map(doors.map((door) => [door.path, door]));
    this.#probes = new Set(probes);
    this.#parts = parts;
  }

  /**
   * Found out anew for every message, at the price of a digest or a look into a table: a stream may live longer than
   * the token or the key it was opened with. Throws BAD_REQUEST for credentials that contradict each other; a wrong
   * one is a principal without rights.
   */
  identify(metadata: Metadata): Principal {
    return this.#parts.authenticator.identify(credentialsOf(metadata));
  }

  /** RATE_LIMITED, or not let in: for what needs the right to know what there is, and nothing more. */
  list(metadata: Metadata, peer: string): void {
    const who = this.identify(metadata);
    this.#parts.guard.admit(who, addressOf(peer));
    authorizeCluster(who, "list");
  }

  /** Of other calls than through these doors nothing is asked here. */
  readonly interceptor: ServerInterceptor = (called, call) => {
    const door = this.#doors.get(called.path);
    if (door === undefined) {
      if (this.#probes.has(called.path)) this.#limit(call);
      return new ServerInterceptingCall(call);
    }
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, go) => {
            const refusal = this.#refuse(door, metadata, addressOf(call.getPeer()));
            if (refusal === null) go(metadata);
            else call.sendStatus(refusal);
          },
        }),
    });
  };

  /** A stranger's message would be gathered up to the largest that a node may send, and for as long as he likes. */
  #limit(call: object): void {
    const limit = { frames: 1, bytesMax: PROBE_BYTES_MAX, exceeded: () => undefined };
    this.#parts.limitFirstFrames?.({ call }, limit);
  }

  #refuse({ path, rule }: Door, metadata: Metadata, remote: string): StatusObject | null {
    const { guard } = this.#parts;
    let who: Principal | null = null;
    try {
      who = this.identify(metadata);
      // Whoever may not even list what there is may do nothing else.
      authorizeCluster(who, "list");
      return null;
    } catch (error) {
      const told = who === null ? error : this.#orTooOften(who, remote, error);
      guard.record(rule.action, {
        request: `${process.pid.toString(36)}-r${(++this.#refusals).toString(36)}`,
        actor: who?.name ?? "unknown",
        credential: who?.credential.kind ?? "refused",
        operation: path,
        target: {},
        remote,
        ...afterFailure(told),
        outcome: "refused",
      });
      const failure = asApiError(told);
      const { http: status } = ERRORS[failure.code];
      this.#parts.observe({ route: path, method: "GRPC", status, seconds: 0 });
      return statusOf(failure);
    }
  }

  /** The refusal, or that this stranger asks too often. */
  #orTooOften(who: Principal, remote: string, refusal: unknown): unknown {
    try {
      this.#parts.guard.admit(who, remote);
      return refusal;
    } catch (tooOften) {
      return tooOften;
    }
  }
}

/** `127.0.0.1:4711` and `[::1]:4711` without the port. */
export const addressOf = (peer: string): string => peer.replace(/:[0-9]+$/, "").replace(/^\[(.*)\]$/, "$1");
