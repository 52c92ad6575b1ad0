/** Cuts a write into log entries: by shard, then by size, keeping the order of operations within each shard. */
import { STATE_LIMITS } from "../engine/options.ts";
import type { JsonValue } from "../engine/types.ts";
import type { Payload, PointId, WriteOp } from "./types.ts";

/** The entries of one shard, in the order in which they must be applied. */
export interface ShardWrites {
  readonly shard: number;
  readonly entries: readonly (readonly WriteOp[])[];
}

export interface SplitOptions {
  /** Estimated bytes after which the next operation or point begins a new entry (`limits.entry_bytes`). */
  readonly entryBytes: number;
  readonly shardOf: (id: PointId) => number;
}

/** The same operations and options give the same entries, which is what lets an Idempotency-Key find its parts again. */
export function splitWrites(operations: readonly WriteOp[], options: SplitOptions): readonly ShardWrites[] {
  const shards = new Map<number, Entries>();
  const entriesOf = (shard: number): Entries => {
    const known = shards.get(shard);
    if (known !== undefined) return known;
    const made = new Entries(options.entryBytes);
    shards.set(shard, made);
    return made;
  };
  for (const operation of operations) {
    switch (operation.kind) {
      case "upsert":
        for (const [shard, points] of byShard(operation.points, ({ id }) => id, options)) {
          const size = (point: (typeof points)[number]): number =>
            idBytes(point.id) + point.vector.byteLength + jsonBytes(point.payload);
          entriesOf(shard).add(points, size, (some) => ({ ...operation, points: some }));
        }
        break;
      case "updateVectors":
        for (const [shard, points] of byShard(operation.points, ({ id }) => id, options)) {
          const size = (point: (typeof points)[number]): number =>
            idBytes(point.id) + point.vector.byteLength;
          entriesOf(shard).add(points, size, (some) => ({ ...operation, points: some }));
        }
        break;
      case "setPayload":
      case "overwritePayload":
        for (const [shard, ids] of byShard(operation.ids, (id) => id, options)) {
          entriesOf(shard).add(
            ids,
            idBytes,
            (some) => ({ ...operation, ids: some }),
            jsonBytes(operation.payload),
          );
        }
        break;
      case "delete":
      case "deletePayload":
      case "clearPayload":
        for (const [shard, ids] of byShard(operation.ids, (id) => id, options)) {
          entriesOf(shard).add(ids, idBytes, (some) => ({ ...operation, ids: some }));
        }
        break;
    }
  }
  return [...shards]
    .sort(([a], [b]) => a - b)
    .map(([shard, entries]) => ({ shard, entries: entries.finished }));
}

class Entries {
  readonly finished: WriteOp[][] = [];
  readonly #limit: number;
  #bytes = Infinity;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** `once`: what the operation weighs each time it is begun, however few items it carries. */
  add<T>(
    items: readonly T[],
    size: (item: T) => number,
    make: (some: readonly T[]) => WriteOp,
    once = 0,
  ): void {
    let some: T[] = [];
    const put = (): void => {
      if (some.length > 0) this.finished.at(-1)?.push(make(some));
      some = [];
    };
    for (const item of items) {
      let bytes = size(item) + (some.length === 0 ? once : 0);
      if (this.#bytes + bytes > this.#limit || this.#isFull(some.length)) {
        put();
        this.finished.push([]);
        this.#bytes = 0;
        bytes = size(item) + once;
      }
      this.#bytes += bytes;
      some.push(item);
    }
    put();
  }

  /** An entry of more is none to the state machine, however few its bytes. */
  #isFull(items: number): boolean {
    const { operationsPerEntry, pointsPerEntry } = STATE_LIMITS;
    return (this.finished.at(-1)?.length ?? 0) >= operationsPerEntry || items >= pointsPerEntry;
  }
}

function byShard<T>(
  items: readonly T[],
  idOf: (item: T) => PointId,
  { shardOf }: SplitOptions,
): ReadonlyMap<number, readonly T[]> {
  const shards = new Map<number, T[]>();
  for (const item of items) {
    const shard = shardOf(idOf(item));
    const known = shards.get(shard);
    if (known === undefined) shards.set(shard, [item]);
    else known.push(item);
  }
  return shards;
}

function idBytes(id: PointId): number {
  return typeof id === "number" ? 16 : 16 + id.length;
}

/** About what the value takes once encoded; exact enough to keep an entry near its limit. */
function jsonBytes(value: JsonValue | Payload | undefined): number {
  if (typeof value === "string") return 2 + value.length;
  if (typeof value !== "object" || value === null) return 8;
  let bytes = 8;
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) bytes += jsonBytes(item);
  } else {
    for (const [key, item] of Object.entries(value as Payload)) bytes += 3 + key.length + jsonBytes(item);
  }
  return bytes;
}
