/**
 * What tools ask of any gRPC server: whether it serves (grpc.health.v1), and what (reflection). Only these need the
 * descriptors in the .proto files and the libraries that read them, a tenth of a second: the first call waits for
 * them, a start does not.
 */
import type {
  Server,
  ServerDuplexStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { VectorService } from "../api/vector-service.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import { authorizeCluster } from "../auth/permit.ts";
import type { Admission, Door } from "./admission.ts";
import { asApiError, statusOf } from "./status.ts";

/** The folder of the .proto files, seen from the sources and from what is compiled. */
export const PROTO_ROOT: string = fileURLToPath(new URL("../../proto", import.meta.url)).replace(
  /\/dist\/proto$/,
  "/proto",
);
export const PROTO_FILES: readonly string[] = ["points", "collections", "cluster"].map(
  (name) => `flotilla/v1/${name}.proto`,
);

const HEALTH = "/grpc.health.v1.Health";
const HEALTH_METHODS = { Check: false, List: false, Watch: true };
/** What anybody may ask. */
export const PROBES: readonly string[] = Object.keys(HEALTH_METHODS).map((name) => `${HEALTH}/${name}`);
/** Under both names that tools ask by. As the description of the REST API: for those who may know what there is. */
export const REFLECTION: readonly Door[] = ["v1", "v1alpha"].map((version) => ({
  path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
  rule: { action: "list" },
}));

/** Whoever watches is told of a change within this time; whoever asks gets the truth at once. */
const WATCH_MS = 1_000;

export interface DiscoveryParts {
  readonly service: VectorService;
  readonly authenticator: Authenticator;
  readonly admission: Pick<Admission, "list">;
  /** Full names: `flotilla.v1.Points`. */
  readonly services: readonly string[];
}

type Stream = ServerDuplexStream<unknown, unknown> & { request?: unknown };
type Handler = (call: Stream, callback?: unknown) => void;

interface Loaded {
  readonly definition: ServiceDefinition[string];
  readonly handler: Handler;
}

export class Discovery implements Disposable {
  readonly #parts: DiscoveryParts;
  readonly #open = new Set<Stream>();
  readonly #known = new Map<string, Loaded>();
  #loading: Promise<void> | null = null;
  #refresh = (): void => undefined;
  #timer: NodeJS.Timeout | null = null;

  constructor(parts: DiscoveryParts) {
    this.#parts = parts;
  }

  addTo(server: Server): void {
    const entries = Object.entries(HEALTH_METHODS).map(
      ([name, streams]) => [name, `${HEALTH}/${name}`, false, streams] as const,
    );
    this.#add(server, entries, () => this.#refresh());
    for (const { path } of REFLECTION)
      this.#add(server, [["ServerReflectionInfo", path, true, true]], (call) =>
        this.#parts.admission.list(call.metadata, call.getPeer()),
      );
  }

  /** Tells those who watch that it is over, and ends their calls, for which a server would wait. */
  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#refresh();
    for (const call of this.#open) call.end();
  }

  #add(
    server: Server,
    methods: readonly (readonly [name: string, path: string, requests: boolean, answers: boolean])[],
    before: (call: Stream) => void,
  ): void {
    const definition = methods.map(([name, path, requestStream, responseStream]) => [
      name,
      {
        path,
        requestStream,
        responseStream,
        requestSerialize: same,
        responseDeserialize: same,
        // A stream's messages are read once its handler listens, which is after loading; a single one before.
        requestDeserialize: (bytes: Buffer): unknown =>
          requestStream ? this.#known.get(path)?.definition.requestDeserialize(bytes) : bytes,
        responseSerialize: (value: unknown): Buffer =>
          this.#known.get(path)?.definition.responseSerialize(value) ?? Buffer.alloc(0),
      },
    ]);
    const implementation = methods.map(([name, path, , answers]) => [
      name,
      (call: Stream, callback?: unknown) => void this.#serve(path, { call, callback, answers, before }),
    ]);
    server.addService(
      Object.fromEntries(definition) as ServiceDefinition,
      Object.fromEntries(implementation) as UntypedServiceImplementation,
    );
  }

  async #serve(
    path: string,
    {
      call,
      callback,
      answers,
      before,
    }: {
      readonly call: Stream;
      readonly callback: unknown;
      readonly answers: boolean;
      readonly before: (call: Stream) => void;
    },
  ): Promise<void> {
    try {
      await this.#load();
      before(call);
      const { definition, handler } = this.#known.get(path) as Loaded;
      if (Buffer.isBuffer(call.request)) call.request = definition.requestDeserialize(call.request);
      if (answers) this.#follow(call);
      handler(call, callback);
    } catch (error) {
      const status = statusOf(asApiError(error));
      if (typeof callback === "function") (callback as (status: unknown) => void)(status);
      else call.emit("error", status);
    }
  }

  #follow(call: Stream): void {
    this.#open.add(call);
    for (const end of ["close", "cancelled", "finish"]) call.once(end, () => void this.#open.delete(call));
  }

  #load(): Promise<void> {
    this.#loading ??= this.#loadNow();
    return this.#loading;
  }

  async #loadNow(): Promise<void> {
    const [loader, { HealthImplementation }, { ReflectionService }] = await Promise.all([
      import("@grpc/proto-loader"),
      import("grpc-health-check"),
      import("@grpc/reflection"),
    ]);
    const { service, authenticator, services } = this.#parts;
    const files = PROTO_FILES.map((file) => join(PROTO_ROOT, file));
    const descriptors = await loader.load(files, { keepCase: true, includeDirs: [PROTO_ROOT] });
    const collect = {
      addService: (definition: ServiceDefinition, implementation: UntypedServiceImplementation): void => {
        for (const [name, method] of Object.entries(definition)) {
          const handler = implementation[name] ?? implementation[method.originalName ?? ""];
          if (handler !== undefined)
            this.#known.set(method.path, { definition: method, handler: handler as Handler });
        }
      },
    };
    new ReflectionService(descriptors, { services: [...services] }).addToServer(collect);
    const health = new HealthImplementation();
    health.addToServer(collect);
    const nobody = authenticator.identify({ apiKey: undefined, authorization: undefined });
    const probe = authorizeCluster(nobody, "probe");
    let last = "";
    this.#refresh = () => {
      const status = service.readiness(probe).ready ? "SERVING" : "NOT_SERVING";
      // Every status that is set is sent to whoever watches.
      if (status !== last) for (const name of ["", ...services]) health.setStatus(name, status);
      last = status;
    };
    this.#refresh();
    this.#timer = setInterval(() => this.#refresh(), WATCH_MS).unref();
  }
}

const same = (bytes: Buffer): Buffer => bytes;
