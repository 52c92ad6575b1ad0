/**
 * A method: what it takes, who may call it, what it does. As with REST's routes the rule is part of its type, and its
 * handler gets the permit that the rule granted, before more of the message was read than whom it concerns.
 */
import type { Metadata } from "@grpc/grpc-js";
import type { AdminService } from "../api/admin-service.ts";
import type { Limits } from "../api/limits.ts";
import type { VectorService } from "../api/vector-service.ts";
import {
  authorize,
  authorizeCluster,
  type Action,
  type ClusterPermit,
  type CollectionPermit,
  type Permit,
  type Principal,
} from "../auth/permit.ts";
import { peekText, type Message } from "./wire/message.ts";

export interface Rule<P> {
  readonly on: "collection" | "cluster";
  readonly action: Action;
  grant(who: Principal, collection: string): P;
}

/** In every request about a collection: its name. */
const COLLECTION_FIELD = 1;

/** Needs `action` on the collection that field 1 of the request names. */
export const onCollection = <A extends Action>(action: A): Rule<CollectionPermit<A>> => ({
  on: "collection",
  action,
  grant: (who, collection) => authorize(who, action, collection),
});

export const onCluster = <A extends Action>(action: A): Rule<ClusterPermit<A>> => ({
  on: "cluster",
  action,
  grant: (who) => authorizeCluster(who, action),
});

export interface Call<P, Q> {
  readonly service: VectorService;
  readonly admin: AdminService;
  readonly permit: P;
  readonly request: Q;
  readonly metadata: Metadata;
  /** Of the message within its stream, from 1. */
  readonly number: number;
  /** Fires at the deadline and when the client cancels or goes away; its reason is an ApiError. */
  readonly signal: AbortSignal;
}

type Options = { readonly timeoutMs: number | null } | null;

export interface Definition<P extends Permit<Action>, Q, R> {
  readonly service: "Points" | "Collections" | "Cluster";
  readonly name: string;
  readonly rule: Rule<P>;
  /** Whether it adds data, which quotas refuse; by default what writes points does. */
  readonly adds?: boolean;
  /** The client sends messages as it likes; each is a call of its own, answered in order. */
  readonly streams?: boolean;
  readonly request: Message<Q>;
  readonly answer: Message<R>;
  handle(call: Call<P, Q>): Promise<R> | R;
}

/** A definition with its types put away, for the table of all methods. */
export interface Method {
  readonly service: string;
  readonly name: string;
  /** `/flotilla.v1.Points/Search` */
  readonly path: string;
  readonly rule: Rule<Permit<Action>>;
  readonly adds: boolean;
  readonly streams: boolean;
  readonly request: Message<unknown>;
  readonly answer: Message<unknown>;
  /** The collection that the rule is about, before anything else of the message is read; null: about the cluster. */
  concerns(message: Buffer): string | null;
  /** Grants what the rule asks for, or throws. */
  grant(who: Principal, collection: string): Granted;
}

/** Reads the message of a call that was let in; {@link partsMax} bounds what comes of it. */
export type Granted = (message: Buffer, limits: Limits) => Begun;

export interface Begun {
  readonly timeoutMs: number | null;
  /** What it is about, for the audit log. */
  target(): Readonly<Record<string, string>>;
  run(around: Around): Promise<Answered>;
}

export type Around = Pick<Call<never, never>, "service" | "admin" | "metadata" | "number" | "signal">;

export interface Answered {
  readonly bytes: Buffer;
  /** Where a write is in the log, as the audit log has it. */
  readonly index: string | null;
}

interface WithOptions {
  readonly options: Options;
}

export function method<P extends Permit<Action>, Q extends WithOptions, R>(
  definition: Definition<P, Q, R>,
): Method {
  const { service, name, rule, request, answer } = definition;
  return {
    service,
    name,
    path: `/flotilla.v1.${service}/${name}`,
    rule,
    adds: definition.adds ?? rule.action === "write",
    streams: definition.streams ?? false,
    request,
    answer,
    concerns: (message) => (rule.on === "collection" ? peekText(message, COLLECTION_FIELD) : null),
    grant(who, collection) {
      const permit = rule.grant(who, collection);
      return (message, limits) => {
        const read = request.decode(message, partsMax(limits));
        return {
          timeoutMs: read.options?.timeoutMs ?? null,
          target: () => targetOf(read),
          async run(around) {
            const value = await definition.handle({ ...around, permit, request: read });
            return { bytes: answer.encode(value), index: indexOf(value) };
          },
        };
      };
    },
  };
}

/** A query has a point and a selector of payload, a point its id, an operation its own message, a session its shards. */
const partsMax = ({ batchPoints, batchQueries, batchOperations }: Limits): number =>
  4 * (batchPoints + batchQueries + batchOperations) + 4_096;

/** Under the names that the paths of the REST API have for them. */
function targetOf(request: object): Readonly<Record<string, string>> {
  const target: Record<string, string> = {};
  if ("collection" in request) target["collection"] = String(request.collection);
  if ("shard" in request) target["shard"] = String(request.shard);
  if ("nodeId" in request && request.nodeId !== null) target["node"] = String(request.nodeId);
  return target;
}

function indexOf(answer: unknown): string | null {
  if (typeof answer !== "object" || answer === null || !("indexes" in answer)) return null;
  const indexes = answer.indexes as readonly { readonly shard: number; readonly index: number }[];
  return indexes.map(({ shard, index }) => `${shard}=${index}`).join(",");
}
