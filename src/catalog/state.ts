import type { CollectionInfo } from "../cluster/types.ts";
import { decodeEntry, type CatalogueCommand } from "./commands.ts";
import { SHARDS_BOUND } from "./shapes.ts";
import { evenSlots, type SlotRange } from "./slots.ts";

/** A collection with what only routing and placement need. */
export interface CatalogueCollection extends CollectionInfo {
  readonly slots: readonly SlotRange[];
  /** Per shard, the nodes that hold a replica. */
  readonly placement: readonly { readonly shard: number; readonly nodes: readonly number[] }[];
}

/** What applying one entry did: the same on every replica and every replay. */
export type CatalogueOutcome =
  | { readonly kind: "created" | "updated"; readonly collection: CatalogueCollection }
  | { readonly kind: "deleted"; readonly collection: CatalogueCollection }
  | {
      readonly kind: "rejected";
      readonly code: "COLLECTION_EXISTS" | "COLLECTION_NOT_FOUND" | "LIMIT_EXCEEDED" | "BAD_ENTRY";
      readonly message: string;
    }
  /** An entry without bytes: a new leader's first, or a change of membership. */
  | { readonly kind: "nothing" };

export interface Remembered {
  readonly origin: string;
  readonly sequence: number;
  readonly outcome: CatalogueOutcome;
}

/** As it is written down. */
export interface CatalogueSnapshot {
  readonly applied: number;
  readonly collections: readonly CatalogueCollection[];
  readonly recent: readonly Remembered[];
}

/** Outcomes kept to answer a repeated proposal: retries come within a deadline, so a few hundred are plenty. */
const REMEMBERED_MAX = 256;

/**
 * The state machine of group 0. Deterministic and total: no clock, no dice, and an entry that makes no sense is
 * rejected and changes nothing but the applied index. Ids are minted from the entry's index and so never reused.
 */
export class CatalogueState {
  #applied: number;
  readonly #collections = new Map<string, CatalogueCollection>();
  readonly #recent: Remembered[];

  constructor(from: CatalogueSnapshot = { applied: 0, collections: [], recent: [] }) {
    this.#applied = from.applied;
    for (const collection of from.collections) this.#collections.set(collection.name, collection);
    this.#recent = [...from.recent];
  }

  get applied(): number {
    return this.#applied;
  }
  collection(name: string): CatalogueCollection | null {
    return this.#collections.get(name) ?? null;
  }
  /** In order of name, by code unit. */
  collections(): readonly CatalogueCollection[] {
    return [...this.#collections.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  snapshot(): CatalogueSnapshot {
    return { applied: this.#applied, collections: this.collections(), recent: [...this.#recent] };
  }

  /** Entries at or below the applied index (handed in again after a restart) change nothing. */
  apply(index: number, data: Uint8Array): CatalogueOutcome {
    if (index <= this.#applied) return { kind: "nothing" };
    this.#applied = index;
    if (data.length === 0) return { kind: "nothing" };
    const entry = decodeEntry(data);
    if (entry === null) return reject("BAD_ENTRY", `catalogue entry ${index} cannot be understood`);
    const { origin, sequence } = entry;
    const seen = this.#recent.find((known) => known.origin === origin && known.sequence === sequence);
    if (seen !== undefined) return seen.outcome;
    const outcome = this.#carryOut(index, entry.command);
    this.#recent.push({ origin, sequence, outcome });
    if (this.#recent.length > REMEMBERED_MAX) this.#recent.shift();
    return outcome;
  }

  #carryOut(index: number, command: CatalogueCommand): CatalogueOutcome {
    switch (command.kind) {
      case "createCollection":
        return this.#create(index, command);
      case "updateCollection": {
        const before = this.#collections.get(command.name);
        if (before === undefined) return missing(command.name);
        const { replicationFactor = before.replicationFactor, metadata = before.metadata } = command.patch;
        const collection = { ...before, replicationFactor, metadata, version: index };
        this.#collections.set(command.name, collection);
        return { kind: "updated", collection };
      }
      case "deleteCollection": {
        const collection = this.#collections.get(command.name);
        if (collection === undefined) return missing(command.name);
        this.#collections.delete(command.name);
        return { kind: "deleted", collection };
      }
    }
  }

  #create(
    index: number,
    command: CatalogueCommand & { readonly kind: "createCollection" },
  ): CatalogueOutcome {
    const { name, vectors, shardNumber, replicationFactor, metadata } = command.collection;
    if (this.#collections.has(name)) {
      return reject("COLLECTION_EXISTS", `Collection \`${name}\` already exists!`);
    }
    if (this.#collections.size >= command.collectionsMax) {
      return reject(
        "LIMIT_EXCEEDED",
        `there are ${this.#collections.size} collections, and limits.collections is ${command.collectionsMax}`,
      );
    }
    const shards = Array.from({ length: shardNumber }, (_, shard) => ({
      shard,
      group: index * SHARDS_BOUND + shard,
    }));
    const nodes = command.nodes.slice(0, replicationFactor);
    const collection: CatalogueCollection = {
      id: index,
      name,
      vectors,
      shards,
      replicationFactor,
      version: index,
      metadata,
      slots: evenSlots(shardNumber),
      placement: shards.map(({ shard }) => ({ shard, nodes })),
    };
    this.#collections.set(name, collection);
    return { kind: "created", collection };
  }
}

function missing(name: string): CatalogueOutcome {
  return reject("COLLECTION_NOT_FOUND", `Not found: Collection \`${name}\` doesn't exist!`);
}

function reject(code: (CatalogueOutcome & { kind: "rejected" })["code"], message: string): CatalogueOutcome {
  return { kind: "rejected", code, message };
}
