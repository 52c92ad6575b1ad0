/**
 * From operations to log entries and back to one receipt.
 *
 * Each entry is applied as a whole or not at all. Entries of one shard go one after the other, so that they are applied
 * in order and nothing follows one that was rejected; shards go side by side. A write of several entries can therefore
 * be carried out in part: the error says so, and repeating it with its Idempotency-Key does the rest, once.
 */
import { ApiError } from "../api/errors.ts";
import type { CatalogueCollection } from "../catalog/types.ts";
import type { WriteOutcome } from "../engine/types.ts";
import { KeyLedger } from "./key-ledger.ts";
import { asApiError, fateOf, noLeader, rejection, type EntryFate } from "./outcomes.ts";
import type { Consensus } from "./ports.ts";
import type { Roles } from "./roles.ts";
import { shardOf } from "./shard-of.ts";
import { splitWrites, type ShardWrites } from "./split.ts";
import type { WriteOp, WriteOptions, WriteReceipt } from "./types.ts";

/** Names an entry so that it is applied at most once. */
export interface EntryKey {
  readonly origin: string;
  readonly sequence: number;
}

export type EncodeEntry = (key: EntryKey | null, operations: readonly WriteOp[]) => Uint8Array;

export interface WritePathOptions {
  /** `limits.entry_bytes` */
  readonly entryBytes: number;
  /** `queue.write_bytes` */
  readonly bytesMax: number;
  /** Longest wait for an outcome; the request's own signal usually ends it before. */
  readonly timeoutMs: number;
}

/** Proposals of one entry that were refused without effect before the client hears of it. */
const ATTEMPTS_MAX = 5;

interface Progress {
  index: number;
  applied: number;
  duplicate: boolean;
}

export class WritePath {
  readonly #options: WritePathOptions;
  readonly #consensus: Consensus;
  readonly #roles: Roles;
  readonly #encode: EncodeEntry;
  readonly #keys = new KeyLedger();
  #bytes = 0;

