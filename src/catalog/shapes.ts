/** Is it what it says it is? For what comes out of a log or a file: bounds are those of the format, not of a limit. */
import type { AliasAction, CollectionPatch, NewCollection, Payload, VectorSpec } from "../cluster/types.ts";

/** Shards a collection can have at all: a group's id is made of its collection's id and this many numbers. */
export const SHARDS_BOUND = 1_024;

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
}

export function isMetadata(value: unknown): value is Payload | null {
  return value === null || isObject(value);
}

export function isVectorSpec(value: unknown): value is VectorSpec {
  return (
    isObject(value) &&
    isWhole(value["dimension"], 1, 65_536) &&
    ["Cosine", "Dot", "Euclid"].includes(value["distance"] as string) &&
    isWhole(value["m"], 2, 200) &&
    isWhole(value["efConstruct"], 4, 4_096)
  );
}

export function isNewCollection(value: unknown): value is NewCollection {
  return (
    isObject(value) &&
    typeof value["name"] === "string" &&
    value["name"].length > 0 &&
    isVectorSpec(value["vectors"]) &&
    isWhole(value["shardNumber"], 1, SHARDS_BOUND) &&
    isWhole(value["replicationFactor"], 1, 1_024) &&
    isMetadata(value["metadata"])
  );
}

export function isCollectionPatch(value: unknown): value is CollectionPatch {
  if (!isObject(value)) return false;
  const { replicationFactor, metadata } = value;
  return (
    (replicationFactor === undefined || isWhole(replicationFactor, 1, 1_024)) &&
    (metadata === undefined || isObject(metadata))
  );
}

export function isNodeId(value: unknown): value is number {
  return isWhole(value, 1, 65_535);
}

/** An address, a version, a name: short, and nothing that is interpreted. */
export function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= 512;
}

export function isAliasAction(value: unknown): value is AliasAction {
  if (!isObject(value)) return false;
  switch (value["kind"]) {
    case "create":
      return isText(value["alias"]) && isText(value["collection"]);
    case "delete":
      return isText(value["alias"]);
    case "rename":
      return isText(value["from"]) && isText(value["to"]);
    default:
      return false;
  }
}
