import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { replaceFileSafely } from "../config/files.ts";
import { isMetadata, isNodeId, isObject, isText, isVectorSpec, isWhole } from "./shapes.ts";
import { SLOTS } from "./slots.ts";
import type {
  CatalogueCollection,
  CatalogueNode,
  CatalogueSnapshot,
  Placement,
  Remembered,
} from "./types.ts";

const FORMAT = 2;

/** The catalogue's file is there but cannot be trusted: the node must not start on a guess. */
export class CatalogueFileError extends Error {
  override readonly name = "CatalogueFileError";
  readonly code = "CATALOGUE_CORRUPT";
}

/** null: no file, which is a first start. Throws {@link CatalogueFileError}. */
export function readCatalogue(path: string): CatalogueSnapshot | null {
  return existsSync(path) ? parseCatalogue(readFileSync(path, "utf8"), path) : null;
}

/** On disk when it resolves; after a crash the file holds either the old or the new state. */
export async function writeCatalogue(path: string, snapshot: CatalogueSnapshot): Promise<void> {
  await replaceFileSafely(path, formatCatalogue(snapshot));
}

export function formatCatalogue(snapshot: CatalogueSnapshot): string {
  const state = JSON.stringify(snapshot);
  return `{"format":${FORMAT},"sha256":"${digest(state)}","state":${state}}\n`;
}

export function parseCatalogue(text: string, path: string): CatalogueSnapshot {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (cause) {
    throw corrupt(path, "it is not JSON", cause);
  }
  if (!isObject(read)) throw corrupt(path, "it is not an object");
  const { format, sha256, state } = read;
  if (isWhole(format, FORMAT + 1, Number.MAX_SAFE_INTEGER)) {
    throw new CatalogueFileError(`${path} has format ${format}; this Flotilla reads up to ${FORMAT}`);
  }
  // What was written is what stringify makes of the same values, so re-making it checks every byte that matters.
  if (format !== FORMAT || digest(JSON.stringify(state)) !== sha256) {
    throw corrupt(path, "its checksum does not match");
  }
  if (!isSnapshot(state)) throw corrupt(path, "it does not hold a catalogue");
  return state;
}

function isSnapshot(value: unknown): value is CatalogueSnapshot {
  return (
    isObject(value) &&
    isWhole(value["applied"], 0, Number.MAX_SAFE_INTEGER) &&
    Array.isArray(value["collections"]) &&
    value["collections"].every(isCollection) &&
    Array.isArray(value["nodes"]) &&
    value["nodes"].every(isNode) &&
    isWhole(value["lastNodeId"], 0, 65_535) &&
    Array.isArray(value["removed"]) &&
    value["removed"].every(isNodeId) &&
    Array.isArray(value["aliases"]) &&
    value["aliases"].every(
      (alias) => isObject(alias) && isText(alias["alias"]) && isText(alias["collection"]),
    ) &&
    Array.isArray(value["recent"]) &&
    value["recent"].every(isRemembered)
  );
}

function isCollection(value: unknown): value is CatalogueCollection {
  if (!isObject(value)) return false;
  const { shards, slots, placement } = value;
  return (
    typeof value["name"] === "string" &&
    isWhole(value["id"], 1, Number.MAX_SAFE_INTEGER) &&
    isWhole(value["version"], 1, Number.MAX_SAFE_INTEGER) &&
    isVectorSpec(value["vectors"]) &&
    isMetadata(value["metadata"]) &&
    Array.isArray(shards) &&
    shards.length > 0 &&
    Array.isArray(placement) &&
    placement.length === shards.length &&
    placement.every(isPlacement) &&
    Array.isArray(slots) &&
    coversAllSlots(slots, shards.length)
  );
}

function isPlacement(value: unknown): value is Placement {
  if (!isObject(value)) return false;
  const { founders, replicas, wanted } = value;
  return (
    isWhole(value["group"], 1, Number.MAX_SAFE_INTEGER) &&
    Array.isArray(founders) &&
    founders.every(isNodeId) &&
    Array.isArray(replicas) &&
    replicas.length > 0 &&
    replicas.every(
      (replica) => isObject(replica) && isNodeId(replica["node"]) && typeof replica["founding"] === "boolean",
    ) &&
    (wanted === null || isWhole(wanted, 1, 1_024))
  );
}

function isNode(value: unknown): value is CatalogueNode {
  return (
    isObject(value) &&
    isNodeId(value["nodeId"]) &&
    [value["incarnation"], value["http"], value["grpc"], value["peer"], value["version"]].every(isText) &&
    (value["state"] === "active" || value["state"] === "leaving") &&
    isWhole(value["joined"], 1, Number.MAX_SAFE_INTEGER)
  );
}

function coversAllSlots(slots: readonly unknown[], shards: number): boolean {
  let next = 0;
  for (const range of slots) {
    if (!isObject(range) || range["from"] !== next || !isWhole(range["shard"], 0, shards - 1)) return false;
    next = isWhole(range["to"], next, SLOTS) ? range["to"] : NaN;
  }
  return next === SLOTS;
}

function isRemembered(value: unknown): value is Remembered {
  return (
    isObject(value) &&
    typeof value["origin"] === "string" &&
    Number.isSafeInteger(value["sequence"]) &&
    isObject(value["outcome"])
  );
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function corrupt(path: string, what: string, cause?: unknown): CatalogueFileError {
  return new CatalogueFileError(
    `${path} is corrupt: ${what}; restore it from a backup of the whole data directory`,
    { cause },
  );
}
