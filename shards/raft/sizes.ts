/** How the core counts bytes. Limits are about memory and frames, so a small fixed charge per entry is exact enough. */
import type { Entry } from "./types.ts";

/** Term, index, kind and framing of one entry on its way. */
export const ENTRY_OVERHEAD_BYTES = 16;

export function entryBytes(entry: Pick<Entry, "data">): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

export function entriesBytes(entries: readonly Pick<Entry, "data">[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  return bytes;
}

/** What counts against the limit on uncommitted data: an empty entry is free, so it is never refused. */
export function payloadBytes(entries: readonly Pick<Entry, "data">[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length;
  return bytes;
}
