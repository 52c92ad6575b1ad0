/**
 * A cluster in one object: a map of points per collection, an exact scan, a counter as the log. It keeps the contract
 * of {@link Cluster} and nothing else, so that front-ends can be tested and measured without anything below them, and
 * so that the real one has an obvious model to be compared with.
 */
import { isDeepStrictEqual } from "node:util";
import { ApiError } from "../../src/api/errors.ts";
import type {
  CallOptions,
  Cluster,
  CollectionInfo,
  CollectionPatch,
  NewCollection,
  NodeStatus,
  PayloadSelector,
  PointId,
  ReadOptions,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
  ShardStatus,
  StoredPoint,
  WriteOp,
  WriteOptions,
  WriteReceipt,
} from "../../src/cluster/types.ts";
import { compareIds } from "../../src/engine/order.ts";
import { MemoryAdmin } from "./memory-admin.ts";
import { applyAll, score, select, type Point } from "./memory-points.ts";

interface Collection {
  info: CollectionInfo;
  points: Map<PointId, Point>;
  index: number;
  readonly keys: Map<string, { readonly operations: readonly WriteOp[]; readonly index: number }>;
}

export class MemoryCluster implements Cluster {
  readonly #collections = new Map<string, Collection>();
  /** What operators ask for. */
  readonly admin = new MemoryAdmin((name) => this.#get(name).info);
  #nextId = 1;
  #version = 0;
  #ready = true;
  #gate: { readonly opened: Promise<void>; arrived(signal: AbortSignal): void } | null = null;
  #failure: Error | null = null;
  /** The options of the last call, in order to see what a front-end asked for. */
  lastRead: ReadOptions | null = null;
  lastWrite: WriteOptions | null = null;

  // ------------------------------------------------------------------------------------------- how it is doing

  /**
   * From now on calls wait (writes after they were proposed) until `release`; `arrived` is the signal of the first
   * one that does.
   */
  hold(): { release(): void; readonly arrived: Promise<AbortSignal> } {
    const { promise, resolve } = gate();
    let first = (_signal: AbortSignal): void => undefined;
    const arrived = new Promise<AbortSignal>((settle) => (first = settle));
    this.#gate = { opened: promise, arrived: (signal) => first(signal) };
    const release = (): void => {
      this.#gate = null;
      resolve();
    };
    return { release, arrived };
  }

  /** The next call fails so. */
  failNext(failure: Error): void {
    this.#failure = failure;
  }

  setReady(ready: boolean): void {
    this.#ready = ready;
  }

  // ---------------------------------------------------------------------------------------------- collections

  collections(): readonly CollectionInfo[] {
    const all = [...this.#collections.values()].map(({ info }) => info);
    return all.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  collection(name: string): CollectionInfo | null {
    return this.#collections.get(this.admin.resolve(name))?.info ?? null;
  }

  async createCollection(wanted: NewCollection, options: CallOptions): Promise<CollectionInfo> {
    await this.#wait(options.signal);
    const { name, vectors, replicationFactor, metadata } = wanted;
    if (this.#collections.has(name))
      throw new ApiError("COLLECTION_EXISTS", `Wrong input: Collection \`${name}\` already exists!`);
    const shards = Array.from({ length: wanted.shardNumber }, (_, shard) => ({ shard, group: shard + 1 }));
    const id = this.#nextId++;
    const info = { id, name, vectors, shards, replicationFactor, metadata, version: ++this.#version };
    this.#collections.set(name, { info, points: new Map(), index: 0, keys: new Map() });
    return info;
  }

  async updateCollection(
    name: string,
    patch: CollectionPatch,
    options: CallOptions,
  ): Promise<CollectionInfo> {
    await this.#wait(options.signal);
    const collection = this.#get(name);
    const merged = Object.entries({ ...collection.info.metadata, ...patch.metadata });
    const metadata =
      patch.metadata === undefined
        ? collection.info.metadata
        : Object.fromEntries(merged.filter(([, value]) => value !== null));
    collection.info = { ...collection.info, ...patch, metadata, version: ++this.#version };
    return collection.info;
  }

  async deleteCollection(name: string, options: CallOptions): Promise<boolean> {
    await this.#wait(options.signal);
    return this.#collections.delete(name);
  }

  // --------------------------------------------------------------------------------------------------- writes

  async write(name: string, operations: readonly WriteOp[], options: WriteOptions): Promise<WriteReceipt> {
    this.lastWrite = options;
    options.signal.throwIfAborted();
    const collection = this.#get(name);
    const { idempotencyKey: key } = options;
    const before = key === null ? undefined : collection.keys.get(key);
    if (before !== undefined) {
      if (!isDeepStrictEqual(before.operations, operations))
        throw new ApiError("CONFLICT", "Conflict: this Idempotency-Key was used for another request");
      return { indexes: [{ shard: 0, index: before.index }], duplicate: true };
    }
    const index = ++collection.index;
    collection.points = applyAll(collection.points, operations, index);
    if (key !== null) collection.keys.set(key, { operations, index });
    try {
      await this.#wait(options.signal);
    } catch (cause) {
      if (!options.signal.aborted) throw cause;
      const unknown = [{ shard: 0, term: 1, index }];
      throw new ApiError(
        "OUTCOME_UNKNOWN",
        "Timeout error: the write may still happen",
        { unknown },
        { cause },
      );
    }
    return { indexes: [{ shard: 0, index }], duplicate: false };
  }

  // ---------------------------------------------------------------------------------------------------- reads

  async search(
    name: string,
    queries: readonly SearchQuery[],
    options: ReadOptions,
  ): Promise<readonly (readonly ScoredPoint[])[]> {
    const { info, points } = await this.#read(name, options);
    return queries.map((query) => {
      const { distance } = info.vectors;
      const nearest = distance === "Euclid" ? 1 : -1;
      const hits = [...points.values()].map((point) => ({
        point,
        score: score(distance, query.vector, point.vector),
      }));
      const limit = query.scoreThreshold;
      return hits
        .filter(({ point }) => point.id !== query.excludeId)
        .filter((hit) => limit === null || (hit.score - limit) * nearest <= 0)
        .sort((a, b) => (a.score - b.score) * nearest || compareIds(a.point.id, b.point.id))
        .slice(query.offset, query.offset + query.limit)
        .map(({ point, score }) => ({ ...shaped(point, query), score }));
    });
  }

  async retrieve(
    name: string,
    ids: readonly PointId[],
    shape: { readonly withPayload: PayloadSelector; readonly withVector: boolean },
    options: ReadOptions,
  ): Promise<readonly StoredPoint[]> {
    const { points } = await this.#read(name, options);
    return ids.flatMap((id) => {
      const point = points.get(id);
      return point === undefined ? [] : [shaped(point, shape)];
    });
  }

  async scroll(
    name: string,
    page: {
      readonly from: PointId | null;
      readonly limit: number;
      readonly withPayload: PayloadSelector;
      readonly withVector: boolean;
    },
    options: ReadOptions,
  ): Promise<ScrollPage> {
    const { points } = await this.#read(name, options);
    const { from, limit } = page;
    const rest = [...points.values()]
      .filter(({ id }) => from === null || compareIds(id, from) >= 0)
      .sort((a, b) => compareIds(a.id, b.id));
    const shown = rest.slice(0, limit).map((point) => shaped(point, page));
    return { points: shown, next: rest[limit]?.id ?? null };
  }

  async count(name: string, options: ReadOptions): Promise<number> {
    return (await this.#read(name, options)).points.size;
  }

  async shards(name: string, options: CallOptions): Promise<readonly ShardStatus[]> {
    await this.#wait(options.signal);
    const { info, points, index } = this.#get(name);
    // Everything lives in the first shard: what the others hold is not this model's business.
    return info.shards.map(({ shard, group }) => ({
      shard,
      group,
      node: 1,
      role: "leader",
      leader: 1,
      term: 1,
      commit: shard === 0 ? index : 0,
      applied: shard === 0 ? index : 0,
      firstIndex: 1,
      logBytes: 0,
      error: null,
      engine: {
        points: shard === 0 ? points.size : 0,
        indexed: shard === 0 ? points.size : 0,
        tail: 0,
        tombstones: 0,
        appliedIndex: index,
        durableIndex: index,
        stateHash: "0".repeat(32),
        hashMarks: [],
        graphSaves: 0,
        graphSaveFailures: 0,
        rebuilds: 0,
        rebuilding: null,
        bytes: { graph: 0, tail: 0, tables: 0, bytesPerPoint: 0 },
        diskBytes: 0,
        failure: null,
      },
    }));
  }

  overview(name: string, options: CallOptions): Promise<readonly ShardStatus[]> {
    return this.shards(name, options);
  }

  node(): NodeStatus {
    return {
      nodeId: 1,
      clusterId: "memory",
      version: "0.1.0",
      startedAt: "2026-01-01T00:00:00.000Z",
      ready: this.#ready,
      notes: this.#ready ? [] : ["shard 0 of `a`: rebuilding the graph, 10 of 100 points"],
      catalogue: { leader: 1, term: 1, applied: this.#version },
      build: { hnswlib: "unknown", flags: "", node: process.version },
    };
  }

  // ------------------------------------------------------------------------------------------------- internals

  #get(name: string): Collection {
    const found = this.#collections.get(this.admin.resolve(name));
    if (found === undefined)
      throw new ApiError("COLLECTION_NOT_FOUND", `Not found: Collection \`${name}\` doesn't exist!`);
    return found;
  }

  async #read(name: string, options: ReadOptions): Promise<Collection> {
    this.lastRead = options;
    await this.#wait(options.signal);
    return this.#get(name);
  }

  async #wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure;
    if (this.#gate === null) return;
    const { promise, reject } = gate();
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#gate.arrived(signal);
    try {
      await Promise.race([this.#gate.opened, promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }
}

function gate(): { promise: Promise<void>; resolve: () => void; reject: (reason: unknown) => void } {
  const out = { resolve: (): void => undefined, reject: (_reason: unknown): void => undefined };
  const promise = new Promise<void>((resolve, reject) => Object.assign(out, { resolve, reject }));
  return { promise, resolve: () => out.resolve(), reject: (reason) => out.reject(reason) };
}

function shaped(
  point: Point,
  shape: { readonly withPayload: PayloadSelector; readonly withVector: boolean },
): StoredPoint {
  const { id, version, vector } = point;
  const payload = point.payload === null ? null : select(point.payload, shape.withPayload);
  return shape.withVector ? { id, version, payload, vector } : { id, version, payload };
}
