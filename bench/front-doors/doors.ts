/** The same requests for each front-end, put together before they are measured; true: answered well. */
import { Client, credentials } from "@grpc/grpc-js";
import { HttpClient } from "../../src/cli/http-client.ts";
import { vectorJson } from "../../src/cli/vector-json.ts";
import { SEARCH, UPSERT } from "../../src/grpc/messages/points.ts";

const LIMIT = 10;
const EF = 64;

export interface Door extends Disposable {
  searchOf(vector: Float32Array): Buffer;
  search(request: Buffer): Promise<boolean>;
  /** Points with ids from `from` on. */
  upsertOf(from: number, vectors: readonly Float32Array[]): Buffer;
  upsert(request: Buffer): Promise<boolean>;
}

export class RestDoor implements Door {
  readonly #http: HttpClient;
  readonly #points: string;

  constructor(at: {
    readonly url: string;
    readonly connections: number;
    readonly collection: string;
    readonly apiKey?: string;
    readonly ca?: string;
  }) {
    this.#http = new HttpClient(at);
    this.#points = `/collections/${at.collection}/points`;
  }

  searchOf(vector: Float32Array): Buffer {
    const rest = `"limit":${LIMIT},"params":{"hnsw_ef":${EF}}`;
    return this.#http.encode("POST", `${this.#points}/search`, `{"vector":${vectorJson(vector)},${rest}}`);
  }
  upsertOf(from: number, vectors: readonly Float32Array[]): Buffer {
    const points = vectors.map((vector, at) => `{"id":${from + at},"vector":${vectorJson(vector)}}`);
    return this.#http.encode("PUT", this.#points, `{"points":[${points.join(",")}]}`);
  }
  async search(request: Buffer): Promise<boolean> {
    const { status, body } = await this.#http.exchange(request);
    JSON.parse(body.toString());
    return status === 200;
  }
  async upsert(request: Buffer): Promise<boolean> {
    return (await this.#http.exchange(request)).status === 200;
  }
  [Symbol.dispose](): void {
    this.#http[Symbol.dispose]();
  }
}

export class GrpcDoor implements Door {
  readonly #clients: readonly Client[];
  readonly #collection: string;
  #next = 0;

  constructor(at: { readonly address: string; readonly connections: number; readonly collection: string }) {
    // One connection each, as the other door's clients have.
    this.#clients = Array.from(
      { length: at.connections },
      () => new Client(at.address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 }),
    );
    this.#collection = at.collection;
  }

  searchOf(vector: Float32Array): Buffer {
    const { collection, options } = this.#common();
    const selected = { withPayload: null, withVector: false };
    const query = { vector, point: null, limit: LIMIT, offset: 0, scoreThreshold: null, hnswEf: EF };
    return SEARCH.encode({ collection, query: { ...query, exact: false, ...selected }, options });
  }
  upsertOf(from: number, vectors: readonly Float32Array[]): Buffer {
    const { collection, options } = this.#common();
    const points = vectors.map((vector, at) => ({ id: from + at, vector, payloadJson: null, version: 0 }));
    return UPSERT.encode({ collection, points, ifVersion: null, options });
  }
  search(request: Buffer): Promise<boolean> {
    return this.#call("Search", request);
  }
  upsert(request: Buffer): Promise<boolean> {
    return this.#call("Upsert", request);
  }
  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }

  #common() {
    return { collection: this.#collection, options: null };
  }

  #call(method: string, request: Buffer): Promise<boolean> {
    const client = this.#clients[this.#next++ % this.#clients.length] as Client;
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        `/flotilla.v1.Points/${method}`,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        request,
        (error) => resolve(error === null),
      );
    });
  }
}
