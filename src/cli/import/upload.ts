/** Sends batches of vectors as durable upserts: several at once, each repeated until it is acknowledged. */
import { setTimeout as sleep } from "node:timers/promises";
import type { VectorBatch } from "../../datasets/source.ts";
import type { PointId } from "../../engine/types.ts";
import { HttpClientError } from "../http-client.ts";
import type { HttpClient } from "../http-client.ts";
import { collectionPath, RestError, resultOf } from "../rest.ts";
import { vectorJson } from "../vector-json.ts";

export interface UploadOptions {
  readonly collection: string;
  /** Requests in flight at once. */
  readonly concurrency: number;
  /** Added to the row number where the file carries no ids. */
  readonly idOffset?: number;
  /** Payload of a row by its number, where the file carries none. */
  readonly payloadOf?: (row: number) => object | null;
  /** Prefix of the Idempotency-Key of each batch; none is sent without it. */
  readonly run?: string;
  /** Takes no new batch once aborted; those in flight are finished. */
  readonly signal?: AbortSignal;
  /** A batch that is refused or unanswered for this long fails the upload. */
  readonly retryForMs?: number;
  /** After each batch: rows acknowledged without a gap from the first, their last id, rows acknowledged in all. */
  readonly onProgress?: (prefix: number, lastId: PointId, rows: number) => void;
  readonly onRetry?: (reason: string, delayMs: number) => void;
}

export interface UploadResult {
  /** Rows sent and acknowledged in this call. */
  readonly rows: number;
  readonly batches: number;
  readonly retries: number;
  /** Stopped by the signal before the last batch. */
  readonly interrupted: boolean;
}

const RETRY_FOR_MS_DEFAULT = 120_000;
const BACKOFF_MS = { first: 50, most: 5_000 };
/** 408: outcome unknown, and an upsert may be repeated. 429 and 503: the node asks to come later. */
const RETRY_STATUS: ReadonlySet<number> = new Set([408, 429, 503]);

/** Every row handed out by `batches` is durable and searchable when it resolves, unless it says interrupted. */
export async function upload(
  client: HttpClient,
  batches: AsyncIterable<VectorBatch>,
  options: UploadOptions,
): Promise<UploadResult> {
  const source = batches[Symbol.asyncIterator]();
  const stop = new AbortController();
  const totals = { rows: 0, batches: 0, retries: 0 };
  const prefix = new Prefix();
  let turn: Promise<unknown> = Promise.resolve();
  let ended = false;

  /** One batch after the other, although several senders ask. */
  const take = async (): Promise<VectorBatch | null> => {
    const mine = turn.then(async () => {
      if (ended || stop.signal.aborted || options.signal?.aborted === true) return null;
      const next = await source.next();
      if (next.done === true) ended = true;
      return next.done === true ? null : next.value;
    });
    turn = mine.catch(() => {
      ended = true;
    });
    return await mine;
  };
  const sender = async (): Promise<void> => {
    for (let batch = await take(); batch !== null; batch = await take()) {
      prefix.started(batch.first);
      const retries = await sendBatch(client, batch, options);
      totals.retries += retries;
      totals.rows += batch.count;
      totals.batches++;
      const reached = prefix.finished(batch.first, batch.count, idOf(batch, batch.count - 1, options));
      if (reached !== null) options.onProgress?.(reached.next, reached.lastId, totals.rows);
    }
  };
  const senders = Array.from({ length: options.concurrency }, () =>
    sender().catch((error: unknown) => {
      // The others finish what they have in flight, then the first failure is reported.
      stop.abort();
      throw error;
    }),
  );
  try {
    for (const outcome of await Promise.allSettled(senders))
      if (outcome.status === "rejected") throw outcome.reason;
  } finally {
    await source.return?.();
  }
  return { ...totals, interrupted: !ended && options.signal?.aborted === true };
}

/** Follows batches that finish in any order and knows up to where all of them have. */
class Prefix {
  readonly #open = new Set<number>();
  readonly #done = new Map<number, { readonly next: number; readonly lastId: PointId }>();

  started(first: number): void {
    this.#open.add(first);
  }

  /** The new end of the gapless part, or null when it did not move. */
  finished(first: number, count: number, lastId: PointId): { next: number; lastId: PointId } | null {
    this.#open.delete(first);
    this.#done.set(first, { next: first + count, lastId });
    const oldestOpen = Math.min(...this.#open);
    let reached: { next: number; lastId: PointId } | null = null;
    for (const [start, end] of this.#done) {
      if (start > oldestOpen) continue;
      this.#done.delete(start);
      if (reached === null || end.next > reached.next) reached = end;
    }
    return reached;
  }
}

function idOf(batch: VectorBatch, row: number, options: UploadOptions): PointId {
  return batch.ids?.[row] ?? batch.first + row + (options.idOffset ?? 0);
}

/** The body of one upsert. */
export function upsertBody(
  batch: VectorBatch,
  options: Pick<UploadOptions, "idOffset" | "payloadOf">,
): string {
  const { dimension, count, vectors } = batch;
  let text = `{"points":[`;
  for (let row = 0; row < count; row++) {
    const id = batch.ids?.[row] ?? batch.first + row + (options.idOffset ?? 0);
    const payload = batch.payloads?.[row] ?? options.payloadOf?.(batch.first + row) ?? null;
    const vector = vectorJson(vectors, row * dimension, (row + 1) * dimension);
    text += `${row === 0 ? "" : ","}{"id":${JSON.stringify(id)},"vector":${vector}`;
    text += payload === null ? "}" : `,"payload":${JSON.stringify(payload)}}`;
  }
  return `${text}]}`;
}

/** Resolves with the number of repetitions it took. */
async function sendBatch(client: HttpClient, batch: VectorBatch, options: UploadOptions): Promise<number> {
  // Forwarded also where nodes are told to redirect: this client follows none, and a batch may have several leaders.
  const path = collectionPath(options.collection, "/points?wait=true&redirect=false");
  const headers: Record<string, string> = {};
  if (options.run !== undefined)
    headers["idempotency-key"] = `import-${options.run}-${batch.first}-${batch.count}`;
  const request = client.encode("PUT", path, upsertBody(batch, options), headers);
  const retryForMs = options.retryForMs ?? RETRY_FOR_MS_DEFAULT;
  const started = performance.now();
  for (let attempt = 0; ; attempt++) {
    try {
      resultOf(await client.exchange(request), `rows ${batch.first} to ${batch.first + batch.count - 1}`);
      return attempt;
    } catch (error) {
      const delayMs = retryDelay(error, attempt);
      if (delayMs === null || performance.now() - started + delayMs > retryForMs) throw error;
      options.onRetry?.((error as Error).message, delayMs);
      await sleep(delayMs);
    }
  }
}

/** null: the same request would fail again. */
function retryDelay(error: unknown, attempt: number): number | null {
  const backoff = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** attempt);
  // Half fixed, half drawn: senders that were refused together do not come back together.
  const drawn = backoff / 2 + (Math.random() * backoff) / 2;
  if (error instanceof RestError && RETRY_STATUS.has(error.status)) return error.retryAfterMs ?? drawn;
  if (error instanceof HttpClientError && error.code !== "BAD_URL" && error.code !== "BAD_RESPONSE")
    return drawn;
  return null;
}
