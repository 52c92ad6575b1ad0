/** From a question to the shards that can answer it, fresh enough, and to one answer. */
import type { CatalogueCollection } from "../catalog/types.ts";
import { mergeHits, mergePages } from "./merge.ts";
import { asApiError, checkRead, noLeader, stoppedError } from "./outcomes.ts";
import type { Consensus, Engines, Shape } from "./ports.ts";
import type { Roles } from "./roles.ts";
import { shardOf } from "./shard-of.ts";
import type { PointId, ReadOptions, ScoredPoint, ScrollPage, SearchQuery, StoredPoint } from "./types.ts";

interface Place {
  readonly shard: number;
  readonly group: number;
}

export interface ReadPathParts {
  readonly consensus: Consensus;
  readonly engines: Engines;
  readonly roles: Roles;
  /** Throws why the shard cannot be asked yet, or any more. */
  readonly checkOpen: (place: Place) => void;
}

export class ReadPath {
  readonly #timeoutMs: number;
  readonly #parts: ReadPathParts;
  /** The highest index each group is known to have applied: a session that has seen no more need not ask. */
  readonly #applied = new Map<number, number>();

  constructor(options: { readonly timeoutMs: number }, parts: ReadPathParts) {
    this.#timeoutMs = options.timeoutMs;
    this.#parts = parts;
  }

  /** An applied write tells how far its shard is. */
  sawApplied(group: number, index: number): void {
    if (index > (this.#applied.get(group) ?? 0)) this.#applied.set(group, index);
  }
  forget(group: number): void {
    this.#applied.delete(group);
  }

  async search(
    collection: CatalogueCollection,
    queries: readonly SearchQuery[],
    options: ReadOptions,
  ): Promise<readonly (readonly ScoredPoint[])[]> {
    const { engines } = this.#parts;
    if (collection.shards.length === 1) {
      return await this.#ask(collection, options, ({ group }) =>
        engines.search(group, queries, options.signal),
      ).then(([only = []]) => only);
    }
    // Any shard may hold all of the best: each is asked for everything up to the end of the page.
    const whole = queries.map((query) => ({ ...query, offset: 0, limit: query.offset + query.limit }));
    const answers = await this.#ask(collection, options, ({ group }) =>
      engines.search(group, whole, options.signal),
    );
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
    const { engines } = this.#parts;
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
      (place) => engines.retrieve(place.group, wanted.get(place.shard) ?? [], shape, options.signal),
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
    const { engines } = this.#parts;
    const pages = await this.#ask(collection, options, ({ group }) =>
      engines.scroll(group, page, options.signal),
    );
    return mergePages(pages, page.limit);
  }

  async count(collection: CatalogueCollection, options: ReadOptions): Promise<number> {
    const { engines } = this.#parts;
    const counts = await this.#ask(collection, options, ({ group }) => engines.count(group, options.signal));
    return counts.reduce((sum, points) => sum + points, 0);
  }

  /** Asks every shard (or those that match) side by side, each once it is as fresh as wanted. */
  async #ask<T>(
    collection: CatalogueCollection,
    options: ReadOptions,
    ask: (place: Place) => Promise<T>,
    matches: (place: Place) => boolean = () => true,
  ): Promise<readonly T[]> {
    try {
      return await Promise.all(
        collection.shards.filter(matches).map(async (place) => {
          this.#parts.checkOpen(place);
          await this.#fresh(place, options);
          return await ask(place);
        }),
      );
    } catch (error) {
      throw asApiError(error);
    }
  }

  async #fresh(place: Place, { consistency, signal }: ReadOptions): Promise<void> {
    const { consensus, roles } = this.#parts;
    const wait = { timeoutMs: this.#timeoutMs, signal };
    switch (consistency.level) {
      case "eventual":
        return;
      case "leader":
        if (roles.leads(place.group)) return;
        if (roles.of(place.group).stopped !== null) throw stoppedError(place, roles, "it stopped");
        throw noLeader(place);
      case "session": {
        const index = consistency.atLeast.find(({ shard }) => shard === place.shard)?.index ?? 0;
        if (index <= (this.#applied.get(place.group) ?? 0)) return;
        checkRead(await consensus.waitApplied(place.group, index, wait), place, roles);
        this.sawApplied(place.group, index);
        return;
      }
      case "linearizable":
        checkRead(await consensus.readIndex(place.group, wait), place, roles);
        return;
    }
  }
}
