/**
 * What a client may ask for at most. One row per limit: configuration takes name, default and bounds from here, the
 * README prints it, and an error that refuses a request names the row (`limits.batch_points`) and the value in force.
 */
import { ApiError, type ErrorCode } from "./errors.ts";

interface LimitRow {
  /** Name in configuration, below `limits.` */
  readonly option: string;
  readonly unit: string;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly reason: string;
}

const row = (
  option: string,
  unit: string,
  fallback: number,
  min: number,
  max: number,
  reason: string,
): LimitRow => ({ option, unit, fallback, min, max, reason });

const KIB = 1024;
const MIB = 1024 * KIB;

/** What an entry of a shard's log takes: the same on every node, so no option goes beyond it. */
export const ENTRY_LIMITS = { payloadJsonBytes: MIB, payloadDepth: 64 } as const;

export const LIMITS = {
  bodyBytes: row(
    "body_bytes",
    "bytes",
    32 * MIB,
    64 * KIB,
    512 * MIB,
    "A body is held and parsed in one piece on the thread that serves all requests.",
  ),
  jsonDepth: row(
    "json_depth",
    "levels",
    64,
    16,
    512,
    "Deeper than any request needs, far from where a parser runs out of memory.",
  ),
  batchPoints: row(
    "batch_points",
    "points",
    10_000,
    1,
    1_000_000,
    "Points or ids in one request; larger batches gain nothing and hold others up.",
  ),
  batchOperations: row("batch_operations", "operations", 1_000, 1, 100_000, "Operations in one mixed batch."),
  batchQueries: row(
    "batch_queries",
    "queries",
    1_000,
    1,
    100_000,
    "Queries in one batch; each costs as much as one sent alone.",
  ),
  dimension: row(
    "dimension",
    "elements",
    65_536,
    1,
    65_536,
    "Vector elements of a new collection; a vector must fit into one log entry.",
  ),
  payloadBytes: row(
    "payload_bytes",
    "bytes",
    256 * KIB,
    KIB,
    768 * KIB,
    "One point's payload: with its vector it must fit into one log entry.",
  ),
  metadataBytes: row(
    "metadata_bytes",
    "bytes",
    64 * KIB,
    KIB,
    768 * KIB,
    "A collection's metadata: every node holds the catalogue in memory.",
  ),
  payloadDepth: row(
    "payload_depth",
    "levels",
    32,
    1,
    ENTRY_LIMITS.payloadDepth,
    "Nesting of objects and arrays in a payload.",
  ),
  searchHits: row(
    "search_hits",
    "hits",
    10_000,
    1,
    100_000,
    "`limit` + `offset` of one search: every shard has to find that many.",
  ),
  searchEf: row(
    "search_ef",
    "candidates",
    10_000,
    16,
    100_000,
    "`hnsw_ef`: the cost of a search grows with it.",
  ),
  pagePoints: row("page_points", "points", 10_000, 1, 100_000, "Points of one page of a scroll."),
  selectorKeys: row(
    "selector_keys",
    "keys",
    256,
    1,
    10_000,
    "Payload keys named in one `with_payload` or one deletion of keys.",
  ),
  nameBytes: row(
    "name_bytes",
    "bytes",
    255,
    1,
    255,
    "Collection name as UTF-8: what Qdrant allows, and what fits a path segment.",
  ),
  idBytes: row("id_bytes", "bytes", 512, 36, 512, "Point id as UTF-8; a UUID has 36."),
  idempotencyKeyBytes: row(
    "idempotency_key_bytes",
    "bytes",
    255,
    16,
    255,
    "`Idempotency-Key`: remembered for every write that carries one.",
  ),
  shardNumber: row(
    "shard_number",
    "shards",
    64,
    1,
    1_024,
    "Shards of a new collection: each is a Raft group with a log and an index of its own.",
  ),
  replicationFactor: row(
    "replication_factor",
    "replicas",
    7,
    1,
    7,
    "Replicas per shard: a larger group commits slower and survives no more in practice.",
  ),
} as const satisfies Record<string, LimitRow>;

export type LimitName = keyof typeof LIMITS;
export type Limits = { readonly [K in LimitName]: number };

/** Every limit at its default, with some replaced. */
export function limits(chosen: Partial<Limits> = {}): Limits {
  const names = Object.keys(LIMITS) as LimitName[];
  const values = names.map((name) => [name, chosen[name] ?? LIMITS[name].fallback] as const);
  return Object.fromEntries(values) as Limits;
}

/** Throws unless `value` is within the limit: `what` is the thing counted, as the subject of a sentence. */
export function within(
  limits: Limits,
  name: LimitName,
  value: number,
  what: string,
  code: ErrorCode = "INVALID",
): void {
  if (value > limits[name])
    throw new ApiError(code, `Wrong input: ${what} is ${value}, ${allowed(limits, name)}`);
}

/** INVALID unless min <= value <= the limit. */
export function between(limits: Limits, name: LimitName, value: number, min: number, what: string): void {
  if (value < min) throw new ApiError("INVALID", `Wrong input: ${what} must be ${min} or more, not ${value}`);
  within(limits, name, value, what);
}

/** "at most 10000 points are allowed (option `limits.batch_points`)" */
export function allowed(limits: Limits, name: LimitName): string {
  return `at most ${limits[name]} ${LIMITS[name].unit} are allowed (option \`${optionOf(name)}\`)`;
}

/** `batchPoints` as `limits.batch_points`. */
export const optionOf = (name: LimitName): string => `limits.${LIMITS[name].option}`;
