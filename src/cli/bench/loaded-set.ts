/** A benchmark set on disk for the helper processes, and in a collection of a node. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { BenchmarkSet } from "../../datasets/benchmark-set.ts";
import type { VectorBatch } from "../../datasets/source.ts";
import type { HttpClient } from "../http-client.ts";
import { createCollection } from "../import/target.ts";
import { upload } from "../import/upload.ts";
import type { UploadResult } from "../import/upload.ts";
import { call, collectionPath, isRecord } from "../rest.ts";
import { writeVectorFile } from "./vector-file.ts";
import type { VectorFile } from "./vector-file.ts";

/** A directory for one run that goes away with it, also when the process is told to end in the middle. */
export class WorkDir implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "flotilla-bench-"));
  readonly #remove = () => rmSync(this.path, { recursive: true, force: true });

  constructor() {
    process.once("exit", this.#remove);
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#remove);
    this.#remove();
  }
}

export interface SetFiles {
  readonly base: VectorFile;
  readonly queries: VectorFile;
}

export function writeSet(directory: string, set: BenchmarkSet): SetFiles {
  return {
    base: writeVectorFile(join(directory, "base.f32"), set.base, set.dimension),
    queries: writeVectorFile(join(directory, "queries.f32"), set.queries, set.dimension),
  };
}

export interface FillOptions {
  readonly collection: string;
  readonly m: number;
  readonly efConstruct: number;
  readonly batch: number;
  readonly concurrency: number;
  readonly onRows?: (rows: number) => void;
}

/** Creates the collection and sends every base vector, id = row number; each is acknowledged when it resolves. */
export async function fillCollection(
  client: HttpClient,
  set: BenchmarkSet,
  options: FillOptions,
): Promise<UploadResult> {
  const { labels } = set;
  await createCollection(client, { ...options, distance: set.distance, dimension: set.dimension });
  return await upload(client, batchesOf(set, options.batch), {
    collection: options.collection,
    concurrency: options.concurrency,
    ...(labels === null ? {} : { payloadOf: (row: number) => ({ label: labels[row] }) }),
    onProgress: (_prefix, _lastId, rows) => options.onRows?.(rows),
  });
}

export async function* batchesOf(
  set: Pick<BenchmarkSet, "base" | "dimension">,
  rows: number,
): AsyncGenerator<VectorBatch> {
  const { base, dimension } = set;
  const total = base.length / dimension;
  for (let first = 0; first < total; first += rows) {
    const count = Math.min(rows, total - first);
    const vectors = base.subarray(first * dimension, (first + count) * dimension);
    yield await Promise.resolve({ first, count, dimension, vectors, ids: null, payloads: null });
  }
}

export interface CollectionState {
  readonly status: string;
  readonly points: number;
  readonly indexed: number;
}

export async function collectionState(client: HttpClient, collection: string): Promise<CollectionState> {
  const info = await call(client, "GET", collectionPath(collection));
  if (!isRecord(info)) throw new Error(`collection ${collection} answers without a result`);
  return {
    status: String(info["status"]),
    points: Number(info["points_count"]),
    indexed: Number(info["indexed_vectors_count"]),
  };
}

const POLL_MS = 50;

/** Resolves when every one of `points` points is in the graph. */
export async function untilIndexed(
  client: HttpClient,
  collection: string,
  points: number,
  onState?: (state: CollectionState) => void,
): Promise<void> {
  for (;;) {
    const state = await collectionState(client, collection);
    onState?.(state);
    if (state.status === "red") throw new Error(`collection ${collection} has failed`);
    if (state.points >= points && state.indexed >= points) return;
    await sleep(POLL_MS);
  }
}
