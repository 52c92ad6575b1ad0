/** The gRPC API for clients as one thing to put on a server. */
import type { Server } from "@grpc/grpc-js";
import { Discovery } from "./discovery.ts";
import { methods } from "./methods.ts";
import { addMethods, type GrpcParts } from "./serve-methods.ts";

export type GrpcApiParts = Omit<GrpcParts, "stopping" | "limits">;

export class GrpcApi implements Disposable {
  readonly #parts: GrpcParts;
  readonly #stopping = new AbortController();
  readonly #discovery: Discovery;

  constructor(parts: GrpcApiParts) {
    const { service, authenticator } = parts;
    this.#parts = { ...parts, limits: service.limits, stopping: this.#stopping.signal };
    const services = ["Points", "Collections", "Cluster"].map((name) => `flotilla.v1.${name}`);
    this.#discovery = new Discovery({ service, authenticator, services });
  }

  /** Before or after the server is bound. */
  addTo(server: Server): void {
    addMethods(server, methods(this.#parts.limits), this.#parts);
    this.#discovery.addTo(server);
  }

  /** Calls that come from now on are refused, streams end after the message being carried out. */
  [Symbol.dispose](): void {
    this.#stopping.abort();
    this.#discovery[Symbol.dispose]();
  }
}
