/**
 * From operations to log entries and back to one receipt.
 *
 * Each entry is applied as a whole or not at all. Entries of one shard go one after the other, so that they are applied
 * in order and nothing follows one that was rejected; shards go side by side. A write of several entries can therefore
 * be carried out in part: the error says so, and repeating it with its Idempotency-Key does the rest, once.
 */
import { ApiError, type ShardResult } from "../api/errors.ts";
import type { CatalogueCollection } from "../catalog/types.ts";
import type { WriteOutcome } from "../engine/types.ts";
import { KeyLedger } from "./key-ledger.ts";
import { rejection, type Place } from "./outcomes.ts";
import type { Proposer } from "./proposer.ts";
import { shardOf } from "./shard-of.ts";
import { splitWrites, type ShardWrites } from "./split.ts";
import type { WriteOp, WriteOptions, WriteReceipt } from "./types.ts";

/** Names an entry so that it is applied at most once. */
export interface EntryKey {
  readonly origin: string;
  readonly sequence: number;
}

export type EncodeEntry = (key: EntryKey, operations: readonly WriteOp[]) => Uint8Array;

export interface WritePathOptions {
  /** Names this run of the process: entries of requests without a key get an origin of their own from it. */
  readonly run: string;
  /** `limits.entry_bytes` */
  readonly entryBytes: number;
  /** `queue.write_bytes` */
  readonly bytesMax: number;
}

/** What makes a shard larger; the rest must be possible when space runs out. */
const ADDING: readonly WriteOp["kind"][] = ["upsert", "updateVectors", "setPayload", "overwritePayload"];

interface Progress {
  readonly shard: number;
  readonly entries: number;
  index: number;
  applied: number;
  duplicate: boolean;
  error: unknown;
}

export class WritePath {
  readonly #options: WritePathOptions;
  readonly #proposer: Pick<Proposer, "propose">;
  readonly #encode: EncodeEntry;
  readonly #keys = new KeyLedger();
  #bytes = 0;
  #requests = 0;

  constructor(
    options: WritePathOptions,
    parts: { readonly proposer: Pick<Proposer, "propose">; readonly encode: EncodeEntry },
  ) {
    this.#options = options;
    this.#proposer = parts.proposer;
    this.#encode = parts.encode;
  }

  /** Bytes of entries that were proposed and have no outcome yet. */
  get bytesInFlight(): number {
    return this.#bytes;
  }

  async write(
    collection: CatalogueCollection,
    operations: readonly WriteOp[],
    options: WriteOptions,
  ): Promise<WriteReceipt> {
    options.signal.throwIfAborted();
    const { entryBytes } = this.#options;
    const writes = splitWrites(operations, { entryBytes, shardOf: shardOf(collection) });
    const key = options.idempotencyKey;
    const origin =
      key === null
        ? `${this.#options.run}/${++this.#requests}`
        : this.#keys.claim(
            collection.id,
            key,
            writes.flatMap(({ entries }) =>
              entries.map((some, sequence) => this.#encode({ origin: key, sequence }, some)),
            ),
          );
    const done = await Promise.all(
      writes.map((shard) => this.#writeShard(collection, shard, origin, options)),
    );
    if (done.some(({ error }) => error !== null)) throw worst(done);
    return {
      indexes: done.map(({ shard, index }) => ({ shard, index })),
      duplicate: key !== null && done.length > 0 && done.every(({ duplicate }) => duplicate),
    };
  }

  /** Never throws: what went wrong is part of the progress. */
  async #writeShard(
    collection: CatalogueCollection,
    { shard, entries }: ShardWrites,
    origin: string,
    options: WriteOptions,
  ): Promise<Progress> {
    const place = { shard, group: collection.shards[shard]?.group ?? -1 };
    const progress: Progress = {
      shard,
      entries: entries.length,
      index: 0,
      applied: 0,
      duplicate: true,
      error: null,
    };
    try {
      for (const [sequence, operations] of entries.entries()) {
        const data = this.#encode({ origin, sequence }, operations);
        const adds = operations.some(({ kind }) => ADDING.includes(kind));
        const { index, outcome, repeated } = await this.#writeEntry(place, data, { ...options, adds });
        if (outcome?.kind === "rejected") throw rejection(outcome);
        // Of one that was there before, the index at which it was done: the version that its points have.
        const doneAt = outcome?.duplicate === true ? outcome.version : index;
        progress.index = Math.max(progress.index, doneAt);
        progress.applied++;
        progress.duplicate &&= !repeated && (outcome?.duplicate ?? false);
      }
    } catch (error) {
      progress.error = error;
    }
    return progress;
  }

