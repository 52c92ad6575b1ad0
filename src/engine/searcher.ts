/** Answers searches from graph and tail together, or exactly; equal inputs give equal outputs. */
import { AnswerBytes } from "./answer-bytes.ts";
import { EngineError } from "./errors.ts";
import type { HnswGraph } from "./hnsw.ts";
import { NativeDistance } from "./hnsw.ts";
import type { VectorArena } from "./kernel.ts";
import { Nearest } from "./nearest.ts";
import { compareIds } from "./order.ts";
import { isComplete } from "./parts.ts";
import type { ShardParts } from "./parts.ts";
import { arenaFor } from "./tail.ts";
import type { SearchOptions } from "./surface.ts";
import type { ScoredPoint, SearchQuery } from "./types.ts";
import { ELEMENT_RULE, passes, prepared, scoreOf, vectorFault } from "./vectors.ts";

const DEFAULT_EF = 100;
/** Candidates beyond those wanted that are scored again, since the scan rounds differently from the graph. */
const SLACK = 32;
/** Relative to the size of what is summed: far more than float32 sums of any order differ in practice. */
const ROUNDING = 1e-4;
const EXACT_BLOCK_BYTES = 1 << 20;
/** How often an exact scan starts again because points it had found were deleted meanwhile. */
const EXACT_TRIES = 3;

export class Searcher {
  readonly #parts: ShardParts;
  readonly #native: NativeDistance;
  #block: VectorArena | null = null;

  constructor(parts: ShardParts) {
    this.#parts = parts;
    this.#native = new NativeDistance(parts.spec);
  }

  /** Gives back what the last exact search needed. */
  rest(): void {
    this.#block = null;
  }

  async search(queries: readonly SearchQuery[], { signal }: SearchOptions): Promise<ScoredPoint[][]> {
    const { clock, options, scheduler, graphs } = this.#parts;
    signal?.throwIfAborted();
    this.#check(queries);
    const answers: ScoredPoint[][] = [];
    const answered = new AnswerBytes(options.answerBytesMax);
    let startedMs = clock.nowMs();
    graphs.lastSearchMs = startedMs;
    for (const query of queries) {
      if (answers.length > 0 && clock.nowMs() - startedMs >= options.sliceMs) {
        await scheduler.turn("search");
        signal?.throwIfAborted();
        startedMs = clock.nowMs();
        graphs.lastSearchMs = startedMs;
      }
      const exact = query.exact || !isComplete(graphs);
      const walked = exact ? null : this.#byGraph(query);
      const found =
        walked !== null && this.#isFull(query, walked) ? walked : await this.#exactly(query, signal);
      answers.push(this.#answer(query, found, answered));
    }
    return answers;
  }

  #check(queries: readonly SearchQuery[]): void {
    const { options, spec } = this.#parts;
    const refuse = (why: string): never => {
      throw new EngineError("BAD_QUERY", why);
    };
    if (queries.length > options.batchMax)
      refuse(`a batch has at most ${options.batchMax} queries, not ${queries.length}`);
    for (const { vector, limit, offset, ef } of queries) {
      const fault = vectorFault(vector, spec.dimension);
      if (fault === "length") refuse(`the query has ${vector.length} elements, not ${spec.dimension}`);
      if (fault === "element") refuse(`the query's vector is not usable: ${ELEMENT_RULE}`);
      if (!isCount(limit) || !isCount(offset) || limit + offset > options.hitsMax)
        refuse(`limit + offset is at most ${options.hitsMax}, not ${limit} + ${offset}`);
      if (ef !== null && (!isCount(ef) || ef < 1 || ef > options.efMax))
        refuse(`ef lies between 1 and ${options.efMax}, not ${ef}`);
    }
  }

  /**
   * As many as were asked for, or all there are. A walk may end before: by inner products short vectors are nobody's
   * nearest neighbours, and many of them have no link that leads to them.
   */
  #isFull(query: SearchQuery, { size }: Nearest): boolean {
    return size >= Math.min(wantedBy(query), this.#parts.live.size);
  }

