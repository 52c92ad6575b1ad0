/**
 * The REST front-end: from a socket to a use case and back.
 *
 *   onRequest   closing? -> known route? -> who is asking -> may they (route.ts)     401 403 404 405 503
 *   body        content type, length, UTF-8, depth, JSON (api/json.ts)               400 413
 *   handler     query and body against their schemas, deadline, use case             400 404 408 409 412 422 ...
 *   send        envelope; every failure goes through the table of errors
 */
import {
  fastify,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "pino";
import { ApiError } from "../api/errors.ts";
import { allowed, type Limits } from "../api/limits.ts";
import type { AdminService } from "../api/admin-service.ts";
import type { VectorService } from "../api/vector-service.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import { authorizeCluster, type Principal } from "../auth/permit.ts";
import { Guard } from "../auth/guard.ts";
import { auditEntry } from "./audit.ts";
import { parseJson } from "../api/json.ts";
import { afterFailure } from "../auth/outcome.ts";
import { failure, JSON_TYPE } from "./envelope.ts";
import { LargeBodies } from "../api/large-bodies.ts";
import type { LoadShedder } from "../api/load-shedder.ts";
import { lookUp } from "./missing-route.ts";
import type { HttpOptions } from "./options.ts";
import type { RouteParts } from "./route.ts";
import { routes } from "./routes.ts";
import { idleTimeoutMs, SecureServers, timings, type ServerTls } from "./secure-servers.ts";

/** One finished request; `route` is the pattern (`/collections/:collection`), or `unmatched`. Status 499: gone. */
export interface Observation {
  readonly route: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
}

export interface ServeHttpOptions {
  readonly service: VectorService;
  readonly admin: AdminService;
  readonly authenticator: Authenticator;
  /** Rates, quotas and the audit log; without: none of them. */
  readonly guard?: Guard;
  /** The node's, shared by its doors. Whoever made it starts and ends it. */
  readonly shedder: LoadShedder;
  /** null or absent: plain HTTP. */
  readonly tls?: ServerTls | null;
  readonly listen: { readonly host: string; readonly port: number };
  readonly http: HttpOptions;
  observe(observation: Observation): void;
  /** The text of `/metrics`, in the Prometheus format. */
  metricsText(): Promise<string>;
  readonly log: Logger;
}

export interface HttpServer {
  /** `host:port`, with the port that was bound. */
  readonly address: string;
  readonly port: number;
  /**
   * Takes no new requests (503 on open connections), waits up to `drainMs` for those in flight, then cuts what is
   * left. Resolves when every connection is closed; may be called twice.
   */
  close(options: { readonly drainMs: number }): Promise<void>;
}

/** Resolves when it listens; rejects as `listen` does (EADDRINUSE, EACCES) when it cannot. */
export async function serveHttp(options: ServeHttpOptions): Promise<HttpServer> {
  const front = new FrontEnd(options);
  await front.listen();
  return front;
}

/** More the kernel does not take; its own bound (`net.core.somaxconn`) is usually lower. */
const BACKLOG_MAX = 65_535;

class FrontEnd implements HttpServer {
  readonly #options: ServeHttpOptions;
  readonly #app: FastifyInstance;
  readonly #stopFollowing: () => void;
  /** The latest request of each connection. */
  readonly #latest = new WeakMap<
    Socket,
    { readonly raw: IncomingMessage; readonly answer: ServerResponse }
  >();
  #closing: Promise<void> | null = null;
  #requests = 0;

  constructor(options: ServeHttpOptions) {
    this.#options = options;
    const { http } = options;
    const { limits } = options.service;
    const tls = options.tls ?? null;
    const secure = tls === null ? null : new SecureServers(tls, http);
    this.#stopFollowing = () => secure?.[Symbol.dispose]();
    this.#app = fastify({
      ...(secure === null ? {} : { serverFactory: (handler: RequestListener) => secure.create(handler) }),
      logger: false,
      bodyLimit: limits.bodyBytes,
      requestTimeout: http.receiveTimeoutMs,
      connectionTimeout: idleTimeoutMs(http),
      keepAliveTimeout: http.keepAliveTimeoutMs,
      maxRequestsPerSocket: http.requestsPerConnection,
      http: timings(http),
      forceCloseConnections: "idle",
      return503OnClosing: false,
      routerOptions: { maxParamLength: http.headerBytes },
      genReqId: () => `${process.pid.toString(36)}-${(++this.#requests).toString(36)}`,
      clientErrorHandler: (error, socket) => {
        // In the place of an answer that is still to come it would be taken for that one.
        if (this.#owesAnswer(socket)) socket.destroy();
        else answerBrokenRequest(error, socket);
      },
      // Schemas here check by themselves (schema.ts); without this the start loads two compilers that are never used.
      schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
      frameworkErrors: (error, request, reply) => this.#fail(error, request, reply),
    });
    this.#app.server.maxConnections = http.connections;
    this.#install(limits);
  }

  async listen(): Promise<void> {
    const { listen, http } = this.#options;
    // One that finds no room there is dropped without a word, and its client tries again after a second.
    const backlog = Math.min(http.connections, BACKLOG_MAX);
    await this.#app.listen({ ...listen, backlog });
  }

  get port(): number {
    const bound = this.#app.server.address();
    return bound === null || typeof bound === "string" ? this.#options.listen.port : bound.port;
  }

  get address(): string {
    const { host } = this.#options.listen;
    return `${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  close({ drainMs }: { readonly drainMs: number }): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    const cut = setTimeout(() => this.#app.server.closeAllConnections(), drainMs);
    try {
      await this.#app.close();
    } finally {
      clearTimeout(cut);
      this.#stopFollowing();
    }
  }

  #install(limits: Limits): void {
    const app = this.#app;
    const { service, admin, authenticator, metricsText, http, shedder } = this.#options;
    const identify = (request: FastifyRequest): Principal => {
      const { headers } = request;
      const apiKey = headers["api-key"];
      return authenticator.identify({
        apiKey: typeof apiKey === "string" ? apiKey : undefined,
        authorization: headers.authorization,
      });
    };
    const guard = this.#options.guard ?? new Guard();
    const parts: RouteParts = { service, admin, http, guard, shedder, identify };

    const table = routes({ metricsText, limits });
    app.addHook("onRequest", (request, reply, next) => {
      this.#latest.set(request.raw.socket, { raw: request.raw, answer: reply.raw });
      reply.raw.once("close", () => {
        if (!reply.raw.writableFinished) this.#done(request, reply, 499);
      });
      if (this.#closing !== null)
        throw new ApiError("NOT_READY", "Service unavailable: this node is shutting down");
      if (request.is404) {
        this.#admitStranger(identify(request), guard, request);
        throw lookUp(request.method, request.url, table, (allow) => void reply.header("allow", allow));
      }
      next();
    });
    app.addHook("onSend", (_request, reply, payload, next) => {
      if (this.#closing !== null) reply.header("connection", "close");
      next(null, payload);
    });
    app.addHook("onResponse", (request, reply, next) => {
      // An answer also counts as written when its connection was cut while it was.
      this.#done(request, reply, request.raw.socket.destroyed ? 499 : reply.statusCode);
      next();
    });
    app.setNotFoundHandler((request) => {
      throw lookUp(request.method, request.url, table, () => undefined);
    });
    app.setErrorHandler((error: FastifyError | ApiError, request, reply) =>
      this.#fail(error, request, reply),
    );

    const largeBodies = new LargeBodies();
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body, done) => {
      const encoding = request.headers["content-encoding"];
      if (encoding !== undefined && encoding !== "identity") {
        done(new ApiError("UNSUPPORTED", `Not supported: a body with Content-Encoding ${encoding}`));
        return;
      }
      if (body.length === 0) return done(null, undefined);
      largeBodies.whenDue(body.length, () => {
        let value: unknown;
        try {
          value = parseJson(body as Buffer, limits);
        } catch (error) {
          return done(error as ApiError);
        }
        // What the handler makes of it takes as long again.
        largeBodies.whenDue(body.length, () => done(null, value));
      });
    });
    app.addContentTypeParser("*", (request, _payload, done) => {
      const { "content-length": length, "transfer-encoding": chunked } = request.headers;
      // Some clients name a type for a body that is not there.
      if (chunked === undefined && (length ?? "0") === "0") return done(null, undefined);
      const sent = request.headers["content-type"];
      const not = sent === undefined ? "it is missing" : `not \`${sent}\``;
      done(new ApiError("BAD_REQUEST", `Wrong input: Content-Type must be application/json, ${not}`));
    });

    for (const route of table) route.install(app, parts);
  }

  /** Whether a request that arrived as a whole waits for its answer on this connection. */
  #owesAnswer(socket: Socket): boolean {
    const latest = this.#latest.get(socket);
    if (latest === undefined || latest.answer.writableFinished) return false;
    // An answer gets the socket when it is its turn: until then one before it has it.
    return latest.raw.complete || latest.answer.socket === null;
  }

  /** A path that is not served says so to those only who may know what is. */
  #admitStranger(who: Principal, guard: Guard, request: FastifyRequest): void {
    try {
      guard.admit(who, request.ip);
      authorizeCluster(who, "list");
    } catch (error) {
      const entry = auditEntry(request, { who, operation: `${request.method} unmatched`, params: {} });
      guard.record("list", { ...entry, ...afterFailure(error), outcome: "refused" });
      throw error;
    }
  }

  #fail(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    const known = asApiError(error, this.#options.service.limits);
    if (known.code === "INTERNAL") {
      const { method, url, id } = request;
      this.#options.log.error({ err: error, request: id, method, url }, "request failed by a defect");
    }
    const { status, headers, body } = failure(known, reply.elapsedTime / 1000);
    // The framework wants to close the connection on a client that still sends a body nobody reads, and most clients
    // would hear of a broken pipe instead of the reason. Left open, the rest is thrown away as it comes.
    void reply
      .removeHeader("connection")
      .code(status)
      .headers({ ...headers, ...redirection(known, request), "content-type": JSON_TYPE })
      .send(body);
  }

  #done(request: FastifyRequest, reply: FastifyReply, status: number): void {
    const { observe, log } = this.#options;
    const seconds = reply.elapsedTime / 1000;
    const route = request.routeOptions.url ?? "unmatched";
    observe({ route, method: request.method, status, seconds });
    if (log.isLevelEnabled("debug"))
      log.debug(
        { request: request.id, method: request.method, url: request.url, status, seconds },
        "request",
      );
  }
}

