/** What an entry of group 0 asks for, as JSON; and how to read one back without trusting it. */
import type { CollectionPatch, NewCollection } from "../cluster/types.ts";
import { isCollectionPatch, isNewCollection, isObject } from "./shapes.ts";

export type CatalogueCommand =
  | {
      readonly kind: "createCollection";
      readonly collection: NewCollection;
      /** Nodes the replicas go to, decided by the proposer. */
      readonly nodes: readonly number[];
      /** The proposer's `limits.collections`: travels along, so that every replica decides by the same number. */
      readonly collectionsMax: number;
    }
  | { readonly kind: "updateCollection"; readonly name: string; readonly patch: CollectionPatch }
  | { readonly kind: "deleteCollection"; readonly name: string };

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
      const { nodes } = value;
      return (
        isNewCollection(value["collection"]) &&
        Array.isArray(nodes) &&
        nodes.length > 0 &&
        nodes.every((node) => Number.isSafeInteger(node) && node > 0) &&
        Number.isSafeInteger(value["collectionsMax"])
      );
    }
    case "updateCollection":
      return typeof value["name"] === "string" && isCollectionPatch(value["patch"]);
    case "deleteCollection":
      return typeof value["name"] === "string";
    default:
      return false;
  }
}
