import type { Payload } from "../cluster/types.ts";
import type { CatalogueCommand } from "./commands.ts";
import { SHARDS_BOUND } from "./shapes.ts";
import { evenSlots } from "./slots.ts";
import type { CatalogueCollection } from "./types.ts";

/** Ids and groups are minted from the entry's index: never used before, and never again. */
export function createCollection(
  index: number,
  command: CatalogueCommand & { readonly kind: "createCollection" },
): CatalogueCollection {
  const { name, vectors, shardNumber, replicationFactor, metadata } = command.collection;
  const shards = Array.from({ length: shardNumber }, (_, shard) => ({
    shard,
    group: index * SHARDS_BOUND + shard,
  }));
  return {
    id: index,
    name,
    vectors,
    shards,
    replicationFactor,
    version: index,
    metadata,
    slots: evenSlots(shardNumber),
    placement: shards.map(({ shard, group }) => {
      const founders = command.placement[shard] ?? [];
      return {
        shard,
        group,
        founders,
        replicas: founders.map((node) => ({ node, founding: true })),
        wanted: null,
      };
    }),
  };
}

/** Key by key; null removes one. */
export function mergedMetadata(before: Payload | null, patch: Payload): Payload {
  const merged = Object.entries({ ...before, ...patch });
  return Object.fromEntries(merged.filter(([, value]) => value !== null));
}
