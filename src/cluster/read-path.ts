/** From a question to the shards that can answer it, and to one answer. */
import { ApiError } from "../api/errors.ts";
import type { CatalogueCollection } from "../catalog/types.ts";
import { mergeHits, mergePages } from "./merge.ts";
import type { Place } from "./outcomes.ts";
import type { Engines, Peers, Shape } from "./ports.ts";
import type { Question, ReplicaReads } from "./replica-reads.ts";
import { shardOf } from "./shard-of.ts";
import type { PointId, ReadOptions, ScoredPoint, ScrollPage, SearchQuery, StoredPoint } from "./types.ts";

export interface ReadPathParts {
  readonly engines: Engines;
  readonly peers: Peers;
  readonly replicas: Pick<ReplicaReads, "ask">;
}

export class ReadPath {
  readonly #parts: ReadPathParts;

  constructor(parts: ReadPathParts) {
    this.#parts = parts;
  }

  async search(
    collection: CatalogueCollection,
    queries: readonly SearchQuery[],
    options: ReadOptions,
  ): Promise<readonly (readonly ScoredPoint[])[]> {
    if (collection.shards.length === 1) {
      const [only = []] = await this.#ask(collection, options, this.#search(queries));
      return only;
    }
    // Any shard may hold all of the best: each is asked for everything up to the end of the page.
    const whole = queries.map((query) => ({ ...query, offset: 0, limit: query.offset + query.limit }));
    const answers = await this.#ask(collection, options, this.#search(whole));
    return queries.map((query, at) =>
      mergeHits(
        collection.vectors.distance,
        answers.map((answer) => answer[at] ?? []),
        query,
      ),
    );
  }

  async retrieve(
    collection: CatalogueCollection,
    ids: readonly PointId[],
    shape: Shape,
    options: ReadOptions,
  ): Promise<readonly StoredPoint[]> {
    const { engines, peers } = this.#parts;
    const shard = shardOf(collection);
    const wanted = new Map<number, PointId[]>();
    for (const id of new Set(ids)) {
      const at = shard(id);
      const known = wanted.get(at);
      if (known === undefined) wanted.set(at, [id]);
      else known.push(id);
    }
    const found = await this.#ask(
      collection,
      options,
      {
        here: (place, signal) => engines.retrieve(place.group, wanted.get(place.shard) ?? [], shape, signal),
        there: (node, place, fresh, call) =>
          peers.call(node, "retrieve", { ...fresh, ...shape, ids: wanted.get(place.shard) ?? [] }, call),
      },
      (place) => wanted.has(place.shard),
    );
    const byId = new Map(found.flat().map((point) => [point.id, point]));
    return ids.flatMap((id) => byId.get(id) ?? []);
  }

  async scroll(
    collection: CatalogueCollection,
    page: Shape & { readonly from: PointId | null; readonly limit: number },
    options: ReadOptions,
  ): Promise<ScrollPage> {
    const { engines, peers } = this.#parts;
    const pages = await this.#ask(collection, options, {
      here: ({ group }, signal) => engines.scroll(group, page, signal),
      there: (node, _, fresh, call) => peers.call(node, "scroll", { ...fresh, ...page }, call),
    });
    return mergePages(pages, page.limit);
  }

  async count(collection: CatalogueCollection, options: ReadOptions): Promise<number> {
    const { engines, peers } = this.#parts;
    const counts = await this.#ask(collection, options, {
      here: ({ group }, signal) => engines.count(group, signal),
      there: (node, _, fresh, call) => peers.call(node, "count", fresh, call),
    });
    return counts.reduce((sum, points) => sum + points, 0);
  }

  #search(queries: readonly SearchQuery[]): Question<readonly (readonly ScoredPoint[])[]> {
    const { engines, peers } = this.#parts;
    return {
      here: ({ group }, signal) => engines.search(group, queries, signal),
      there: (node, _, fresh, call) => peers.call(node, "search", { ...fresh, queries }, call),
    };
  }

  /** Asks every shard (or those that match) side by side. */
  async #ask<T>(
    collection: CatalogueCollection,
    options: ReadOptions,
    question: Question<T>,
    matches: (place: Place) => boolean = () => true,
  ): Promise<readonly T[]> {
    checkSession(collection, options);
    const places = collection.shards.filter(matches);
    return await Promise.all(places.map((place) => this.#parts.replicas.ask(place, options, question)));
  }
}

/** INVALID for an index of a shard that is not there: what the client wants to see is elsewhere. */
function checkSession({ name, shards }: CatalogueCollection, { consistency }: ReadOptions): void {
  if (consistency.level !== "session") return;
  const stranger = consistency.atLeast.find((seen) => shards.every(({ shard }) => shard !== seen.shard));
  if (stranger !== undefined)
    throw new ApiError(
      "INVALID",
      `Wrong input: the session (X-Flotilla-Index) has an index of shard ${stranger.shard}, and collection \`${name}\` has ${shards.length} (from 0): indexes count for the collection that was written`,
    );
}
