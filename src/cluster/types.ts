/**
 * What the use cases may ask of the cluster: the border between "what is asked" (api) and "where it happens"
 * (catalogue, routing, replication, engines). There is no other way from a request to an engine, and the only way to
 * change one is {@link Cluster.write}, which goes through a shard's log.
 */
import type {
  Distance,
  EngineStats,
  JsonValue,
  Payload,
  PayloadSelector,
  PointId,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
  StoredPoint,
  VectorSpec,
  WriteOp,
} from "../engine/types.ts";

export type {
  Distance,
  EngineStats,
  JsonValue,
  Payload,
  PayloadSelector,
  PointId,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
};
export type { StoredPoint, VectorSpec, WriteOp };

/** A collection as the catalogue has it. Ids are minted from the catalogue's log index and never reused. */
export interface CollectionInfo {
  readonly id: number;
  readonly name: string;
  readonly vectors: VectorSpec;
  /** Replica placement and everything else per shard lives in the catalogue too; here just what requests need. */
  readonly shards: readonly { readonly shard: number; readonly group: number }[];
  /** A target: fewer replicas exist while there are fewer nodes. */
  readonly replicationFactor: number;
  /** Index of the catalogue entry that last changed it. */
  readonly version: number;
  /** Free-form JSON of the creator, kept and returned (`metadata`). */
  readonly metadata: Payload | null;
}

export interface NewCollection {
  readonly name: string;
  readonly vectors: VectorSpec;
  readonly shardNumber: number;
  readonly replicationFactor: number;
  readonly metadata: Payload | null;
}

export interface CollectionPatch {
  readonly replicationFactor?: number;
  readonly metadata?: Payload;
}

/** How fresh a read must be: see the README's section on consistency. */
export type Consistency =
  | { readonly level: "eventual" | "leader" | "linearizable" }
  | { readonly level: "session"; readonly atLeast: readonly ShardIndex[] };

/** A position in a shard's log, as `X-Flotilla-Index` carries it. */
export interface ShardIndex {
  readonly shard: number;
  readonly index: number;
}

export interface CallOptions {
  /**
   * Aborts waiting, never what was already proposed. Its `reason` is the ApiError to throw while nothing was proposed
   * (DEADLINE_EXCEEDED); from then on a write throws OUTCOME_UNKNOWN with what is known of where it went.
   */
  readonly signal: AbortSignal;
}

export interface ReadOptions extends CallOptions {
  readonly consistency: Consistency;
}

export interface WriteOptions extends CallOptions {
  /** true: committed, applied and searchable; false: committed. */
  readonly wait: boolean;
  /** Makes a retry safe: the same key and operations are applied at most once. */
  readonly idempotencyKey: string | null;
}

/** Every operation was committed (and, with `wait`, applied). `indexes`: the highest log index per touched shard. */
export interface WriteReceipt {
  readonly indexes: readonly ShardIndex[];
  /** The Idempotency-Key was seen before; nothing was applied twice. */
  readonly duplicate: boolean;
}

export interface ShardStatus {
  readonly shard: number;
  readonly group: number;
  readonly node: number;
  readonly role: "leader" | "follower" | "candidate" | "learner";
  readonly leader: number | null;
  readonly term: number;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly logBytes: number;
  /** null while the engine is opening or after it failed to. */
  readonly engine: EngineStats | null;
  readonly error: string | null;
}

/** Failures are thrown as `ApiError` (src/api/errors.ts has the table). */
export interface Cluster {
  /** From this node's copy of the catalogue, in order of name. */
  collections(): readonly CollectionInfo[];
  collection(name: string): CollectionInfo | null;
  /** Resolves when every shard can be written. COLLECTION_EXISTS when the name is taken. */
  createCollection(collection: NewCollection, options: CallOptions): Promise<CollectionInfo>;
  updateCollection(name: string, patch: CollectionPatch, options: CallOptions): Promise<CollectionInfo>;
  /** Resolves when no operation on it can be acknowledged any more; false when there was none. */
  deleteCollection(name: string, options: CallOptions): Promise<boolean>;

  /** Proposes the operations in order, cut by shard and by entry size; each entry is applied as a whole or not at all. */
  write(collection: string, operations: readonly WriteOp[], options: WriteOptions): Promise<WriteReceipt>;

  /** One answer per query, merged over all shards. */
  search(
    collection: string,
    queries: readonly SearchQuery[],
    options: ReadOptions,
  ): Promise<readonly (readonly ScoredPoint[])[]>;
  /** Points that exist, in the order asked for. */
  retrieve(
    collection: string,
    ids: readonly PointId[],
    shape: { readonly withPayload: PayloadSelector; readonly withVector: boolean },
    options: ReadOptions,
  ): Promise<readonly StoredPoint[]>;
  /** Points in order of id, from `from` (included) on. */
  scroll(
    collection: string,
    page: {
      readonly from: PointId | null;
      readonly limit: number;
      readonly withPayload: PayloadSelector;
      readonly withVector: boolean;
    },
    options: ReadOptions,
  ): Promise<ScrollPage>;
  count(collection: string, options: ReadOptions): Promise<number>;
  shards(collection: string, options: CallOptions): Promise<readonly ShardStatus[]>;
  node(): NodeStatus;
}

/** What `/status`, `/readyz` and `flotilla status` show of this node. */
export interface NodeStatus {
  readonly nodeId: number;
  readonly clusterId: string;
  readonly version: string;
  readonly startedAt: string;
  readonly ready: boolean;
  /** Why it is not ready, or what is still going on (a graph being rebuilt with its progress). */
  readonly notes: readonly string[];
  readonly build: {
    readonly hnswlib: "native" | "portable" | "unknown";
    readonly flags: string;
    readonly node: string;
  };
}