  async #writeEntry(
    place: Place,
    data: Uint8Array,
    { wait, signal, caller = null, adds }: WriteOptions & { readonly adds: boolean },
  ): Promise<{
    readonly index: number;
    readonly outcome: WriteOutcome | null;
    readonly repeated: boolean;
  }> {
    const bytes = data.byteLength;
    if (this.#bytes + bytes > this.#options.bytesMax && this.#bytes > 0) {
      throw new ApiError(
        "OVERLOADED",
        `${this.#bytes} bytes of writes are in flight, and queue.write_bytes is ${this.#options.bytesMax}`,
        { retryAfter: 1 },
      );
    }
    this.#bytes += bytes;
    try {
      const end = await this.#proposer.propose(place, data, {
        wait: wait ? "applied" : "committed",
        signal,
        caller,
        adds,
      });
      return { index: end.index, outcome: end.result as WriteOutcome | null, repeated: end.repeated };
    } finally {
      this.#bytes -= bytes;
    }
  }
}

/**
 * One error for the request. What is unknown outweighs the rest: a client must not take a write for undone that may
 * still happen. The same holds when other entries are in already and the error's promise "nothing was changed" would
 * be false.
 */
function worst(done: readonly Progress[]): unknown {
  const causes = done.flatMap(({ error }) => (error === null ? [] : [error]));
  const entries = done.reduce((sum, shard) => sum + shard.entries, 0);
  const applied = done.reduce((sum, shard) => sum + shard.applied, 0);
  const unknown = causes.flatMap((cause) =>
    cause instanceof ApiError && cause.code === "OUTCOME_UNKNOWN" ? (cause.details.unknown ?? []) : [],
  );
  const first = causes.find((cause) => !(cause instanceof ApiError)) ?? causes[0];
  if (!(first instanceof ApiError)) return first;
  const lead = causes.find((cause) => cause instanceof ApiError && cause.code === "OUTCOME_UNKNOWN") ?? first;
  if (!(lead instanceof ApiError) || (done.length === 1 && applied === 0)) return first;
  const shards = done.length > 1 ? { shards: done.map(shardResult) } : {};
  if (applied === 0 && unknown.length === 0) {
    return new ApiError(lead.code, lead.message, { ...lead.details, ...shards }, { cause: lead });
  }
  const promisesNothing = PROMISE_NOTHING.includes(lead.code);
  return new ApiError(
    promisesNothing ? "OUTCOME_UNKNOWN" : lead.code,
    applied === 0
      ? lead.message
      : `${lead.message} (${applied} of ${entries} parts of this write were applied)`,
    { ...lead.details, ...(unknown.length > 0 || promisesNothing ? { unknown } : {}), ...shards },
    { cause: lead },
  );
}

const PROMISE_NOTHING = ["OVERLOADED", "DEADLINE_EXCEEDED", "NO_LEADER", "NOT_LEADER", "NOT_READY"];

function shardResult({ shard, applied, entries, error }: Progress): ShardResult {
  if (error === null) return { shard, applied, entries, code: null, message: null };
  const known = error instanceof ApiError ? error : null;
  return {
    shard,
    applied,
    entries,
    code: known?.code ?? "INTERNAL",
    message: known?.message ?? "a defect in Flotilla",
  };
}
