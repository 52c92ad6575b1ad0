/** The collection an import writes to: found, checked, or created. */
import type { VectorSource } from "../../datasets/source.ts";
import { DatasetError } from "../../datasets/source.ts";
import type { Distance, PointId } from "../../engine/types.ts";
import type { HttpClient } from "../http-client.ts";
import { call, collectionPath, isRecord, RestError } from "../rest.ts";

export interface TargetOptions {
  readonly collection: string;
  /** Creates a missing collection with it; without it a missing one is an error. */
  readonly distance?: Distance;
  readonly m?: number;
  readonly efConstruct?: number;
}

/** The collection exists with the source's dimension when it resolves. Throws RestError or DatasetError. */
export async function prepareCollection(
  client: HttpClient,
  source: Pick<VectorSource, "file" | "dimension">,
  options: TargetOptions,
): Promise<void> {
  const size = await collectionSize(client, options.collection);
  if (size === null) {
    if (options.distance === undefined)
      throw new RestError(
        `collection "${options.collection}" does not exist; say --distance Cosine, Dot or Euclid to create it`,
        { status: 404, code: null, retryAfterMs: null },
      );
    await createCollection(client, {
      ...options,
      distance: options.distance,
      dimension: source.dimension,
    });
    return;
  }
  if (size !== source.dimension)
    throw new DatasetError(
      source.file,
      "dimension",
      `its vectors have ${source.dimension} numbers, those of collection "${options.collection}" ${size}`,
    );
}

export async function createCollection(
  client: HttpClient,
  options: TargetOptions & { readonly distance: Distance; readonly dimension: number },
): Promise<void> {
  const hnsw = {
    ...(options.m === undefined ? {} : { m: options.m }),
    ...(options.efConstruct === undefined ? {} : { ef_construct: options.efConstruct }),
  };
  await call(client, "PUT", collectionPath(options.collection), {
    vectors: { size: options.dimension, distance: options.distance },
    ...(Object.keys(hnsw).length === 0 ? {} : { hnsw_config: hnsw }),
  });
}

/** Dimension of the collection's vectors; null when there is no such collection. */
async function collectionSize(client: HttpClient, collection: string): Promise<number | null> {
  try {
    const info = await call(client, "GET", collectionPath(collection));
    const size = dig(info, "config", "params", "vectors", "size");
    if (typeof size === "number") return size;
    throw new RestError(`collection "${collection}" has no single vector size`, {
      status: 200,
      code: null,
      retryAfterMs: null,
    });
  } catch (error) {
    if (error instanceof RestError && error.status === 404) return null;
    throw error;
  }
}

function dig(value: unknown, ...keys: readonly string[]): unknown {
  return keys.reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), value);
}

/** false when an id that was acknowledged once is not there any more: the collection was emptied or made anew. */
export async function samplesPresent(
  client: HttpClient,
  collection: string,
  samples: readonly PointId[],
): Promise<boolean> {
  if (samples.length === 0) return true;
  const found = await call(client, "POST", collectionPath(collection, "/points"), {
    ids: samples,
    with_payload: false,
    with_vector: false,
  });
  return Array.isArray(found) && found.length === samples.length;
}
