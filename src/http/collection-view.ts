/** How collections look from outside: Qdrant's CollectionInfo. */
import { collectionState } from "../api/collection-state.ts";
import type { CollectionInfo, ShardStatus } from "../api/types.ts";

const COLOURS = { ready: "green", busy: "yellow", failed: "red" } as const;

/** Qdrant's words: green all is well, yellow something is being indexed or opened, red a shard has failed. */
export function collectionInfo(collection: CollectionInfo, statuses: readonly ShardStatus[]) {
  const { vectors, replicationFactor, metadata } = collection;
  const { state, failure, points, indexed } = collectionState(statuses);
  return {
    status: COLOURS[state],
    optimizer_status: failure === null ? "ok" : { error: failure },
    indexed_vectors_count: indexed,
    points_count: points,
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
