/**
 * Permission as an argument: a use case takes a {@link Permit} for exactly what it does, and only {@link authorize}
 * makes one. The classes are not exported, and their private fields make them nominal, so that nothing else in the
 * program has a value of these types. A permit for a collection carries its name: what was allowed and what is done
 * cannot be two different collections.
 */
import { ApiError } from "../api/errors.ts";

/** probe: liveness, for anybody. read: look at data and state. write: change points. manage: collections and keys. */
export type Action = "probe" | "read" | "write" | "manage";

/** Who is asking, as the authenticator found out. */
export interface Principal {
  /** For logs; never the credential itself. */
  readonly name: string;
  /** anonymous: no credential was sent. unknown: one that nobody knows. */
  readonly role: "anonymous" | "unknown" | "reader" | "manager";
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

const ALLOWED: Readonly<Record<Principal["role"], readonly Action[]>> = {
  anonymous: ["probe"],
  unknown: ["probe"],
  reader: ["probe", "read"],
  manager: ["probe", "read", "write", "manage"],
};

function check(principal: Principal, action: Action, target: string): void {
  if (ALLOWED[principal.role].includes(action)) return;
  if (principal.role === "anonymous")
    throw new ApiError("UNAUTHENTICATED", "Must provide an API key or an Authorization bearer token");
  if (principal.role === "unknown") throw new ApiError("UNAUTHENTICATED", "Invalid API key");
  throw new ApiError("FORBIDDEN", `Forbidden: this API key may not ${action} ${target}`);
}

/** Throws UNAUTHENTICATED when nobody was named, FORBIDDEN when the principal may not do this. */
export function authorize<A extends Action>(
  principal: Principal,
  action: A,
  collection: string,
): CollectionPermit<A> {
  check(principal, action, `collection \`${collection}\``);
  return new CollectionGrant(action, principal, collection);
}

/** As {@link authorize}, for what belongs to no collection. */
export function authorizeCluster<A extends Action>(principal: Principal, action: A): ClusterPermit<A> {
  check(principal, action, "the cluster");
  return new ClusterGrant(action, principal);
}
