import { changeAliases } from "./aliases.ts";
import { createCollection, mergedMetadata } from "./collections.ts";
import { decodeEntry, type CatalogueCommand } from "./commands.ts";
import { NodeTable } from "./nodes.ts";
import {
  rejected,
  type CatalogueCollection,
  type CatalogueNode,
  type CatalogueOutcome,
  type CatalogueSnapshot,
  type Placement,
  type Rejected,
  type Remembered,
} from "./types.ts";

const EMPTY: CatalogueSnapshot = {
  applied: 0,
  collections: [],
  nodes: [],
  lastNodeId: 0,
  removed: [],
  aliases: [],
  recent: [],
};

type ReplicaChange = CatalogueCommand & { readonly kind: "placeReplica" | "dropReplica" };

/** Outcomes kept to answer a repeated proposal: retries come within a deadline, so a few hundred are plenty. */
const REMEMBERED_MAX = 256;

/**
 * The state machine of group 0. Deterministic and total: no clock, no dice, and an entry that makes no sense is
 * rejected and changes nothing but the applied index. Ids are minted from the entry's index and so never reused.
 */
export class CatalogueState {
  #applied: number;
  readonly #collections = new Map<string, CatalogueCollection>();
  readonly #nodes: NodeTable;
  #aliases: ReadonlyMap<string, string>;
  readonly #recent: Remembered[];

