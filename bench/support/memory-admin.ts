import { ApiError } from "../../src/api/errors.ts";
import { changeAliases } from "../../src/catalog/aliases.ts";
import type {
  Alias,
  AliasAction,
  ClusterAdmin,
  CollectionInfo,
  LeaderView,
  NodeView,
  ShardView,
} from "../../src/cluster/types.ts";

const NODES = [1, 2, 3];

/** The operator's part of the model cluster: three nodes, of which the first holds and leads everything at first. */
export class MemoryAdmin implements ClusterAdmin {
  readonly #collection: (name: string) => CollectionInfo;
  readonly #voters = new Map<string, { voters: number[]; leader: number }>();
  readonly #leaving = new Set<number>();
  #aliases: ReadonlyMap<string, string> = new Map();

  /** `collection` throws COLLECTION_NOT_FOUND. */
  constructor(collection: (name: string) => CollectionInfo) {
    this.#collection = collection;
  }

  /** The name behind an alias, or the name itself. */
  resolve(name: string): string {
    return this.#aliases.get(name) ?? name;
  }

  nodes(): Promise<readonly NodeView[]> {
    return Promise.resolve(
      NODES.map((nodeId) => ({
        nodeId,
        http: `127.0.0.1:${6000 + nodeId}`,
        grpc: `127.0.0.1:${7000 + nodeId}`,
        peer: `127.0.0.1:${8000 + nodeId}`,
        role: "voter",
        alive: true,
        leaderOf: [...this.#voters.values()].filter(({ leader }) => leader === nodeId).length,
        replicas: [...this.#voters.values()].filter(({ voters }) => voters.includes(nodeId)).length,
        version: "test",
        state: this.#leaving.has(nodeId) ? "leaving" : "active",
      })),
    );
  }

  async removeNode(nodeId: number): Promise<void> {
    if (!NODES.includes(nodeId)) throw new ApiError("INVALID", `Wrong input: there is no node ${nodeId}`);
    this.#leaving.add(nodeId);
    await Promise.resolve();
  }

  shardViews(collection: string): Promise<readonly ShardView[]> {
    const { shards } = this.#collection(collection);
    return Promise.resolve(
      shards.map(({ shard, group }) => {
        const { voters, leader } = this.#shard(collection, shard);
        const replicas = voters.map((nodeId) => ({
          nodeId,
          role: nodeId === leader ? ("leader" as const) : ("voter" as const),
          state: "active" as const,
          term: 1,
          commit: 0,
          applied: 0,
          match: 0,
          lag: 0,
          stateHash: "0".repeat(32),
          hashIndex: 0,
          points: 0,
          error: null,
        }));
        return { shard, group, term: 1, leader, replicas };
      }),
    );
  }

  async addVoter(collection: string, shard: number, nodeId: number): Promise<void> {
    const { voters } = this.#shard(collection, shard);
    if (!NODES.includes(nodeId)) throw new ApiError("INVALID", `Wrong input: there is no node ${nodeId}`);
    if (voters.includes(nodeId)) throw new ApiError("CONFLICT", `Conflict: node ${nodeId} votes already`);
    voters.push(nodeId);
    await Promise.resolve();
  }

  async removeVoter(collection: string, shard: number, nodeId: number): Promise<void> {
    const place = this.#shard(collection, shard);
    if (!place.voters.includes(nodeId))
      throw new ApiError("INVALID", `Wrong input: node ${nodeId} has no replica of shard ${shard}`);
    if (place.voters.length === 1)
      throw new ApiError("CONFLICT", `Conflict: node ${nodeId} has the last replica`);
    place.voters = place.voters.filter((voter) => voter !== nodeId);
    if (place.leader === nodeId) place.leader = place.voters[0] ?? 0;
    await Promise.resolve();
  }

  async transferLeader(collection: string, shard: number, nodeId: number): Promise<void> {
    const place = this.#shard(collection, shard);
    if (!place.voters.includes(nodeId))
      throw new ApiError("INVALID", `Wrong input: node ${nodeId} has no replica of shard ${shard}`);
    place.leader = nodeId;
    await Promise.resolve();
  }

  async restartReplica(collection: string, shard: number, nodeId: number | null): Promise<void> {
    const place = this.#shard(collection, shard);
    if (nodeId !== null && !place.voters.includes(nodeId))
      throw new ApiError("INVALID", `Wrong input: node ${nodeId} has no replica of shard ${shard}`);
    await Promise.resolve();
  }

  aliases(): readonly Alias[] {
    return [...this.#aliases].map(([alias, collection]) => ({ alias, collection }));
  }

  async changeAliases(actions: readonly AliasAction[]): Promise<void> {
    const changed = changeAliases(this.#aliases, actions, (name) => {
      try {
        return this.#collection(name).name === name;
      } catch (error) {
        if (error instanceof ApiError) return false;
        throw error;
      }
    });
    if (changed.kind === "rejected") {
      const missing = changed.code === "COLLECTION_NOT_FOUND" || changed.code === "ALIAS_NOT_FOUND";
      throw new ApiError(missing ? "COLLECTION_NOT_FOUND" : "CONFLICT", changed.message);
    }
    this.#aliases = changed.aliases;
    await Promise.resolve();
  }

  leaderOf(collection: string, shard: number): LeaderView | null {
    const { leader } = this.#shard(collection, shard);
    return {
      nodeId: leader,
      http: `127.0.0.1:${6000 + leader}`,
      grpc: `127.0.0.1:${7000 + leader}`,
      term: 1,
    };
  }

  #shard(collection: string, shard: number): { voters: number[]; leader: number } {
    const { id, shards } = this.#collection(collection);
    if (!shards.some((place) => place.shard === shard))
      throw new ApiError("SHARD_NOT_FOUND", `Not found: Shard ${shard} doesn't exist!`);
    const key = `${id}/${shard}`;
    const known = this.#voters.get(key) ?? { voters: [1], leader: 1 };
    this.#voters.set(key, known);
    return known;
  }
}
