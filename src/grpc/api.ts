/** The gRPC API for clients as one thing to put on a server. */
import type { Server, ServerInterceptor } from "@grpc/grpc-js";
import { Admission, type AdmissionParts } from "./admission.ts";
import { Discovery, PROBES, REFLECTION } from "./discovery.ts";
import type { Method } from "./method.ts";
import { methods } from "./methods.ts";
import { addMethods, type GrpcParts } from "./serve-methods.ts";

export type GrpcApiParts = Omit<GrpcParts, "stopping" | "limits" | "admission"> & AdmissionParts;

export class GrpcApi implements Disposable {
  readonly #parts: GrpcParts;
  readonly #methods: readonly Method[];
  readonly #stopping = new AbortController();
  readonly #discovery: Discovery;
  readonly #open: boolean;

  constructor(parts: GrpcApiParts) {
    const { service, authenticator } = parts;
    this.#open = authenticator.open;
    this.#methods = methods(service.limits);
    const admission = new Admission({ doors: [...this.#methods, ...REFLECTION], probes: PROBES }, parts);
    this.#parts = { ...parts, admission, limits: service.limits, stopping: this.#stopping.signal };
    const services = ["Points", "Collections", "Cluster"].map((name) => `flotilla.v1.${name}`);
    this.#discovery = new Discovery({ service, authenticator, services, admission });
  }

  /** For the server: refuse strangers before it reads what they send. None where nobody is one. */
  get interceptors(): readonly ServerInterceptor[] {
    return this.#open ? [] : [this.#parts.admission.interceptor];
  }

  /** Before or after the server is bound. */
  addTo(server: Server): void {
    addMethods(server, this.#methods, this.#parts);
    this.#discovery.addTo(server);
  }

  /** Calls that come from now on are refused, streams end after the message being carried out. */
  [Symbol.dispose](): void {
    this.#stopping.abort();
    this.#discovery[Symbol.dispose]();
  }
}
