/**
 * The use cases behind both front-ends. A method takes a permit that only `authorize` can make, checks what the
 * client asked for against the limits, and hands it to the cluster; every change goes through {@link Cluster.write}
 * or the catalogue's calls, and so through a log.
 */
import type { Cluster } from "../cluster/types.ts";
import { sees, type ClusterPermit, type CollectionPermit, type Principal } from "../auth/permit.ts";
import { ApiError } from "./errors.ts";
import { between, within, type Limits } from "./limits.ts";
import { checkCollectionName } from "./names.ts";
import { checkPayload } from "./payloads.ts";
import { checkedSearch, type SearchRequest } from "./searches.ts";
import { SharedRun } from "./shared-run.ts";
import { checkedWrite, checkSelector } from "./writes.ts";
import type {
  CallOptions,
  CollectionInfo,
  CollectionPatch,
  NewCollection,
  NodeStatus,
  PayloadSelector,
  PointId,
  ReadOptions,
  ScoredPoint,
  ScrollPage,
  ShardStatus,
  StoredPoint,
  WriteOp,
  WriteOptions,
  WriteReceipt,
} from "./types.ts";

/** How the points of an answer look. */
export interface PointShape {
  readonly withPayload: PayloadSelector;
  readonly withVector: boolean;
}

type AnyCollectionPermit = CollectionPermit<"read" | "write" | "configure" | "manage">;

/** A replica on this node. */
export interface LocalShard {
  readonly collection: string;
  readonly status: ShardStatus;
}

