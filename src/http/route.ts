/**
 * A route: what it takes, who may call it, what it does. The rule is part of its type, and its handler gets the
 * permit that the rule granted before a byte of the body was read; without a rule it does not compile.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { IncomingHttpHeaders } from "node:http";
import { ApiError } from "../api/errors.ts";
import type { AdminService } from "../api/admin-service.ts";
import { requestController } from "../api/request-signal.ts";
import type { JsonValue } from "../api/types.ts";
import type { VectorService } from "../api/vector-service.ts";
import type { HttpOptions } from "./options.ts";
import {
  authorize,
  authorizeCluster,
  type Action,
  type ClusterPermit,
  type CollectionPermit,
  type Permit,
  type Principal,
} from "../auth/permit.ts";
import type { Guard } from "../auth/guard.ts";
import { afterFailure, afterSuccess } from "../auth/outcome.ts";
import { auditEntry } from "./audit.ts";
import type { LoadShedder, Work } from "../api/load-shedder.ts";
import type { AnswerSchema } from "./answers.ts";
import { envelope, JSON_TYPE } from "./envelope.ts";
import { BODY, isObject, QUERY, type JsonSchema, type Schema } from "./schema.ts";

export interface Rule<P> {
  readonly on: "collection" | "cluster";
  readonly action: Action;
  grant(who: Principal, params: Params): P;
}

/** Needs `action` on the collection that the path names. */
export const onCollection = <A extends Action>(action: A): Rule<CollectionPermit<A>> => ({
  on: "collection",
  action,
  grant: (who, params) => authorize(who, action, params["collection"] ?? ""),
});

export const onCluster = <A extends Action>(action: A): Rule<ClusterPermit<A>> => ({
  on: "cluster",
  action,
  grant: (who) => authorizeCluster(who, action),
});

/** Where the points of a collection are. */
export const POINTS = "/collections/:collection/points";

export type Params = Readonly<Record<string, string | undefined>>;

export interface Call<P, Q, B> {
  readonly service: VectorService;
  readonly admin: AdminService;
  readonly permit: P;
  readonly params: Params;
  readonly query: Q;
  readonly body: B;
  readonly headers: IncomingHttpHeaders;
  /** Fires at the deadline and when the client goes away; its reason is an ApiError. */
  readonly signal: AbortSignal;
}

type Headers = Readonly<Record<string, string>>;
/** A result for the envelope, or a text as it is. */
export type Answer =
  | { readonly result: unknown; readonly headers?: Headers }
  | { readonly text: string; readonly type: string; readonly status?: number }
  | { readonly bare: JsonValue };

export interface Definition<P extends Permit<Action>, Q, B> {
  readonly method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  /** Parameters as `:name`; `:collection` is what {@link onCollection} looks at. */
  readonly url: string;
  readonly rule: Rule<P>;
  readonly summary: string;
  /** Whether it adds data, which quotas refuse; by default what writes points does. */
  readonly adds?: boolean;
  readonly query: Schema<Q>;
  /** null: the route takes no body. */
  readonly body: Schema<B> | null;
  /** What it sends on success: tests hold every answer against it. */
  readonly answer: AnswerSchema;
  handle(call: Call<P, Q, B>): Promise<Answer> | Answer;
}

/** What routes need of the server that holds them. */
export interface RouteParts {
  readonly service: VectorService;
  readonly admin: AdminService;
  readonly http: HttpOptions;
  readonly guard: Guard;
  readonly shedder: LoadShedder;
  identify(request: FastifyRequest): Principal;
}

/** A definition with its types put away, for the list of all routes. */
export interface Route {
  readonly method: string;
  readonly url: string;
  readonly rule: Rule<Permit<Action>>;
  readonly summary: string;
  readonly query: JsonSchema;
  readonly body: JsonSchema | null;
  readonly answer: AnswerSchema;
  install(app: FastifyInstance, parts: RouteParts): void;
}

export function route<P extends Permit<Action>, Q extends { readonly timeout?: number | null }, B>(
  definition: Definition<P, Q, B>,
): Route {
  const { method, url, rule, summary } = definition;
  return {
    method,
    url,
    rule,
    summary,
    query: definition.query.json,
    body: definition.body?.json ?? null,
    answer: definition.answer,
    install(app, parts) {
      const admitted = new WeakMap<FastifyRequest, Admitted<P>>();
      app.route({
        method,
        url,
        onRequest(request, reply, next) {
          admitted.set(request, admit(definition, parts, request, reply));
          next();
        },
        async handler(request, reply) {
          const entry = admitted.get(request);
          if (entry === undefined) throw new ApiError("FORBIDDEN", "Forbidden: no permit was granted");
          return carryOut(definition, entry, parts, request, reply);
        },
      });
    },
  };
}

/** Who is let in, with what they were granted. */
interface Admitted<P> {
  readonly who: Principal;
  readonly permit: P;
}

