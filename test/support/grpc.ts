/** The gRPC API over the model cluster, and a client that reads the .proto files as any client would. */
import {
  Client,
  credentials,
  Metadata,
  status as STATUS,
  type ClientDuplexStream,
  type ServiceError,
  type StatusObject,
} from "@grpc/grpc-js";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import { MemoryCluster } from "../../bench/support/memory-cluster.ts";
import { limitFirstFrames } from "../../shards/adapters.ts";
import { AdminService } from "../../src/api/admin-service.ts";
import { limits, type Limits } from "../../src/api/limits.ts";
import { LoadShedder, type ShedOptions, type ShedParts } from "../../src/api/load-shedder.ts";
import { VectorService } from "../../src/api/vector-service.ts";
import { Authenticator, type Keys } from "../../src/auth/authenticator.ts";
import { Guard } from "../../src/auth/guard.ts";
import type { Tokens } from "../../src/auth/tokens.ts";
import { GrpcApi } from "../../src/grpc/api.ts";
import { PROTO_FILES, PROTO_ROOT } from "../../src/grpc/discovery.ts";
import type { GrpcObservation } from "../../src/grpc/observation.ts";
import type { GrpcDeadlines } from "../../src/grpc/serve-methods.ts";
import { serveGrpc, type GrpcServer } from "../../src/grpc/server.ts";

const definitions = loadSync([...PROTO_FILES], { includeDirs: [PROTO_ROOT], longs: Number, enums: String });

type Json = Readonly<Record<string, unknown>>;

export function definitionOf(path: string): MethodDefinition<object, object> {
  const [, service = "", name = ""] = path.split("/");
  const found = (definitions[service] as ServiceDefinition | undefined)?.[name];
  if (found === undefined) throw new Error(`${path} is in no .proto file`);
  return found;
}

export interface CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

/** What became of a call; `code` OK has an answer. */
export interface GrpcAnswer {
  readonly code: string;
  readonly answer: Json;
  readonly details: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export class GrpcClient implements Disposable {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
    });
  }

  /** `path`: `Points/Search`, or a whole path. */
  call(path: string, request: object, options: CallOptions = {}): Promise<GrpcAnswer> {
    const definition = definitionOf(full(path));
    return this.raw(full(path), definition.requestSerialize(request), options, (bytes) =>
      definition.responseDeserialize(bytes),
    );
  }

  /** As `call`, with bytes that are sent as they are. */
  raw(
    path: string,
    bytes: Buffer,
    { metadata = {}, deadlineMs, signal }: CallOptions = {},
    read: (bytes: Buffer) => object = () => ({}),
  ): Promise<GrpcAnswer> {
    return new Promise((resolve) => {
      const done = (error: ServiceError | null, answer?: object): void => {
        const told = error === null ? { code: STATUS.OK, details: "", metadata: new Metadata() } : error;
        resolve({ ...plain(told), answer: (answer ?? {}) as Json });
      };
      const call = this.#client.makeUnaryRequest(
        full(path),
        (request: Buffer) => request,
        read,
        bytes,
        metadataOf(metadata),
        deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
        done,
      );
      signal?.addEventListener("abort", () => call.cancel(), { once: true });
    });
  }

  stream(path: string, options: CallOptions = {}): ClientDuplexStream<object, Json> {
    const { requestSerialize, responseDeserialize } = definitionOf(full(path));
    return this.#client.makeBidiStreamRequest(
      full(path),
      requestSerialize,
      (bytes) => responseDeserialize(bytes) as Json,
      metadataOf(options.metadata ?? {}),
    );
  }

  /** As `stream`, with bytes that are sent as they are; the answers are not read. */
  rawStream(path: string, options: CallOptions = {}): ClientDuplexStream<object, Json> {
    return this.#client.makeBidiStreamRequest(
      full(path),
      (bytes: object) => bytes as Buffer,
      () => ({}),
      metadataOf(options.metadata ?? {}),
    );
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

const full = (path: string): string => (path.startsWith("/") ? path : `/flotilla.v1.${path}`);

function metadataOf(entries: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value);
  return metadata;
}

export function plain(told: StatusObject): Omit<GrpcAnswer, "answer"> {
  return {
    code: STATUS[told.code] ?? String(told.code),
    details: told.details,
    metadata: told.metadata.getMap(),
  };
}

/** Resolves with the status that ends the stream. */
export function ended(stream: ClientDuplexStream<object, Json>): Promise<Omit<GrpcAnswer, "answer">> {
  return new Promise((resolve) => {
    stream.on("error", () => undefined);
    stream.on("status", (status: StatusObject) => resolve(plain(status)));
  });
}

export interface Grpc extends AsyncDisposable {
  readonly cluster: MemoryCluster;
  readonly client: GrpcClient;
  readonly api: GrpcApi;
  readonly server: GrpcServer;
  readonly observed: GrpcObservation[];
  readonly defects: unknown[];
  call(path: string, request: object, options?: CallOptions): Promise<GrpcAnswer>;
}

export interface GrpcOptions {
  readonly keys?: Keys;
  readonly tokens?: Tokens;
  readonly guard?: Guard;
  readonly limits?: Partial<Limits>;
  readonly deadlines?: GrpcDeadlines;
  readonly shed?: ShedOptions;
  readonly shedParts?: ShedParts;
}

export async function startGrpc(options: GrpcOptions = {}): Promise<Grpc> {
  const cluster = new MemoryCluster();
  const service = new VectorService({ limits: limits(options.limits) }, { cluster });
  const observed: GrpcObservation[] = [];
  const defects: unknown[] = [];
  const api = new GrpcApi({
    service,
    admin: new AdminService({ limits: service.limits }, { admin: cluster.admin, node: () => cluster.node() }),
    authenticator: new Authenticator(options.keys ?? {}, { tokens: options.tokens ?? null }),
    guard: options.guard ?? new Guard(),
    shedder: new LoadShedder(options.shed ?? { inflightMax: 1_000, shedDelayMs: 60_000 }, options.shedParts),
    deadlines: options.deadlines ?? { deadlineMs: 60_000, deadlineMaxMs: 600_000 },
    limitFirstFrames,
    observe: (observation) => observed.push(observation),
    defect: (error) => defects.push(error),
  });
  const server = await serveGrpc({
    host: "127.0.0.1",
    port: 0,
    messageBytesMax: 128 * 2 ** 20,
    interceptors: api.interceptors,
    services: [(target) => api.addTo(target)],
  });
  const client = new GrpcClient(server.address);
  return {
    cluster,
    client,
    api,
    server,
    observed,
    defects,
    call: (path, request, more) => client.call(path, request, more),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      api[Symbol.dispose]();
      await server.close({ drainMs: 100 });
    },
  };
}