/** Failures are thrown as {@link ApiError}. */
export class VectorService {
  readonly limits: Limits;
  readonly #redirectWrites: boolean;
  readonly #cluster: Cluster;
  readonly #catchUp = new SharedRun(async (signal) => {
    const linearizable = { signal, consistency: { level: "linearizable" } } as const;
    for (const { name } of this.#cluster.collections()) await this.#cluster.count(name, linearizable);
  });

  /** `redirectWrites`: what becomes of a write that another node leads and that does not say so itself. */
  constructor(
    options: { readonly limits: Limits; readonly redirectWrites?: boolean },
    parts: { readonly cluster: Cluster },
  ) {
    this.limits = options.limits;
    this.#redirectWrites = options.redirectWrites ?? false;
    this.#cluster = parts.cluster;
  }

  // ------------------------------------------------------------------------------------------------ collections

  /** Those the principal may read, in order of name. */
  collections(permit: ClusterPermit<"list">): readonly CollectionInfo[] {
    return this.#cluster.collections().filter(({ name }) => sees(permit, name));
  }

  exists(permit: CollectionPermit<"read">): boolean {
    return this.#cluster.collection(permit.collection) !== null;
  }

  /** What a request needs to know to be understood: COLLECTION_NOT_FOUND when there is none of this name. */
  collection(permit: AnyCollectionPermit): CollectionInfo {
    const found = this.#cluster.collection(permit.collection);
    if (found === null) throw noCollection(permit.collection);
    return found;
  }

  /** The collection and the state of its shards. */
  async describe(
    permit: CollectionPermit<"read">,
    options: CallOptions,
  ): Promise<{ readonly collection: CollectionInfo; readonly shards: readonly ShardStatus[] }> {
    const collection = this.collection(permit);
    return { collection, shards: await this.#cluster.overview(collection.name, options) };
  }

  async create(
    permit: CollectionPermit<"manage">,
    wanted: Omit<NewCollection, "name">,
    options: CallOptions,
  ): Promise<CollectionInfo> {
    const name = permit.collection;
    checkCollectionName(name, this.limits);
    const { dimension, m, efConstruct } = wanted.vectors;
    between(this.limits, "dimension", dimension, 1, "the vector size");
    range("`m`", m, 2, 200);
    range("`ef_construct`", efConstruct, 4, 4_096);
    between(this.limits, "shardNumber", wanted.shardNumber, 1, "the number of shards");
    this.#checkReplication(wanted.replicationFactor);
    if (wanted.metadata !== null)
      checkPayload(wanted.metadata, this.limits, "metadataBytes", () => "`metadata`");
    return this.#cluster.createCollection({ ...wanted, name }, by(permit, options));
  }

  /** Metadata is merged where it is applied, key by key; a key with the value null is removed. */
  async configure(
    permit: CollectionPermit<"configure">,
    patch: Pick<CollectionPatch, "metadata">,
    options: CallOptions,
  ): Promise<CollectionInfo> {
    return this.#update(this.collection(permit), patch, by(permit, options));
  }

  /** As {@link configure}, and how many replicas there are. */
  async update(
    permit: CollectionPermit<"manage">,
    patch: CollectionPatch,
    options: CallOptions,
  ): Promise<CollectionInfo> {
    const collection = this.collection(permit);
    if (patch.replicationFactor !== undefined) this.#checkReplication(patch.replicationFactor);
    return this.#update(collection, patch, by(permit, options));
  }

  /** false when there was none. */
  async remove(permit: CollectionPermit<"manage">, options: CallOptions): Promise<boolean> {
    return this.#cluster.deleteCollection(permit.collection, by(permit, options));
  }

  // ----------------------------------------------------------------------------------------------------- points

  /** Applies the operations in order; of points named twice in one operation the last one counts. */
  async write(
    permit: CollectionPermit<"write">,
    operations: readonly WriteOp[],
    options: WriteOptions,
  ): Promise<WriteReceipt> {
    const collection = this.collection(permit);
    const checked = checkedWrite(operations, options, this.limits);
    const redirect = options.redirect ?? this.#redirectWrites;
    try {
      return await this.#cluster.write(collection.name, checked, by(permit, { ...options, redirect }));
    } catch (failure) {
      // Whoever stops waiting without saying that nothing was proposed leaves the outcome open.
      if (failure instanceof ApiError || !options.signal.aborted) throw failure;
      throw new ApiError(
        "OUTCOME_UNKNOWN",
        "Timeout error: the write may still happen",
        {},
        { cause: failure },
      );
    }
  }

  /** One list of hits per request, best first. POINT_NOT_FOUND when one asks for what is near a point not there. */
  async search(
    permit: CollectionPermit<"read">,
    requests: readonly SearchRequest[],
    options: ReadOptions,
  ): Promise<readonly (readonly ScoredPoint[])[]> {
    const collection = this.collection(permit);
    const queries = await checkedSearch(requests, this.limits, (ids) =>
      this.#cluster.retrieve(
        collection.name,
        ids,
        { withPayload: { kind: "none" }, withVector: true },
        by(permit, options),
      ),
    );
    return this.#cluster.search(collection.name, queries, by(permit, options));
  }

  /** The points that exist, in the order asked for. */
  async retrieve(
    permit: CollectionPermit<"read">,
    ids: readonly PointId[],
    shape: PointShape,
    options: ReadOptions,
  ): Promise<readonly StoredPoint[]> {
    const collection = this.collection(permit);
    within(this.limits, "batchPoints", ids.length, "the number of ids", "TOO_LARGE");
    checkSelector(shape.withPayload, this.limits);
    return this.#cluster.retrieve(collection.name, ids, shape, by(permit, options));
  }

  /** POINT_NOT_FOUND when it does not exist. */
  async point(
    permit: CollectionPermit<"read">,
    id: PointId,
    shape: PointShape,
    options: ReadOptions,
  ): Promise<StoredPoint> {
    const [found] = await this.retrieve(permit, [id], shape, options);
    if (found === undefined)
      throw new ApiError("POINT_NOT_FOUND", `Not found: Point with id ${id} does not exist!`);
    return found;
  }

  /** Points in order of id, from `from` (included) on. */
  async scroll(
    permit: CollectionPermit<"read">,
    page: PointShape & { readonly from: PointId | null; readonly limit: number },
    options: ReadOptions,
  ): Promise<ScrollPage> {
    const collection = this.collection(permit);
    between(this.limits, "pagePoints", page.limit, 1, "`limit`");
    checkSelector(page.withPayload, this.limits);
    return this.#cluster.scroll(collection.name, page, by(permit, options));
  }

  async count(permit: CollectionPermit<"read">, options: ReadOptions): Promise<number> {
    return this.#cluster.count(this.collection(permit).name, by(permit, options));
  }

  // ------------------------------------------------------------------------------------------------------- node

  node(_permit: ClusterPermit<"read">): NodeStatus {
    return this.#cluster.node();
  }

  /** The replicas that this node holds, of all collections. */
  async localShards(_permit: ClusterPermit<"read">, options: CallOptions): Promise<readonly LocalShard[]> {
    const all = await Promise.all(
      this.#cluster.collections().map(async ({ name }) => {
        const statuses = await this.#cluster.shards(name, options).catch((error: unknown) => {
          // Dropped since it was listed.
          if (error instanceof ApiError && error.code === "COLLECTION_NOT_FOUND") return [];
          throw error;
        });
        // Without a term there is no replica here, or it has not begun.
        const held = statuses.filter(({ term, error }) => term > 0 || error !== null);
        return held.map((status) => ({ collection: name, status }));
      }),
    );
    return all.flat();
  }

  nodeId(_permit: AnyCollectionPermit): number {
    return this.#cluster.node().nodeId;
  }

  /** Whether requests can be served, and what is in the way or still going on. */
  readiness(_permit: ClusterPermit<"probe">): Pick<NodeStatus, "ready" | "notes"> {
    const { ready, notes } = this.#cluster.node();
    return { ready, notes };
  }

  version(_permit: ClusterPermit<"probe"> | ClusterPermit<"list">): string {
    return this.#cluster.node().version;
  }

  /**
   * Resolves when this node has seen, in every collection, all that was committed before the call. Anybody may ask:
   * it costs the cluster no more when many do.
   */
  async caughtUp(_permit: ClusterPermit<"probe">, options: CallOptions): Promise<void> {
    await this.#catchUp.join(options.signal);
  }

  async #update(collection: CollectionInfo, patch: CollectionPatch, options: CallOptions) {
    if (patch.metadata === undefined) return this.#cluster.updateCollection(collection.name, patch, options);
    checkPayload(patch.metadata, this.limits, "metadataBytes", () => "`metadata`");
    return this.#cluster.updateCollection(collection.name, patch, options);
  }

  #checkReplication(factor: number): void {
    between(this.limits, "replicationFactor", factor, 1, "the replication factor");
  }
}

/** The caller's name and rights go along to wherever it is done, and are looked at again there. */
function by<O extends CallOptions>({ principal }: { readonly principal: Principal }, options: O): O {
  return { ...options, caller: principal };
}

function noCollection(name: string): ApiError {
  return new ApiError("COLLECTION_NOT_FOUND", `Not found: Collection \`${name}\` doesn't exist!`);
}

/** INVALID unless min <= value <= max. */
function range(what: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw new ApiError("INVALID", `Wrong input: ${what} must be from ${min} to ${max}, not ${value}`);
}
