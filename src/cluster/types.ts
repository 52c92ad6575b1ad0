/**
 * What the use cases may ask of the cluster: the border between "what is asked" (api) and "where it happens"
 * (catalogue, routing, replication, engines). There is no other way from a request to an engine, and the only way to
 * change one is {@link Cluster.write}, which goes through a shard's log.
 */
import type { Principal } from "../auth/permit.ts";
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
   * Who asks. Travels to the node that does it, which looks at the rights again. null or absent: this node itself,
   * for which other nodes neither read nor change what belongs to a collection.
   */
  readonly caller?: Principal | null;
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
  /** Throws NOT_LEADER, with who leads, where another node does; default: the write is forwarded to it. */
  readonly redirect?: boolean;
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
  /** Every shard as this node has it, also where it holds no replica. */
  shards(collection: string, options: CallOptions): Promise<readonly ShardStatus[]>;
  /** Every shard as a replica that answers has it: this node's own where it holds one. */
  overview(collection: string, options: CallOptions): Promise<readonly ShardStatus[]>;
  node(): NodeStatus;
}

/** A node as the catalogue has it, and what the others know of it. */
export interface NodeView {
  readonly nodeId: number;
  /** Where clients and other nodes reach it: `host:port`. */
  readonly http: string;
  readonly grpc: string;
  readonly peer: string;
  /** In the catalogue's own group. */
  readonly role: "voter" | "learner";
  /** It answered just now. */
  readonly alive: boolean;
  /** Shards it leads. */
  readonly leaderOf: number;
  /** Replicas placed on it. */
  readonly replicas: number;
  readonly version: string;
  /** `leaving`: its replicas are being moved to others. */
  readonly state: "active" | "leaving";
}

/** Who takes a shard's writes, for a redirect. */
export interface LeaderView {
  readonly nodeId: number;
  readonly http: string;
  readonly grpc: string;
  readonly term: number;
}

/** One replica of a shard; null: not known, because it did not answer or nobody leads. */
export interface ReplicaView {
  readonly nodeId: number;
  readonly role: "leader" | "voter" | "learner";
  readonly state: "active" | "catching_up" | "snapshot" | "failed" | "unreachable";
  readonly term: number | null;
  readonly commit: number | null;
  readonly applied: number | null;
  /** Highest log index that the leader knows this replica to have on disk. */
  readonly match: number | null;
  /** Entries the leader has committed and this replica has not applied. */
  readonly lag: number | null;
  /** Of the points at `hashIndex`: replicas with the same index must have the same. */
  readonly stateHash: string | null;
  readonly hashIndex: number | null;
  readonly points: number | null;
  readonly error: string | null;
}

export interface ShardView {
  readonly shard: number;
  readonly group: number;
  readonly term: number;
  readonly leader: number | null;
  /** In order of node id. */
  readonly replicas: readonly ReplicaView[];
}

export interface Alias {
  readonly alias: string;
  readonly collection: string;
}

/** Several are carried out in order, all or none. */
export type AliasAction =
  | { readonly kind: "create"; readonly alias: string; readonly collection: string }
  | { readonly kind: "delete"; readonly alias: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string };

export interface VoterOptions extends CallOptions {
  /** true: resolves when the replica votes (or votes no more); false: when the catalogue has taken the wish. */
  readonly wait: boolean;
}

/** What an operator asks for: nodes, replicas and names. Failures are thrown as `ApiError`. */
export interface ClusterAdmin {
  /** In order of node id. */
  nodes(options: CallOptions): Promise<readonly NodeView[]>;
  /**
   * Drains a node and lets it go. INVALID: there is no such node, or it is the last active one. Resolves when the
   * wish is in the catalogue's log; moving its replicas may take long.
   */
  removeNode(nodeId: number, options: CallOptions): Promise<void>;
  /** In order of shard, as all reachable replicas report. COLLECTION_NOT_FOUND. */
  shardViews(collection: string, options: CallOptions): Promise<readonly ShardView[]>;
  /**
   * A replica of the shard on that node that votes. INVALID: no such shard or node; CONFLICT: it votes already, is
   * leaving, or another change of the shard is in progress.
   */
  addVoter(collection: string, shard: number, nodeId: number, options: VoterOptions): Promise<void>;
  /** INVALID: no such shard, or no replica there; CONFLICT: it is the last one, or another change is in progress. */
  removeVoter(collection: string, shard: number, nodeId: number, options: VoterOptions): Promise<void>;
  /** Resolves when the node leads. INVALID: no such shard, or no replica there; CONFLICT: why it cannot take over. */
  transferLeader(collection: string, shard: number, nodeId: number, options: CallOptions): Promise<void>;
  /**
   * Closes the replica on that node (null: the one that was asked) and opens it again; resolves when it takes part.
   * INVALID: no such shard, or no replica there; SHARD_FAILED: why it does not open.
   */
  restartReplica(
    collection: string,
    shard: number,
    nodeId: number | null,
    options: CallOptions,
  ): Promise<void>;
  /** In order of alias. */
  aliases(): readonly Alias[];
  changeAliases(actions: readonly AliasAction[], options: CallOptions): Promise<void>;
  /** Who leads the shard, as far as this node knows. */
  leaderOf(collection: string, shard: number): LeaderView | null;
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
  /** The catalogue's group, as this node knows it. */
  readonly catalogue: {
    readonly leader: number | null;
    readonly term: number;
    readonly applied: number;
  };
  readonly build: {
    readonly hnswlib: "native" | "portable" | "unknown";
    readonly flags: string;
    readonly node: string;
  };
}