  constructor(from: CatalogueSnapshot = EMPTY) {
    this.#applied = from.applied;
    for (const collection of from.collections) this.#collections.set(collection.name, collection);
    this.#nodes = new NodeTable(from);
    this.#aliases = new Map(from.aliases.map(({ alias, collection }) => [alias, collection]));
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
  /** In order of id. */
  nodes(): readonly CatalogueNode[] {
    return this.#nodes.list();
  }
  node(nodeId: number): CatalogueNode | null {
    return this.#nodes.get(nodeId);
  }
  /** In order of alias, by code unit. */
  aliases(): CatalogueSnapshot["aliases"] {
    return [...this.#aliases]
      .map(([alias, collection]) => ({ alias, collection }))
      .sort((a, b) => (a.alias < b.alias ? -1 : 1));
  }
  /** The collection of this name, or behind this alias. */
  resolve(name: string): CatalogueCollection | null {
    return this.collection(this.#aliases.get(name) ?? name);
  }
  snapshot(): CatalogueSnapshot {
    return {
      applied: this.#applied,
      collections: this.collections(),
      ...this.#nodes.snapshot(),
      aliases: this.aliases(),
      recent: [...this.#recent],
    };
  }

  /** Entries at or below the applied index (handed in again after a restart) change nothing. */
  apply(index: number, data: Uint8Array): CatalogueOutcome {
    if (index <= this.#applied) return { kind: "nothing" };
    this.#applied = index;
    if (data.length === 0) return { kind: "nothing" };
    const entry = decodeEntry(data);
    if (entry === null) return rejected("BAD_ENTRY", `catalogue entry ${index} cannot be understood`);
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
      case "updateCollection":
        return this.#update(index, command);
      case "deleteCollection":
        return this.#delete(command.name);
      case "changeAliases": {
        const changed = changeAliases(this.#aliases, command.actions, (name) => this.#collections.has(name));
        if (changed.kind === "rejected") return changed;
        this.#aliases = changed.aliases;
        return { kind: "done" };
      }
      case "registerNode":
        return this.#nodes.register(index, command);
      case "leaveNode":
        return this.#nodes.leave(command.nodeId);
      case "removeNode":
        return this.#nodes.remove(command.nodeId, this.#replicasOn(command.nodeId));
      case "placeReplica":
        return this.#changePlacement(index, command, (placement) => this.#place(placement, command));
      case "dropReplica":
        return this.#changePlacement(index, command, (placement) => drop(placement, command));
    }
  }

  #create(
    index: number,
    command: CatalogueCommand & { readonly kind: "createCollection" },
  ): CatalogueOutcome {
    const { name } = command.collection;
    if (this.#collections.has(name))
      return rejected("COLLECTION_EXISTS", `Collection \`${name}\` already exists!`);
    if (this.#aliases.has(name)) return rejected("NAME_TAKEN", `\`${name}\` is an alias already`);
    if (this.#collections.size >= command.collectionsMax) {
      return rejected(
        "LIMIT_EXCEEDED",
        `there are ${this.#collections.size} collections, and limits.collections is ${command.collectionsMax}`,
      );
    }
    const stranger = command.placement.flat().find((node) => this.#nodes.get(node) === null);
    if (stranger !== undefined) return rejected("NODE_NOT_FOUND", `there is no node ${stranger}`);
    const collection = createCollection(index, command);
    this.#collections.set(name, collection);
    return { kind: "created", collection };
  }

  #update(
    index: number,
    command: CatalogueCommand & { readonly kind: "updateCollection" },
  ): CatalogueOutcome {
    const before = this.#collections.get(command.name);
    if (before === undefined) return missing(command.name);
    const { patch, metadataBytesMax } = command;
    const metadata =
      patch.metadata === undefined ? before.metadata : mergedMetadata(before.metadata, patch.metadata);
    const bytes = metadata === null ? 0 : new TextEncoder().encode(JSON.stringify(metadata)).length;
    if (bytes > metadataBytesMax) {
      return rejected(
        "LIMIT_EXCEEDED",
        `\`metadata\` as merged has ${bytes} bytes, at most ${metadataBytesMax} are allowed`,
      );
    }
    const { replicationFactor = before.replicationFactor } = patch;
    // A new factor is the newest word on how many there are to be.
    const placement =
      patch.replicationFactor === undefined
        ? before.placement
        : before.placement.map((shard) => ({ ...shard, wanted: null }));
    const collection = { ...before, replicationFactor, metadata, placement, version: index };
    this.#collections.set(command.name, collection);
    return { kind: "updated", collection };
  }

  #delete(name: string): CatalogueOutcome {
    const collection = this.#collections.get(name);
    if (collection === undefined) return missing(name);
    this.#collections.delete(name);
    this.#aliases = new Map([...this.#aliases].filter(([, target]) => target !== name));
    return { kind: "deleted", collection };
  }

  #changePlacement(
    index: number,
    command: ReplicaChange,
    change: (placement: Placement) => Placement | Rejected,
  ): CatalogueOutcome {
    const collection = this.collections().find(({ shards }) =>
      shards.some(({ group }) => group === command.group),
    );
    const before = collection?.placement.find(({ group }) => group === command.group);
    if (collection === undefined || before === undefined)
      return rejected("SHARD_NOT_FOUND", `no collection has a shard with group ${command.group}`);
    const changed = change(before);
    if ("kind" in changed) return changed;
    // What there is now, not the number that came along: of two changes asked for at once both are to last.
    const after = command.wanted === undefined ? changed : { ...changed, wanted: changed.replicas.length };
    const placement = collection.placement.map((shard) => (shard === before ? after : shard));
    const updated = { ...collection, placement, version: index };
    this.#collections.set(collection.name, updated);
    return { kind: "updated", collection: updated };
  }

  #place(placement: Placement, { node, wanted }: ReplicaChange): Placement | Rejected {
    const known = this.#nodes.get(node);
    if (known === null) return rejected("NODE_NOT_FOUND", `there is no node ${node}`);
    if (known.state === "leaving") return rejected("NODE_NOT_FOUND", `node ${node} is leaving the cluster`);
    if (placement.replicas.some((replica) => replica.node === node))
      return rejected("REPLICA_EXISTS", `shard ${placement.shard} has a replica on node ${node} already`);
    const replicas = [...placement.replicas, { node, founding: false }];
    if (wanted !== undefined && wanted !== replicas.length) return overtaken(placement, wanted - 1);
    return { ...placement, replicas };
  }

  #replicasOn(node: number): number {
    return this.collections()
      .flatMap(({ placement }) => placement)
      .filter(({ replicas }) => replicas.some((replica) => replica.node === node)).length;
  }
}

function drop(placement: Placement, { node, wanted }: ReplicaChange): Placement | Rejected {
  const replicas = placement.replicas.filter((replica) => replica.node !== node);
  if (replicas.length === placement.replicas.length) {
    // Taken out of the group by an operator, it may be forgotten by the controller first: his wish counts all the same.
    if (wanted !== undefined && replicas.length <= wanted) return placement;
    return rejected("REPLICA_NOT_FOUND", `shard ${placement.shard} has no replica on node ${node}`);
  }
  if (replicas.length === 0)
    return rejected("LAST_REPLICA", `node ${node} has the last replica of shard ${placement.shard}`);
  return { ...placement, replicas };
}

function overtaken({ shard, replicas }: Placement, expected: number): Rejected {
  return rejected(
    "PLACEMENT_CHANGED",
    `another change of shard ${shard} came first: it has ${replicas.length} replicas by now, not ${expected}. ` +
      "Ask again when it has ended",
  );
}

function missing(name: string): Rejected {
  return rejected("COLLECTION_NOT_FOUND", `Not found: Collection \`${name}\` doesn't exist!`);
}
