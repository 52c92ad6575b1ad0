import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { replaceFileSafely } from "../config/files.ts";
import { isMetadata, isObject, isVectorSpec, isWhole } from "./shapes.ts";
import { SLOTS } from "./slots.ts";
import type { CatalogueCollection, CatalogueSnapshot, Remembered } from "./state.ts";

const FORMAT = 1;

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
    Array.isArray(slots) &&
    coversAllSlots(slots, shards.length)
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