function noCompiler(): never {
  throw new Error("a route has a schema for the framework");
}

/** The same path on the leader, which needs no redirect any more; nodes speak TLS all or none. */
function redirection(
  { code, details }: ApiError,
  { url, protocol }: Pick<FastifyRequest, "url" | "protocol">,
): { readonly location?: string } {
  if (code !== "NOT_LEADER" || details.leader === undefined) return {};
  const [path = "", query = ""] = url.split("?", 2);
  const rest = query.split("&").filter((part) => part !== "" && !part.startsWith("redirect="));
  const kept = rest.length === 0 ? "" : `?${rest.join("&")}`;
  return { location: `${protocol}://${details.leader.http}${path}${kept}` };
}

/** Everything that can be thrown on the way of a request as a row of the table; what is not expected is INTERNAL. */
function asApiError(error: unknown, limits: Limits): ApiError {
  if (error instanceof ApiError) return error;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const message = error instanceof Error ? error.message : String(error);
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE")
    return new ApiError("TOO_LARGE", `Payload error: the body is too large, ${allowed(limits, "bodyBytes")}`);
  // The framework's own complaints, and bodies that broke off.
  const status = error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
  if (typeof status === "number" && status >= 400 && status < 500)
    return new ApiError("BAD_REQUEST", `Wrong input: ${message}`);
  return new ApiError("INTERNAL", "Service internal error: a defect in Flotilla, the log has the details");
}

/** Whoever is still sending can read what he is told so long; cut at once, his system would throw it away. */
const LINGER_MS = 500;

/** What is not HTTP never becomes a request: it is answered on the socket. */
function answerBrokenRequest(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const slow = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
  const large = error.code === "HPE_HEADER_OVERFLOW";
  const told = slow
    ? new ApiError("DEADLINE_EXCEEDED", "Timeout error: the request did not arrive in time")
    : large
      ? new ApiError("TOO_LARGE", "Wrong input: the headers are too large (option `http.header_bytes`)")
      : new ApiError("BAD_REQUEST", "Wrong input: this is not an HTTP request");
  const { status, body } = failure(told, 0);
  const reason = slow ? "Request Timeout" : large ? "Payload Too Large" : "Bad Request";
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: ${JSON_TYPE}\r\nconnection: close\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  // Half of it is open still, and would be for as long as the other side likes.
  const cut = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once("close", () => clearTimeout(cut));
}
