/** Three Flotilla nodes with one collection, every shard on all of them. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { WorkDir } from "../../src/cli/bench/loaded-set.ts";
import { NodeProcess } from "../../src/cli/bench/node-process.ts";
import { HttpClient, HttpClientError } from "../../src/cli/http-client.ts";
import { call, isRecord } from "../../src/cli/rest.ts";
import { DIMENSION, NODES, REQUEST_MS, SETTLE_MS, valueOf, type ReplicatedStore } from "./store.ts";

const POLL_MS = 20;
export const COLLECTION = "bench";
/** For `args`: snapshots as fast as they go; the usual limit leaves room for writes. */
export const SNAPSHOTS_UNLIMITED = ["--cluster-snapshot-bytes-per-s", String(64 * 2 ** 30)];
const POINTS = `/collections/${COLLECTION}/points`;

export interface StoreOptions {
  readonly nodes?: number;
  readonly shards?: number;
  /** Default: one on every node. */
  readonly replicas?: number;
  readonly connections?: number;
  readonly dimension?: number;
  readonly distance?: string;
  /** Further arguments of `flotilla serve`, for every node. */
  readonly args?: readonly string[];
}

export class FlotillaStore implements ReplicatedStore {
  readonly name = "flotilla";
  readonly #work = new WorkDir();
  readonly #options: StoreOptions;
  readonly #nodes: NodeProcess[] = [];
  readonly #clients: HttpClient[] = [];
  /** Positions of the nodes that answer. */
  readonly #running: number[] = [];

  private constructor(options: StoreOptions) {
    this.#options = options;
  }

  static async open(options: StoreOptions = {}): Promise<FlotillaStore> {
    const store = new FlotillaStore(options);
    try {
      const nodes = options.nodes ?? NODES;
      for (let at = 0; at < nodes; at++) await store.start(at);
      await call(store.client(0), "PUT", `/collections/${COLLECTION}`, {
        vectors: { size: options.dimension ?? DIMENSION, distance: options.distance ?? "Euclid" },
        shard_number: options.shards ?? 1,
        replication_factor: options.replicas ?? nodes,
      });
      await store.untilWhole();
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
    return store;
  }

  get nodes(): readonly NodeProcess[] {
    return this.#nodes;
  }
  dataDir(at: number): string {
    return join(this.#work.path, `node-${at}`);
  }
  /** Bytes of the files of all shards on that node. */
  shardBytes(at: number): number {
    return readdirSync(join(this.dataDir(at), "shards"), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  }
  client(at: number): HttpClient {
    const client = this.#clients[at];
    if (client === undefined) throw new RangeError(`there is no node at ${at}`);
    return client;
  }
  node(at: number): NodeProcess {
    const node = this.#nodes[at];
    if (node === undefined) throw new RangeError(`there is no node at ${at}`);
    return node;
  }

  async leader(): Promise<number> {
    const shards = await this.untilWhole();
    return this.#nodes.findIndex(({ nodeId }) => nodeId === shards[0]?.leader);
  }

  /** Resolves when every shard is led and all its replicas vote and keep up. */
  async untilWhole(
    voters = this.#options.replicas ?? this.#nodes.length,
    collection = COLLECTION,
  ): Promise<readonly ShardState[]> {
    const deadline = performance.now() + SETTLE_MS;
    for (;;) {
      const shards = await this.shards(collection);
      const whole = shards.every(
        ({ leader, replicas }) =>
          leader !== null &&
          replicas.length === voters &&
          replicas.every(({ role, state }) => role !== "learner" && state === "active"),
      );
      if (whole && shards.length > 0) return shards;
      if (performance.now() > deadline) throw new Error(`not whole in time: ${JSON.stringify(shards)}`);
      await sleep(POLL_MS);
    }
  }
  async shards(collection = COLLECTION): Promise<readonly ShardState[]> {
    const at = this.#running[0] ?? 0;
    try {
      const result = await call(this.client(at), "GET", `/collections/${collection}/shards`);
      return isRecord(result) ? (result["shards"] as readonly ShardState[]) : [];
    } catch (error) {
      // A shard without a leader, or a node that has just come back: asked again by who waits.
      if (error instanceof Error) return [];
      throw error;
    }
  }

  async put(at: number, key: number): Promise<boolean> {
    const body = `{"points":[{"id":${key},"vector":[${valueOf(key)}]}]}`;
    return await this.write(at, body);
  }
  /** One request of the given points; true: acknowledged. */
  async write(at: number, body: string): Promise<boolean> {
    return (await this.writeTo(at, body)) !== null;
  }
  /** The same, with the shards that were written, as in "0,2"; null: not acknowledged. */
  async writeTo(at: number, body: string): Promise<string | null> {
    try {
      const seconds = REQUEST_MS / 1000;
      const answer = await this.client(at).request("PUT", `${POINTS}?timeout=${seconds}`, body);
      if (answer.status !== 200) return null;
      return answer.header("x-flotilla-index")?.replace(/=\d+/g, "") ?? "";
    } catch (error) {
      if (error instanceof HttpClientError) return null;
      throw error;
    }
  }

  async kill(at: number): Promise<void> {
    this.#gone(at);
    await this.node(at).kill();
  }
  async stop(at: number): Promise<void> {
    this.#gone(at);
    const code = await this.node(at).stop();
    if (code !== 0) throw new Error(`the node ended with ${code} when told to stop`);
  }
  pause(at: number): void {
    this.#gone(at);
    this.node(at).signal("SIGSTOP");
  }
  resume(at: number): void {
    this.node(at).signal("SIGCONT");
    this.#running.push(at);
  }
  async start(at: number): Promise<void> {
    const others = this.#running.map((other) => this.node(other).peer);
    const node = await NodeProcess.start({
      dataDir: this.dataDir(at),
      args: [...(others.length === 0 ? [] : ["--join", others.join(",")]), ...(this.#options.args ?? [])],
    });
    this.#clients[at]?.[Symbol.dispose]();
    this.#nodes[at] = node;
    const { connections = 8 } = this.#options;
    this.#clients[at] = new HttpClient({ url: node.url, connections, timeoutMs: REQUEST_MS });
    this.#running.push(at);
  }
  #gone(at: number): void {
    this.#running.splice(this.#running.indexOf(at), 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client[Symbol.dispose]();
    await Promise.all(
      this.#nodes.map(async (node) => {
        if (!node.ended) await node.kill();
      }),
    );
    this.#work[Symbol.dispose]();
  }
}

export interface ShardState {
  readonly shard: number;
  readonly leader: number | null;
  readonly replicas: readonly {
    readonly node_id: number;
    readonly role: string;
    readonly state: string;
    readonly points: number | null;
  }[];
}