/** Everything that is decided before a byte of the body is read; throws what the client is told. */
function admit<P extends Permit<Action>, Q, B>(
  { rule, adds, method, url }: Definition<P, Q, B>,
  { guard, shedder, identify }: RouteParts,
  request: FastifyRequest,
  reply: FastifyReply,
): Admitted<P> {
  // Probes have to be answered most of all when everything else is refused.
  if (rule.action !== "probe") {
    const work = workOf(rule, url);
    shedder.enter(work, paramsOf(request)["collection"]);
    reply.raw.once("close", () => shedder.leave(work));
  }
  const who = identify(request);
  try {
    if (rule.action !== "probe") guard.admit(who, request.ip);
    const permit = rule.grant(who, paramsOf(request));
    guard.checkChange(rule.action, adds ?? rule.action === "write");
    return { who, permit };
  } catch (error) {
    const entry = auditEntry(request, { who, operation: `${method} ${url}`, params: paramsOf(request) });
    guard.record(rule.action, { ...entry, ...afterFailure(error), outcome: "refused" });
    throw error;
  }
}

/** What is about points is what a node is for; the rest is its administration. */
function workOf({ action }: Rule<Permit<Action>>, url: string): Work {
  if (!url.startsWith(POINTS)) return "admin";
  return action === "read" ? "read" : "write";
}

const paramsOf = (request: FastifyRequest): Params => request.params as Params;

async function carryOut<P extends Permit<Action>, Q extends { readonly timeout?: number | null }, B>(
  definition: Definition<P, Q, B>,
  { who, permit }: Admitted<P>,
  parts: RouteParts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { rule, method, url } = definition;
  if (!parts.guard.records(rule.action)) {
    return send(await answerOf(definition, permit, parts, request, reply), reply, parts.http.sendTimeoutMs);
  }
  const entry = auditEntry(request, { who, operation: `${method} ${url}`, params: paramsOf(request) });
  try {
    const answer = await answerOf(definition, permit, parts, request, reply);
    parts.guard.record(rule.action, { ...entry, ...afterSuccess(indexOf(answer)) });
    return send(answer, reply, parts.http.sendTimeoutMs);
  } catch (error) {
    parts.guard.record(rule.action, { ...entry, ...afterFailure(error) });
    throw error;
  }
}

async function answerOf<P extends Permit<Action>, Q extends { readonly timeout?: number | null }, B>(
  definition: Definition<P, Q, B>,
  permit: P,
  { service, admin, http }: RouteParts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Answer> {
  const query = definition.query.read(request.query, QUERY);
  const body = bodyOf(definition, request.body);
  const waiting = requestController();
  const deadline = setTimeout(
    () => waiting.abort(new ApiError("DEADLINE_EXCEEDED", "Timeout error: the deadline passed")),
    deadlineMs(query.timeout ?? null, http),
  );
  const onClose = (): void => waiting.abort(new ApiError("DEADLINE_EXCEEDED", "The client went away"));
  reply.raw.once("close", onClose);
  try {
    const { headers } = request;
    const params = paramsOf(request);
    return await definition.handle({
      service,
      admin,
      permit,
      params,
      query,
      body,
      headers,
      signal: waiting.signal,
    });
  } finally {
    clearTimeout(deadline);
    reply.raw.removeListener("close", onClose);
  }
}

/** Where a write is in the log. */
const indexOf = (answer: Answer): string | null =>
  "headers" in answer ? (answer.headers?.["x-flotilla-index"] ?? null) : null;

/** Answers above this do not vanish into the buffers of the kernel: somebody has to read them. */
const LARGE_ANSWER_CHARACTERS = 65_536;

function send(answer: Answer, reply: FastifyReply, sendTimeoutMs: number): FastifyReply {
  if ("text" in answer)
    return reply
      .code(answer.status ?? 200)
      .header("content-type", answer.type)
      .send(answer.text);
  reply.header("content-type", JSON_TYPE);
  if ("bare" in answer) return reply.send(JSON.stringify(answer.bare));
  if (answer.headers !== undefined) reply.headers(answer.headers);
  const body = envelope(written(answer.result), reply.elapsedTime / 1000);
  // Silence from now on is the client's, who does not read; Node resets this with the next request.
  if (body.length > LARGE_ANSWER_CHARACTERS) reply.raw.socket?.setTimeout(sendTimeoutMs);
  return reply.send(body);
}

/** Parts that are within bounds each may come from many shards. */
function written(result: unknown): string {
  try {
    return JSON.stringify(result);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const why =
      "the answer is longer than a text can be: ask for fewer points at a time, or for less of them";
    throw new ApiError("TOO_LARGE", `Payload error: ${why}`, {}, { cause: error });
  }
}

function bodyOf<P extends Permit<Action>, Q, B>(definition: Definition<P, Q, B>, body: unknown): B {
  if (definition.body !== null) {
    if (body === undefined) throw new ApiError("BAD_REQUEST", "Format error in JSON body: the body is empty");
    return definition.body.read(body, BODY);
  }
  const empty = body === undefined || body === null || (isObject(body) && Object.keys(body).length === 0);
  if (!empty) throw new ApiError("BAD_REQUEST", "Wrong input: this route takes no body");
  return undefined as B;
}

function deadlineMs(seconds: number | null, http: HttpOptions): number {
  if (seconds === null) return http.deadlineMs;
  const ms = Math.ceil(seconds * 1000);
  if (ms > http.deadlineMaxMs)
    throw new ApiError(
      "INVALID",
      `Wrong input: \`timeout\` is ${seconds} s, at most ${http.deadlineMaxMs / 1000} s are allowed (option \`http.deadline_max_ms\`)`,
    );
  return ms;
}
