/**
 * The use cases of operators: nodes, replicas, leaders, names. As with points, a method takes a permit that only
 * `authorize` can make, and whatever it changes goes through a log.
 */
import type { ClusterAdmin } from "../cluster/types.ts";
import { sees, type ClusterPermit, type CollectionPermit } from "../auth/permit.ts";
import { ApiError, noShard } from "./errors.ts";
import { within, type Limits } from "./limits.ts";
import { checkCollectionName, checkNodeId } from "./names.ts";
import type {
  Alias,
  AliasAction,
  CallOptions,
  LeaderView,
  NodeStatus,
  NodeView,
  ShardView,
  VoterOptions,
} from "./types.ts";

/** Failures are thrown as {@link ApiError}. */
export class AdminService {
  readonly #limits: Limits;
  readonly #admin: ClusterAdmin;
  readonly #node: () => NodeStatus;

  constructor(
    options: { readonly limits: Limits },
    parts: { readonly admin: ClusterAdmin; readonly node: () => NodeStatus },
  ) {
    this.#limits = options.limits;
    this.#admin = parts.admin;
    this.#node = parts.node;
  }

  /** In order of node id. */
  async nodes(_permit: ClusterPermit<"read">, options: CallOptions): Promise<readonly NodeView[]> {
    return await this.#admin.nodes(options);
  }

  async removeNode(permit: ClusterPermit<"manage">, nodeId: number, options: CallOptions): Promise<void> {
    checkNodeId(nodeId);
    await this.#admin.removeNode(nodeId, { ...options, caller: permit.principal });
  }

  /** Who leads the catalogue, as far as this node knows; null: nobody at the moment. */
  async leader(_permit: ClusterPermit<"read">, options: CallOptions): Promise<NodeView | null> {
    const { leader } = this.#node().catalogue;
    return (await this.#admin.nodes(options)).find(({ nodeId }) => nodeId === leader) ?? null;
  }

  async shards(permit: CollectionPermit<"read">, options: CallOptions): Promise<readonly ShardView[]> {
    return await this.#admin.shardViews(permit.collection, options);
  }

  /** COLLECTION_NOT_FOUND, or SHARD_NOT_FOUND. */
  async shard(permit: CollectionPermit<"read">, shard: number, options: CallOptions): Promise<ShardView> {
    const found = (await this.shards(permit, options)).find((view) => view.shard === shard);
    if (found !== undefined) return found;
    throw noShard(permit.collection, shard);
  }

  async addVoter(permit: ClusterPermit<"manage">, at: ReplicaPlace, options: VoterOptions): Promise<void> {
    checkNodeId(at.nodeId);
    await this.#admin.addVoter(at.collection, at.shard, at.nodeId, { ...options, caller: permit.principal });
  }
  async removeVoter(permit: ClusterPermit<"manage">, at: ReplicaPlace, options: VoterOptions): Promise<void> {
    checkNodeId(at.nodeId);
    await this.#admin.removeVoter(at.collection, at.shard, at.nodeId, {
      ...options,
      caller: permit.principal,
    });
  }
  async transferLeader(
    permit: ClusterPermit<"manage">,
    at: ReplicaPlace,
    options: CallOptions,
  ): Promise<void> {
    checkNodeId(at.nodeId);
    await this.#admin.transferLeader(at.collection, at.shard, at.nodeId, {
      ...options,
      caller: permit.principal,
    });
  }

  /** `nodeId` null: on the node that was asked. */
  async restartReplica(
    permit: ClusterPermit<"manage">,
    at: Omit<ReplicaPlace, "nodeId"> & { readonly nodeId: number | null },
    options: CallOptions,
  ): Promise<void> {
    await this.#admin.restartReplica(at.collection, at.shard, at.nodeId, {
      ...options,
      caller: permit.principal,
    });
  }

  /** A replica on another node instead of this one: first the new one votes, then the old one goes. */
  async moveReplica(
    permit: ClusterPermit<"manage">,
    at: ReplicaPlace & { readonly to: number },
    options: VoterOptions,
  ): Promise<void> {
    checkNodeId(at.nodeId);
    const shards = await this.#admin.shardViews(at.collection, options);
    const from = shards.find(({ shard }) => shard === at.shard);
    if (from === undefined) throw noShard(at.collection, at.shard);
    // Known before, not after the new one is there: a move that cannot be must not leave one replica more.
    if (!from.replicas.some(({ nodeId }) => nodeId === at.nodeId))
      throw new ApiError("INVALID", `Wrong input: shard ${at.shard} has no replica on node ${at.nodeId}`);
    const wait = { ...options, wait: true };
    await this.addVoter(permit, { ...at, nodeId: at.to }, wait);
    await this.removeVoter(permit, at, options);
  }

  /** In order of alias; of one collection, or of all. */
  /** Those of the collections the principal may read. */
  aliases(permit: ClusterPermit<"list">): readonly Alias[] {
    return this.#admin.aliases().filter(({ collection }) => sees(permit, collection));
  }
  aliasesOf(permit: CollectionPermit<"read">): readonly Alias[] {
    return this.#admin.aliases().filter(({ collection }) => collection === permit.collection);
  }

  async changeAliases(
    permit: ClusterPermit<"manage">,
    actions: readonly AliasAction[],
    options: CallOptions,
  ): Promise<void> {
    within(this.#limits, "batchOperations", actions.length, "the number of actions", "TOO_LARGE");
    for (const action of actions) {
      // Names that are only looked up go into the log too, which takes none of any length.
      for (const name of Object.values(action))
        within(this.#limits, "nameBytes", Buffer.byteLength(name), "the length of the name");
      if (action.kind === "create") checkCollectionName(action.alias, this.#limits);
      if (action.kind === "rename") checkCollectionName(action.to, this.#limits);
    }
    await this.#admin.changeAliases(actions, { ...options, caller: permit.principal });
  }

  leaderOf(permit: CollectionPermit<"read">, shard: number): LeaderView | null {
    return this.#admin.leaderOf(permit.collection, shard);
  }
}

export interface ReplicaPlace {
  readonly collection: string;
  readonly shard: number;
  readonly nodeId: number;
}
