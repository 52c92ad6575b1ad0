/** Query parameters and headers that say how a call is to be carried out rather than what it does. */
import type { IncomingHttpHeaders } from "node:http";
import { ApiError } from "../api/errors.ts";
import type { Consistency, ReadOptions, ShardIndex, WriteOptions, WriteReceipt } from "../api/types.ts";
import { fallback, object, optional, schema, word, wrong, type JsonSchema, type Schema } from "./schema.ts";

const flag: Schema<boolean> = schema({ type: "boolean" }, (value, at) => {
  if (value !== "true" && value !== "false") throw wrong(at, "must be true or false");
  return value === "true";
});

const seconds: Schema<number> = schema({ type: "number", exclusiveMinimum: 0 }, (value, at) => {
  const parsed = typeof value === "string" && /^[0-9]+(\.[0-9]+)?$/.test(value) ? Number(value) : 0;
  if (!(parsed > 0)) throw wrong(at, "must be a number of seconds above 0");
  return parsed;
});

const LEVELS = ["eventual", "session", "leader", "linearizable"] as const;
type Level = (typeof LEVELS)[number];
const LEVEL_SCHEMA: JsonSchema = {
  description: "How fresh a read must be; a number, `majority`, `quorum` and `all` are Qdrant's words.",
  anyOf: [
    { type: "string", enum: [...LEVELS, "majority", "quorum", "all"] },
    { type: "integer", minimum: 1 },
  ],
};

/** Qdrant asks several replicas and compares; one read that is proved fresh is at least as strong. */
const level: Schema<Level> = schema(LEVEL_SCHEMA, (value, at) => {
  const found = LEVELS.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  if (value === "1") return "eventual";
  const strong = ["majority", "quorum", "all"].some((candidate) => candidate === value);
  if (strong || (typeof value === "string" && /^[1-9][0-9]{0,8}$/.test(value))) return "linearizable";
  throw wrong(at, `must be one of ${LEVELS.join(", ")}, majority, quorum, all, or a number of replicas`);
});

const timeout = optional(seconds);

export const PLAIN_QUERY = object({ timeout });

/** `?sync` as such, or with any value but false. */
const present: Schema<boolean> = schema({ type: "boolean" }, (value) => value !== "false");

export const READY_QUERY = object({ sync: optional(present), timeout });

/** Changes of voters: `wait` for the vote itself. */
export const VOTER_QUERY = object({ wait: fallback(flag, true), timeout });

export const READ_QUERY = object({ consistency: fallback(level, "leader"), timeout });

export const WRITE_QUERY = object({
  wait: fallback(flag, true),
  // Every write is ordered by its shard's log, so that the weaker ones are kept with the strongest.
  ordering: optional(word(["weak", "medium", "strong"])),
  redirect: optional(flag),
  timeout,
});

type Read<S> = S extends Schema<infer T> ? T : never;
export type ReadQuery = Read<typeof READ_QUERY>;
export type WriteQuery = Read<typeof WRITE_QUERY>;

interface Asking<Q> {
  readonly query: Q;
  readonly headers: IncomingHttpHeaders;
  readonly signal: AbortSignal;
}

/** `X-Flotilla-Index` counts with `consistency=session`; a session that has seen nothing sends none. */
export function readOptions({ query, headers, signal }: Asking<ReadQuery>): ReadOptions {
  const atLeast = indexes(single(headers, "x-flotilla-index"));
  const consistency: Consistency =
    query.consistency === "session" ? { level: "session", atLeast } : { level: query.consistency };
  return { consistency, signal };
}

export function writeOptions({ query, headers, signal }: Asking<WriteQuery>): WriteOptions {
  const idempotencyKey = single(headers, "idempotency-key") ?? null;
  const redirect = query.redirect === null ? {} : { redirect: query.redirect };
  return { wait: query.wait, idempotencyKey, ...redirect, signal };
}

/** `0=12,1=30`: the log index seen of each shard. */
function indexes(header: string | undefined): readonly ShardIndex[] {
  if (header === undefined || header.trim() === "") return [];
  return header.split(",").map((part) => {
    const match = /^\s*([0-9]{1,10})=([0-9]{1,16})\s*$/.exec(part);
    const index = Number(match?.[2]);
    if (match === null || !Number.isSafeInteger(index))
      throw badHeader("X-Flotilla-Index", "must look like `0=12,1=30` (shard=log index)");
    return { shard: Number(match[1]), index };
  });
}

/** The headers of a write's answer. */
export function receiptHeaders(receipt: WriteReceipt): Readonly<Record<string, string>> {
  const index = receipt.indexes.map(({ shard, index }) => `${shard}=${index}`).join(",");
  return { "x-flotilla-index": index, ...(receipt.duplicate ? { "idempotency-replayed": "true" } : {}) };
}

/**
 * The version that the points to be written must have: from `if_version` in the body, `If-Match: "5"`, or
 * `If-None-Match: *` (0: must not exist). Two that differ are BAD_REQUEST.
 */
export function expectedVersion(body: number | null, headers: IncomingHttpHeaders): number | undefined {
  const match = single(headers, "if-match");
  const noneMatch = single(headers, "if-none-match");
  const asked = new Set<number>();
  if (body !== null) asked.add(body);
  if (match !== undefined) asked.add(versionOf(match));
  if (noneMatch !== undefined) {
    if (noneMatch.trim() !== "*")
      throw badHeader("If-None-Match", "can only be `*` on a write: the point must not exist");
    asked.add(0);
  }
  if (asked.size > 1)
    throw new ApiError(
      "BAD_REQUEST",
      "Wrong input: `if_version`, If-Match and If-None-Match contradict each other",
    );
  return [...asked][0];
}

function versionOf(header: string): number {
  const match = /^\s*(?:"([0-9]{1,16})"|([0-9]{1,16}))\s*$/.exec(header);
  const version = Number(match?.[1] ?? match?.[2]);
  if (!Number.isSafeInteger(version))
    throw badHeader("If-Match", 'must be one version, such as `5` or `"5"`');
  return version;
}

/** UNSUPPORTED when a precondition comes with a request of several operations, of which it cannot mean one. */
export function refusePreconditions(headers: IncomingHttpHeaders, instead: string): void {
  for (const name of ["if-match", "if-none-match"])
    if (headers[name] !== undefined)
      throw new ApiError("UNSUPPORTED", `Not supported: the header ${name} on this request; ${instead}`);
}

function single(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  if (Array.isArray(value)) throw badHeader(name, "must be sent once");
  return value;
}

const badHeader = (name: string, what: string): ApiError =>
  new ApiError("BAD_REQUEST", `Wrong input: the header ${name} ${what}`);
