/** How collections look from outside: Qdrant's CollectionInfo. */
import type { CollectionInfo, EngineStats, ShardStatus } from "../api/types.ts";

/** One status per shard: the leader's where it is known here, else the first that has an engine. */
function leading(statuses: readonly ShardStatus[]): readonly ShardStatus[] {
  return [...byShard(statuses).values()].map((replicas) => {
    const best =
      replicas.find(({ role }) => role === "leader") ?? replicas.find(({ engine }) => engine !== null);
    return best ?? (replicas[0] as ShardStatus);
  });
}

function byShard(statuses: readonly ShardStatus[]): ReadonlyMap<number, readonly ShardStatus[]> {
  const shards = new Map<number, ShardStatus[]>();
  for (const status of statuses) {
    const known = shards.get(status.shard);
    if (known === undefined) shards.set(status.shard, [status]);
    else known.push(status);
  }
  return new Map([...shards].sort(([a], [b]) => a - b));
}

const failureOf = (status: ShardStatus): string | null => status.error ?? status.engine?.failure ?? null;

const busy = (engine: EngineStats | null): boolean =>
  engine === null || engine.tail > 0 || engine.rebuilding !== null;

/** Qdrant's words: green all is well, yellow something is being indexed or opened, red a shard has failed. */
export function collectionInfo(collection: CollectionInfo, statuses: readonly ShardStatus[]) {
  const { vectors, replicationFactor, metadata } = collection;
  const shards = leading(statuses);
  const failures = shards.map(failureOf).filter((failure) => failure !== null);
  const status = failures.length > 0 ? "red" : shards.some(({ engine }) => busy(engine)) ? "yellow" : "green";
  const sum = (part: (engine: EngineStats) => number): number =>
    shards.reduce((total, { engine }) => total + (engine === null ? 0 : part(engine)), 0);
  return {
    status,
    optimizer_status: failures[0] === undefined ? "ok" : { error: failures[0] },
    indexed_vectors_count: sum(({ indexed }) => indexed),
    points_count: sum(({ points }) => points),
    // A shard has one graph: what Qdrant calls a segment.
    segments_count: collection.shards.length,
    config: {
      params: {
        vectors: { size: vectors.dimension, distance: vectors.distance },
        shard_number: collection.shards.length,
        replication_factor: replicationFactor,
        write_consistency_factor: Math.floor(replicationFactor / 2) + 1,
        on_disk_payload: true,
      },
      hnsw_config: {
        m: vectors.m,
        ef_construct: vectors.efConstruct,
        full_scan_threshold: 10,
        max_indexing_threads: 1,
        on_disk: false,
      },
      optimizer_config: { deleted_threshold: 0.2, default_segment_number: 1, flush_interval_sec: 0 },
      wal_config: null,
      quantization_config: null,
      ...(metadata === null ? {} : { metadata }),
    },
    payload_schema: {},
  };
}
