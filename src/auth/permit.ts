/**
 * Permission as an argument: a use case takes a {@link Permit} for exactly what it does, and only {@link authorize}
 * makes one. The classes are not exported, and their private fields make them nominal, so that nothing else in the
 * program has a value of these types. A permit for a collection carries its name: what was allowed and what is done
 * cannot be two different collections.
 */
import { ApiError } from "../api/errors.ts";
import { allows, type Action, type Rights } from "./rights.ts";

export type { Action } from "./rights.ts";

/** Who is asking, as the authenticator found out. */
export interface Principal {
  /** For logs: the name of the key, or the token's `sub`; never the credential itself. */
  readonly name: string;
  /** none: nothing was sent. refused: a credential that is unknown, expired or wrong, and `why`. */
  readonly credential:
    { readonly kind: "none" | "key" | "token" } | { readonly kind: "refused"; readonly why: string };
  readonly rights: Rights;
  /** When a token counts; absent: always, or this was found out by a node of a version that does not say. */
  readonly valid?: ValidTime;
}

/** Milliseconds since 1970, leeway included; `untilMs` itself is too late. null: no such bound. */
export interface ValidTime {
  readonly fromMs: number | null;
  readonly untilMs: number | null;
}

class CollectionGrant<A extends Action> {
  readonly #action: A;
  readonly principal: Principal;
  readonly collection: string;
  constructor(action: A, principal: Principal, collection: string) {
    this.#action = action;
    this.principal = principal;
    this.collection = collection;
  }
  get action(): A {
    return this.#action;
  }
}

class ClusterGrant<A extends Action> {
  readonly #action: A;
  readonly principal: Principal;
  constructor(action: A, principal: Principal) {
    this.#action = action;
    this.principal = principal;
  }
  get action(): A {
    return this.#action;
  }
}

/** The right to do `A` to the one collection it names. */
export type CollectionPermit<A extends Action> = CollectionGrant<A>;
/** The right to do `A` to what belongs to no collection: the list of them, the node, its metrics. */
export type ClusterPermit<A extends Action> = ClusterGrant<A>;
export type Permit<A extends Action> = CollectionPermit<A> | ClusterPermit<A>;

function check(principal: Principal, action: Action, collection: string | null): void {
  const { credential, rights } = principal;
  if (allows(rights, action, collection)) return;
  if (credential.kind === "none")
    throw new ApiError("UNAUTHENTICATED", "Must provide an API key or an Authorization bearer token");
  if (credential.kind === "refused") throw new ApiError("UNAUTHENTICATED", credential.why);
  const target = collection === null ? "the cluster" : `collection \`${collection}\``;
  const what = credential.kind === "key" ? "API key" : "token";
  throw new ApiError("FORBIDDEN", `Forbidden: this ${what} may not ${action} ${target}`);
}

/** Throws UNAUTHENTICATED when nobody was named, FORBIDDEN when the principal may not do this. */
export function authorize<A extends Action>(
  principal: Principal,
  action: A,
  collection: string,
): CollectionPermit<A> {
  check(principal, action, collection);
  return new CollectionGrant(action, principal, collection);
}

/** As {@link authorize}, for what belongs to no collection. */
export function authorizeCluster<A extends Action>(principal: Principal, action: A): ClusterPermit<A> {
  check(principal, action, null);
  return new ClusterGrant(action, principal);
}

/** Whether the holder of a permit to list may see this collection. */
export const sees = ({ principal }: ClusterPermit<"list">, collection: string): boolean =>
  allows(principal.rights, "read", collection);