  #byGraph(query: SearchQuery): Nearest {
    const { graphs, live, spec } = this.#parts;
    const wanted = wantedBy(query);
    const ef = query.ef ?? Math.max(wanted, DEFAULT_EF);
    const vector = prepared(query.vector, spec.distance);
    const nearest = new Nearest(live, wanted);
    this.#offerGraph(graphs.main, nearest, { vector, wanted, ef, except: null });
    const fill = graphs.fill?.graph;
    if (fill !== undefined) this.#offerGraph(fill, nearest, { vector, wanted, ef, except: graphs.main });
    this.#offerTail(nearest, vector, wanted);
    return nearest;
  }

  #offerGraph(
    graph: HnswGraph,
    nearest: Nearest,
    how: { vector: Float32Array; wanted: number; ef: number; except: HnswGraph | null },
  ): void {
    if (graph.count === 0 || how.wanted === 0) return;
    graph.aim(how.vector);
    // One more than wanted shows whether equal distances were cut: then all candidates decide by id.
    let hits = graph.search(how.wanted + 1, how.ef);
    const { distances } = hits;
    const cut = distances.length > how.wanted && distances[how.wanted] === distances[how.wanted - 1];
    if (cut) hits = graph.search(Math.max(how.ef, how.wanted + 1), how.ef);
    const { live } = this.#parts;
    for (let at = 0; at < hits.neighbors.length; at++) {
      const label = hits.neighbors[at] ?? -1;
      const distance = hits.distances[at] ?? Infinity;
      if (distance > nearest.bound) break;
      if (live.has(label) && how.except?.has(label) !== true) nearest.offer(distance, label);
    }
  }

  #offerTail(nearest: Nearest, vector: Float32Array, wanted: number): void {
    const { tail, live } = this.#parts;
    if (tail.size === 0 || wanted === 0) return;
    const distances = tail.distances(vector);
    const near = new Nearest(live, wanted + SLACK);
    let bound = nearest.bound + this.#rounding(vector, nearest.bound);
    for (let slot = 0; slot < distances.length; slot++) {
      const distance = distances[slot] ?? Infinity;
      if (distance > bound) continue;
      near.offer(distance, tail.label(slot));
      bound = Math.min(bound, near.bound);
    }
    this.#native.from(vector);
    const rescored = near.labels.map((label) => this.#native.to(tail.vector(label)));
    rescored.forEach((distance, at) => nearest.offer(distance, near.labels[at] ?? -1));
  }

  /** How far the scan's distance may be from the graph's. */
  #rounding(vector: Float32Array, distance: number): number {
    if (distance === Infinity) return 0;
    if (this.#parts.spec.distance !== "Dot") return ROUNDING * (1 + Math.abs(distance));
    let squares = 1;
    for (const element of vector) squares += element * element;
    return ROUNDING * (squares + Math.abs(distance));
  }

  async #exactly(query: SearchQuery, signal: AbortSignal | undefined): Promise<Nearest> {
    const { live, spec } = this.#parts;
    const wanted = wantedBy(query);
    const vector = prepared(query.vector, spec.distance);
    for (let tries = 1; ; tries++) {
      const near = await this.#scanStore(vector, wanted + SLACK, signal);
      const nearest = new Nearest(live, wanted);
      let gone = 0;
      this.#native.from(vector);
      for (const label of near.labels) {
        const stored = live.has(label) ? this.#parts.store.vector(label) : undefined;
        if (stored === undefined) gone++;
        else nearest.offer(this.#native.to(prepared(stored, spec.distance)), label);
      }
      if (gone === 0 || nearest.size === wanted || tries === EXACT_TRIES) return nearest;
    }
  }

  async #scanStore(vector: Float32Array, most: number, signal: AbortSignal | undefined): Promise<Nearest> {
    const { clock, live, options, scheduler, spec, store } = this.#parts;
    const block = (this.#block ??= arenaFor(spec));
    const rows = Math.max(1, Math.min(512, Math.floor(EXACT_BLOCK_BYTES / block.stride)));
    block.reserve(rows);
    let near = new Nearest(live, most);
    let startedMs = clock.nowMs();
    for (let cursor = -1; ;) {
      const read = store.vectorsAfter(cursor, rows);
      read.forEach((row, slot) => block.put(slot, prepared(row.vector, spec.distance)));
      const distances = block.distances(vector, read.length);
      read.forEach(({ label }, slot) => {
        const distance = distances[slot] ?? Infinity;
        if (distance <= near.bound) near.offer(distance, label);
      });
      const last = read.at(-1);
      if (last === undefined) return near;
      cursor = last.label;
      if (clock.nowMs() - startedMs < options.sliceMs) continue;
      await scheduler.turn("search");
      signal?.throwIfAborted();
      near = this.#stillLive(near, most);
      startedMs = clock.nowMs();
    }
  }

  // What was deleted between two slices makes room for what was not.
  #stillLive(near: Nearest, most: number): Nearest {
    const { live } = this.#parts;
    if (near.labels.every((label) => live.has(label))) return near;
    const kept = new Nearest(live, most);
    near.labels.forEach((label, at) => {
      if (live.has(label)) kept.offer(near.distances[at] ?? Infinity, label);
    });
    return kept;
  }

  #answer(query: SearchQuery, { distances, labels }: Nearest, answered: AnswerBytes): ScoredPoint[] {
    const { live, spec, store } = this.#parts;
    const points: ScoredPoint[] = [];
    let skip = query.offset;
    for (let at = 0; at < labels.length && points.length < query.limit; at++) {
      const label = labels[at] ?? -1;
      const id = live.id(label);
      if (query.excludeId !== undefined && compareIds(query.excludeId, id) === 0) continue;
      const score = scoreOf(distances[at] ?? NaN, spec.distance);
      if (!passes(score, query.scoreThreshold, spec.distance)) break;
      if (skip-- > 0) continue;
      const text = query.withPayload.kind === "none" ? null : store.payload(label);
      const payload = answered.payload(text, query.withPayload);
      const found = { id, version: live.version(label), score, payload };
      const vector = query.withVector ? store.vector(label) : undefined;
      answered.point(vector);
      points.push(vector === undefined ? found : { ...found, vector });
    }
    return points;
  }
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

const wantedBy = ({ limit, offset, excludeId }: SearchQuery): number =>
  limit === 0 ? 0 : limit + offset + (excludeId === undefined ? 0 : 1);
