/** What the catalogue knows, and what its entries do: the words of group 0. */
import type { CollectionInfo } from "../cluster/types.ts";
import type { NodeAddresses } from "./commands.ts";
import type { SlotRange } from "./slots.ts";

export interface CatalogueNode extends NodeAddresses {
  readonly nodeId: number;
  /** Drawn when its data directory was made: a wiped node is another node. */
  readonly incarnation: string;
  readonly version: string;
  /** `leaving`: it is being drained, and gets nothing new. */
  readonly state: "active" | "leaving";
  /** Index of the entry that let it in. */
  readonly joined: number;
}

export interface Replica {
  readonly node: number;
  /** It is one of the group's founders and begins with their configuration; others begin as newcomers. */
  readonly founding: boolean;
}

/** Where a shard's replicas are to be. Who votes among them is the group's own log's business. */
export interface Placement {
  readonly shard: number;
  readonly group: number;
  /** The group's first voters, for ever: one that opens late begins with the same configuration as the others. */
  readonly founders: readonly number[];
  readonly replicas: readonly Replica[];
  /** How many an operator asked for by changing voters by hand; null: the collection's replication factor. */
  readonly wanted: number | null;
}

/** A collection with what only routing and placement need. */
export interface CatalogueCollection extends CollectionInfo {
  readonly slots: readonly SlotRange[];
  /** In order of shard. */
  readonly placement: readonly Placement[];
}

export type CatalogueRejection =
  | "COLLECTION_EXISTS"
  | "COLLECTION_NOT_FOUND"
  | "LIMIT_EXCEEDED"
  | "BAD_ENTRY"
  | "NODE_ID_EXISTS"
  | "NODE_NOT_FOUND"
  | "NODE_IN_USE"
  | "LAST_NODE"
  | "SHARD_NOT_FOUND"
  | "REPLICA_EXISTS"
  | "REPLICA_NOT_FOUND"
  | "PLACEMENT_CHANGED"
  | "LAST_REPLICA"
  | "ALIAS_NOT_FOUND"
  | "NAME_TAKEN";

/** What applying one entry did: the same on every replica and every replay. */
export type CatalogueOutcome =
  | { readonly kind: "created" | "updated"; readonly collection: CatalogueCollection }
  | { readonly kind: "deleted"; readonly collection: CatalogueCollection }
  | { readonly kind: "node"; readonly node: CatalogueNode }
  /** Done, and there is nothing more to say. */
  | { readonly kind: "done" }
  | { readonly kind: "rejected"; readonly code: CatalogueRejection; readonly message: string }
  /** An entry without bytes: a new leader's first, or a change of membership. */
  | { readonly kind: "nothing" };

export type Rejected = CatalogueOutcome & { readonly kind: "rejected" };

export interface Remembered {
  readonly origin: string;
  readonly sequence: number;
  readonly outcome: CatalogueOutcome;
}

/** As it is written down. */
export interface CatalogueSnapshot {
  readonly applied: number;
  readonly collections: readonly CatalogueCollection[];
  readonly nodes: readonly CatalogueNode[];
  /** The highest node id that was ever given out. */
  readonly lastNodeId: number;
  /** Ids of nodes that were removed: never given out again. */
  readonly removed: readonly number[];
  readonly aliases: readonly { readonly alias: string; readonly collection: string }[];
  readonly recent: readonly Remembered[];
}

export function rejected(code: CatalogueRejection, message: string): Rejected {
  return { kind: "rejected", code, message };
}
