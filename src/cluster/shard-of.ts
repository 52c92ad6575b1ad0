import { slotOf, slotTable } from "../catalog/slots.ts";
import type { CatalogueCollection } from "../catalog/types.ts";
import type { PointId } from "./types.ts";

const tables = new WeakMap<CatalogueCollection, Uint16Array>();

/** Which shard of the collection holds an id. */
export function shardOf(collection: CatalogueCollection): (id: PointId) => number {
  if (collection.shards.length === 1) return () => 0;
  let table = tables.get(collection);
  if (table === undefined) tables.set(collection, (table = slotTable(collection.slots)));
  const slots = table;
  return (id) => slots[slotOf(id)] ?? 0;
}
