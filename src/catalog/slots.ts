/**
 * From a point's id to its shard: id -> slot by hash, slot -> shard by the collection's map in the catalogue. The hash
 * and the number of slots never change, so a shard can later be split or moved by handing over slots.
 */
import type { PointId } from "../engine/types.ts";

/** Far more than shards, so that slots divide evenly; few enough that a map of ranges stays small. */
export const SLOTS = 16_384;

/** Slots `from` up to but not including `to` belong to `shard`. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
  readonly shard: number;
}

/** The slot of an id: part of the format of every cluster. 5 and "5" are different ids with slots of their own. */
export function slotOf(id: PointId): number {
  const hash =
    typeof id === "number" ? mix(mix(id >>> 0) ^ mix(Math.floor(id / 2 ** 32) + 0x9e3779b9)) : textHash(id);
  return hash & (SLOTS - 1);
}

/** Slots shared out evenly: shard 0 has the first ones. */
export function evenSlots(shards: number): readonly SlotRange[] {
  const bound = (shard: number): number => Math.floor((shard * SLOTS) / shards);
  return Array.from({ length: shards }, (_, shard) => ({ from: bound(shard), to: bound(shard + 1), shard }));
}

/** The ranges as a table, for one look-up per id. */
export function slotTable(ranges: readonly SlotRange[]): Uint16Array {
  const table = new Uint16Array(SLOTS);
  for (const { from, to, shard } of ranges) table.fill(shard, from, to);
  return table;
}

/** FNV-1a over UTF-16 code units, then mixed: neighbouring names must not share a shard. */
function textHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mix(hash);
}

/** An avalanche over 32 bits: every input bit reaches every output bit. */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
