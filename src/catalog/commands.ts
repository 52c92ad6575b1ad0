/** What an entry of group 0 asks for, as JSON; and how to read one back without trusting it. */
import type { AliasAction, CollectionPatch, NewCollection } from "../cluster/types.ts";
import {
  isAliasAction,
  isCollectionPatch,
  isNewCollection,
  isNodeId,
  isObject,
  isText,
  isWhole,
} from "./shapes.ts";

/** Where a node is reached: `host:port`, or empty while it has not said. */
export interface NodeAddresses {
  readonly http: string;
  readonly grpc: string;
  readonly peer: string;
}

export type CatalogueCommand =
  | {
      readonly kind: "createCollection";
      readonly collection: NewCollection;
      /** Per shard, the nodes it is founded on, decided by the proposer; the first one is to lead. */
      readonly placement: readonly (readonly number[])[];
      /** The proposer's `limits.collections`: travels along, so that every replica decides by the same number. */
      readonly collectionsMax: number;
    }
  | {
      readonly kind: "updateCollection";
      readonly name: string;
      /** Metadata is merged key by key; null removes a key. */
      readonly patch: CollectionPatch;
      /** The proposer's limit on the merged metadata, in bytes of JSON. */
      readonly metadataBytesMax: number;
    }
  | { readonly kind: "deleteCollection"; readonly name: string }
  | { readonly kind: "changeAliases"; readonly actions: readonly AliasAction[] }
  /** A node asks to be let in, or, with the incarnation it was let in with, says where it is now. */
  | ({
      readonly kind: "registerNode";
      readonly incarnation: string;
      /** null: the next free one. */
      readonly nodeId: number | null;
      readonly version: string;
    } & NodeAddresses)
  /** It is to be drained and let go. */
  | { readonly kind: "leaveNode"; readonly nodeId: number }
  /** It is gone: nothing is placed on it any more. */
  | { readonly kind: "removeNode"; readonly nodeId: number }
  /**
   * `wanted`: by an operator's word, and as many replicas as there are then stay wanted; it is how many that will be
   * if nothing else comes first, else no replica is placed. Absent: as many are wanted as before.
   */
  | {
      readonly kind: "placeReplica" | "dropReplica";
      readonly group: number;
      readonly node: number;
      readonly wanted?: number;
    };

/** A command and who sent it, so that a repeated proposal is applied once. */
export interface CatalogueEntry {
  readonly origin: string;
  readonly sequence: number;
  readonly command: CatalogueCommand;
}

const VERSION = 1;

export function encodeEntry(entry: CatalogueEntry): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ v: VERSION, ...entry }));
}

/** null: bytes that no version of this program proposed. */
export function decodeEntry(data: Uint8Array): CatalogueEntry | null {
  let read: unknown;
  try {
    read = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
  if (!isObject(read) || read["v"] !== VERSION) return null;
  const { origin, sequence, command } = read;
  if (typeof origin !== "string" || !Number.isSafeInteger(sequence) || !isCommand(command)) return null;
  return { origin, sequence: sequence as number, command };
}

function isCommand(value: unknown): value is CatalogueCommand {
  if (!isObject(value)) return false;
  switch (value["kind"]) {
    case "createCollection": {
      const { collection, placement } = value;
      return (
        isNewCollection(collection) &&
        Array.isArray(placement) &&
        placement.length === collection.shardNumber &&
        placement.every((nodes) => Array.isArray(nodes) && nodes.length > 0 && areNodes(nodes)) &&
        Number.isSafeInteger(value["collectionsMax"])
      );
    }
    case "updateCollection":
      return (
        typeof value["name"] === "string" &&
        isCollectionPatch(value["patch"]) &&
        Number.isSafeInteger(value["metadataBytesMax"])
      );
    case "deleteCollection":
      return typeof value["name"] === "string";
    case "changeAliases":
      return Array.isArray(value["actions"]) && value["actions"].every(isAliasAction);
    case "registerNode":
      return (
        isText(value["incarnation"]) &&
        (value["nodeId"] === null || isNodeId(value["nodeId"])) &&
        [value["http"], value["grpc"], value["peer"], value["version"]].every(isText)
      );
    case "leaveNode":
    case "removeNode":
      return isNodeId(value["nodeId"]);
    case "placeReplica":
    case "dropReplica":
      return (
        isWhole(value["group"], 1, Number.MAX_SAFE_INTEGER) &&
        isNodeId(value["node"]) &&
        (value["wanted"] === undefined || isWhole(value["wanted"], 1, 1_024))
      );
    default:
      return false;
  }
}

function areNodes(nodes: readonly unknown[]): boolean {
  return nodes.every(isNodeId) && new Set(nodes).size === nodes.length;
}