  constructor(
    options: WritePathOptions,
    parts: { readonly consensus: Consensus; readonly roles: Roles; readonly encode: EncodeEntry },
  ) {
    this.#options = options;
    this.#consensus = parts.consensus;
    this.#roles = parts.roles;
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
    const entries = writes.reduce((sum, shard) => sum + shard.entries.length, 0);
    const key = options.idempotencyKey;
    if (key !== null) {
      const encoded = writes.flatMap((shard) =>
        shard.entries.map((some, sequence) => this.#encode({ origin: key, sequence }, some)),
      );
      this.#keys.claim(collection.id, key, encoded);
    }
    const ends = await Promise.allSettled(
      writes.map((shard) => this.#writeShard(collection, shard, options)),
    );
    const done = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
    const errors = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
    const applied = ends.reduce(
      (sum, end) => sum + (end.status === "fulfilled" ? end.value.applied : appliedBefore(end.reason)),
      0,
    );
    if (errors.length > 0) throw worst(errors, applied, entries);
    return {
      indexes: writes.map(({ shard }, at) => ({ shard, index: done[at]?.index ?? 0 })),
      duplicate: done.length > 0 && done.every(({ duplicate }) => duplicate),
    };
  }

  async #writeShard(
    collection: CatalogueCollection,
    { shard, entries }: ShardWrites,
    options: WriteOptions,
  ): Promise<Progress> {
    const place = { shard, group: collection.shards[shard]?.group ?? -1 };
    const progress: Progress = { index: 0, applied: 0, duplicate: true };
    for (const [sequence, operations] of entries.entries()) {
      const key = options.idempotencyKey === null ? null : { origin: options.idempotencyKey, sequence };
      try {
        const { index, outcome } = await this.#writeEntry(place, this.#encode(key, operations), options);
        progress.index = Math.max(progress.index, index);
        if (outcome?.kind === "rejected") throw rejection(outcome);
        progress.applied++;
        progress.duplicate &&= outcome?.duplicate ?? false;
      } catch (error) {
        throw progress.applied === 0 ? error : new PartlyApplied(progress.applied, error);
      }
    }
    return progress;
  }

  async #writeEntry(
    place: { readonly shard: number; readonly group: number },
    data: Uint8Array,
    options: WriteOptions,
  ): Promise<{ readonly index: number; readonly outcome: WriteOutcome | null }> {
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
      for (let attempt = 1; ; attempt++) {
        // Proposing gives the bytes away; what may have to be repeated is kept.
        const fate = await this.#propose(
          place,
          this.#roles.leads(place.group) ? data : data.slice(),
          options,
        );
        if (fate.kind === "done") return fate;
        if (fate.kind === "failed") throw this.#inTime(fate.error, options);
        // Given away, or refused again and again while leadership is handed over: the client tries again.
        if (data.byteLength === 0 || attempt === ATTEMPTS_MAX) throw noLeader(place);
        await this.#roles.leading(place.group, options.signal);
      }
    } finally {
      this.#bytes -= bytes;
    }
  }

  async #propose(
    place: { readonly shard: number; readonly group: number },
    data: Uint8Array,
    options: WriteOptions,
  ): Promise<EntryFate> {
    try {
      const outcome = await this.#consensus.propose(place.group, data, {
        wait: options.wait ? "applied" : "committed",
        timeoutMs: this.#options.timeoutMs,
        signal: options.signal,
      });
      return fateOf(outcome, place, this.#roles);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "THREAD_GONE") {
        const unknown = [{ shard: place.shard, term: null, index: null }];
        const message = `Service unavailable: the node is ending; the write may still happen: ${error.message}`;
        throw new ApiError("OUTCOME_UNKNOWN", message, { unknown }, { cause: error });
      }
      throw asApiError(error);
    }
  }

  /** A write that was never proposed ends with the error its deadline brought along. */
  #inTime(error: ApiError, { signal }: WriteOptions): unknown {
    return error.code === "DEADLINE_EXCEEDED" && signal.aborted ? signal.reason : error;
  }
}

/** Some entries of a shard are in; the next one failed for `cause`. */
class PartlyApplied extends Error {
  readonly applied: number;
  constructor(applied: number, cause: unknown) {
    super("partly applied", { cause });
    this.applied = applied;
  }
}

function appliedBefore(error: unknown): number {
  return error instanceof PartlyApplied ? error.applied : 0;
}

/**
 * One error for the request. What is unknown outweighs the rest: a client must not take a write for undone that may
 * still happen. The same holds when other entries are in already and the error's promise "nothing was changed" would
 * be false.
 */
function worst(errors: readonly unknown[], applied: number, entries: number): unknown {
  const causes = errors.map((error) => (error instanceof PartlyApplied ? error.cause : error));
  const unknown = causes.flatMap((cause) =>
    cause instanceof ApiError && cause.code === "OUTCOME_UNKNOWN" ? (cause.details.unknown ?? []) : [],
  );
  const first = causes.find((cause) => !(cause instanceof ApiError)) ?? causes[0];
  if (!(first instanceof ApiError)) return first;
  const lead = causes.find((cause) => cause instanceof ApiError && cause.code === "OUTCOME_UNKNOWN") ?? first;
  if (!(lead instanceof ApiError) || (applied === 0 && unknown.length === 0)) return first;
  const promisesNothing = ["OVERLOADED", "DEADLINE_EXCEEDED", "NO_LEADER", "NOT_READY"].includes(lead.code);
  return new ApiError(
    promisesNothing ? "OUTCOME_UNKNOWN" : lead.code,
    applied === 0
      ? lead.message
      : `${lead.message} (${applied} of ${entries} parts of this write were applied)`,
    { ...lead.details, ...(unknown.length > 0 || promisesNothing ? { unknown } : {}) },
    { cause: lead },
  );
}
