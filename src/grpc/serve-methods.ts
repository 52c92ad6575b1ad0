/**
 * The way of a call, with what it may end with:
 *
 *   load                      after the name of the collection, for reads    UNAVAILABLE
 *   identity, rate            before more of the message is looked at        UNAUTHENTICATED RESOURCE_EXHAUSTED
 *   permission, quota         after the name of the collection               PERMISSION_DENIED RESOURCE_EXHAUSTED
 *   message                   size, format, unknown fields, ranges           INVALID_ARGUMENT UNIMPLEMENTED
 *   use case                  with the permit and the deadline               the table of src/api/errors.ts
 */
import type {
  Metadata,
  sendUnaryData,
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { AdminService } from "../api/admin-service.ts";
import { ApiError, ERRORS } from "../api/errors.ts";
import { within, type Limits } from "../api/limits.ts";
import { LargeBodies } from "../api/large-bodies.ts";
import type { LoadShedder, Work } from "../api/load-shedder.ts";
import { requestController } from "../api/request-signal.ts";
import type { VectorService } from "../api/vector-service.ts";
import type { AuditEntry } from "../auth/audit-log.ts";
import type { Guard } from "../auth/guard.ts";
import { afterFailure, afterSuccess } from "../auth/outcome.ts";
import { addressOf, type Admission } from "./admission.ts";
import type { Method } from "./method.ts";
import type { GrpcObservation } from "./observation.ts";
import { asApiError, statusOf } from "./status.ts";
import { serveStream, shuttingDown } from "./stream.ts";

export interface GrpcDeadlines {
  /** For a call that brings neither a deadline nor `timeout_ms`. */
  readonly deadlineMs: number;
  readonly deadlineMaxMs: number;
}

export interface GrpcParts {
  readonly service: VectorService;
  readonly admin: AdminService;
  readonly admission: Admission;
  readonly guard: Guard;
  readonly shedder: LoadShedder;
  readonly limits: Limits;
  readonly deadlines: GrpcDeadlines;
  /** Aborts when the node ends. */
  readonly stopping: AbortSignal;
  observe(observation: GrpcObservation): void;
  /** A call that failed by a defect. */
  defect(error: unknown, call: { readonly request: string; readonly method: string }): void;
}

/** What calls of every kind have. */
interface Connection {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getPeer(): string;
  getDeadline(): Date | number;
  on(event: "cancelled", then: () => void): unknown;
  removeListener(event: "cancelled", then: () => void): unknown;
}

const same = (bytes: Buffer): Buffer => bytes;

/** Adds the services of these methods to a server that somebody else binds. */
export function addMethods(server: Server, methods: readonly Method[], parts: GrpcParts): void {
  const calls = new Calls(parts);
  for (const service of new Set(methods.map((method) => method.service))) {
    const own = methods.filter((method) => method.service === service);
    const definition = own.map((method) => [method.name, definitionOf(method)] as const);
    const implementation = own.map((method) => [method.name, calls.handler(method)] as const);
    server.addService(Object.fromEntries(definition), Object.fromEntries(implementation));
  }
}

const definitionOf = ({ path, streams }: Method) => ({
  path,
  requestStream: streams,
  responseStream: streams,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});

class Calls {
  readonly #parts: GrpcParts;
  readonly #turns = new LargeBodies();
  #calls = 0;

  constructor(parts: GrpcParts) {
    this.#parts = parts;
  }

  handler(method: Method): UntypedServiceImplementation[string] {
    if (method.streams)
      return (call: ServerDuplexStream<Buffer, Buffer>) => {
        const { stopping } = this.#parts;
        void serveStream(call, stopping, (message, number) => this.#one(method, call, message, number));
      };
    return (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      this.#one(method, call, call.request, 1).then(
        (answer) => callback(null, answer),
        (error: unknown) => callback(statusOf(asApiError(error))),
      );
    };
  }

  async #one(method: Method, call: Connection, message: Buffer, number: number): Promise<Buffer> {
    const started = performance.now();
    const request = `${process.pid.toString(36)}-g${(++this.#calls).toString(36)}`;
    let status = 200;
    try {
      if (this.#parts.stopping.aborted) throw shuttingDown();
      const work = workOf(method);
      this.#parts.shedder.enter(work, work === "read" ? concernedBy(method, message) : "");
      try {
        return await this.#admitted(method, call, message, number, request);
      } finally {
        this.#parts.shedder.leave(work);
      }
    } catch (error) {
      const { code } = asApiError(error);
      if (code === "INTERNAL") this.#parts.defect(error, { request, method: method.path });
      status = call.cancelled ? 499 : ERRORS[code].http;
      throw error;
    } finally {
      const seconds = (performance.now() - started) / 1000;
      this.#parts.observe({ route: method.path, method: "GRPC", status, seconds });
    }
  }

  async #admitted(
    method: Method,
    call: Connection,
    message: Buffer,
    number: number,
    request: string,
  ): Promise<Buffer> {
    const { guard, limits } = this.#parts;
    const { action } = method.rule;
    const remote = addressOf(call.getPeer());
    const who = this.#parts.admission.identify(call.metadata);
    let target = (): AuditEntry["target"] => ({});
    const entry = () => ({
      request,
      actor: who.name,
      credential: who.credential.kind,
      operation: method.path,
      target: target(),
      remote,
    });
    let granted;
    try {
      guard.admit(who, remote);
      within(limits, "bodyBytes", message.length, "the number of bytes of the message", "TOO_LARGE");
      const collection = method.concerns(message);
      if (collection !== null) target = () => ({ collection });
      granted = method.grant(who, collection ?? "");
      guard.checkChange(action, method.adds);
    } catch (error) {
      guard.record(action, { ...entry(), ...afterFailure(error), outcome: "refused" });
      throw error;
    }
    try {
      await new Promise<void>((resolve) => this.#turns.whenDue(message.length, resolve));
      const begun = granted(message, limits);
      target = begun.target;
      using waiting = new Waiting(call, this.#deadline(call, begun.timeoutMs));
      const { service, admin } = this.#parts;
      const { bytes, index } = await begun.run({
        service,
        admin,
        metadata: call.metadata,
        number,
        signal: waiting.signal,
      });
      if (guard.records(action)) guard.record(action, { ...entry(), ...afterSuccess(index) });
      return bytes;
    } catch (error) {
      guard.record(action, { ...entry(), ...afterFailure(error) });
      throw error;
    }
  }

  /** Milliseconds from now. */
  #deadline(call: Connection, timeoutMs: number | null): number {
    const { deadlineMs, deadlineMaxMs } = this.#parts.deadlines;
    if (timeoutMs === 0) throw new ApiError("INVALID", "Wrong input: `timeout_ms` must be above 0");
    if (timeoutMs !== null && timeoutMs > deadlineMaxMs)
      throw new ApiError(
        "INVALID",
        `Wrong input: \`timeout_ms\` is ${timeoutMs}, at most ${deadlineMaxMs} are allowed (option \`http.deadline_max_ms\`)`,
      );
    const own = call.getDeadline();
    const left = (typeof own === "number" ? own : own.getTime()) - Date.now();
    if (timeoutMs !== null) return Math.min(left, timeoutMs);
    return Number.isFinite(left) ? Math.min(left, deadlineMaxMs) : deadlineMs;
  }
}

/** As with REST: what is about points is what a node is for, the rest is its administration. */
function workOf({ service, rule }: Method): Work {
  if (service !== "Points") return "admin";
  return rule.action === "read" ? "read" : "write";
}

/** What is wrong with a message is told to those who may send one; until then it concerns no collection. */
function concernedBy(method: Method, message: Buffer): string {
  try {
    return method.concerns(message) ?? "";
  } catch (error) {
    if (error instanceof ApiError) return "";
    throw error;
  }
}

/** A signal that fires at the deadline and when the client cancels or goes away. */
class Waiting implements Disposable {
  readonly #controller = requestController();
  readonly #timer: NodeJS.Timeout;
  readonly #call: Connection;
  readonly #leave = (): void =>
    this.#controller.abort(new ApiError("DEADLINE_EXCEEDED", "The client went away"));

  constructor(call: Connection, withinMs: number) {
    this.#call = call;
    this.#timer = setTimeout(
      () => this.#controller.abort(new ApiError("DEADLINE_EXCEEDED", "Timeout error: the deadline passed")),
      Math.max(0, withinMs),
    );
    if (call.cancelled) this.#leave();
    else call.on("cancelled", this.#leave);
  }
  get signal(): AbortSignal {
    return this.#controller.signal;
  }
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#call.removeListener("cancelled", this.#leave);
  }
}
