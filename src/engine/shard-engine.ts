import { rm } from "node:fs/promises";
import { join } from "node:path";
import { AnswerBytes } from "./answer-bytes.ts";
import { EngineError, errorOf, invariant } from "./errors.ts";
import { closeShardData, openShardData } from "./open-shard.ts";
import type { OpenedShard, OpeningParts } from "./open-shard.ts";
import { ENGINE_DEFAULTS } from "./options.ts";
import { PointStore } from "./point-store.ts";
import type { PointRow } from "./point-store.ts";
import { POINTS_FILE, adoptData, currentData, stageData } from "./shard-files.ts";
import { captureSnapshot, receiveSnapshot } from "./snapshot.ts";
import { pointDigest, vectorDigest } from "./state-hash.ts";
import type {
  Engine,
  EngineEntry,
  EngineSnapshot,
  OpenShard,
  ReadOptions,
  SearchOptions,
} from "./surface.ts";
import type {
  EngineStats,
  PointId,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
  StoredPoint,
  VectorSpec,
  WriteOutcome,
} from "./types.ts";

/** Rows bring their payloads: all of a page at once could be more than its answer may be. */
const SCROLL_ROWS = 128;

/** The state machine of one shard: point store, graph and exact tail behind one surface. */
export class ShardEngine implements Engine {
  readonly spec: VectorSpec;
  readonly #directory: string;
  readonly #opening: OpeningParts;
  #shard: OpenedShard;
  #durable: number;
  #failure: EngineError | null = null;
  #closed = false;
  #captures = 0;
  #applying: Promise<unknown> | null = null;
  readonly #searches = new Set<Promise<unknown>>();

  private constructor(directory: string, opening: OpeningParts, shard: OpenedShard) {
    this.spec = opening.spec;
    this.#directory = directory;
    this.#opening = opening;
    this.#shard = shard;
    this.#durable = shard.writer.applied;
  }

  /**
   * Opens or creates the shard of a directory. Throws STORE_CORRUPT, STORE_VERSION, STORE_FULL or STORE_IO, naming
   * the file; a saved graph in any doubt is discarded and rebuilt, never an error.
   */
  static async open(options: OpenShard): Promise<ShardEngine> {
    const { clock, directory, scheduler, spec } = options;
    const startedMs = clock.nowMs();
    const emit = options.events ?? (() => undefined);
    const opening = { spec, scheduler, clock, emit, options: { ...ENGINE_DEFAULTS, ...options.options } };
    const data = await currentData(directory);
    // The engine exists only once the shard is open, yet background work may fail from its first slice on.
    const failed = { engine: null as ShardEngine | null, early: null as Error | null };
    const shard = await openShardData(data, opening, (error) => {
      if (failed.engine === null) failed.early = error;
      else failed.engine.#stop(error);
    });
    const engine = new ShardEngine(directory, opening, shard);
    failed.engine = engine;
    if (failed.early !== null) engine.#stop(failed.early);
    emit({
      kind: "opened",
      points: shard.parts.live.size,
      indexed: engine.stats().indexed,
      appliedIndex: shard.writer.applied,
      durationMs: clock.nowMs() - startedMs,
    });
    return engine;
  }

  appliedIndex(): number {
    return this.#shard.writer.applied;
  }

  durableIndex(): number {
    return this.#durable;
  }

  async applyEntries(entries: readonly EngineEntry[]): Promise<readonly (WriteOutcome | null)[]> {
    // What a commit met between two calls is told as if this one had.
    if (this.#failure !== null) throw this.#failure;
    this.#mustRun();
    invariant(this.#applying === null, "one call of apply at a time");
    this.#applying = this.#apply(entries);
    try {
      return (await this.#applying) as readonly (WriteOutcome | null)[];
    } catch (thrown) {
      throw this.#stop(errorOf(thrown));
    } finally {
      this.#applying = null;
    }
  }

  async #apply(entries: readonly EngineEntry[]): Promise<(WriteOutcome | null)[]> {
    const { clock, scheduler } = this.#opening;
    const { commits, indexer, writer } = this.#shard;
    const outcomes: (WriteOutcome | null)[] = [];
    while (outcomes.length < entries.length) {
      await this.#prepare(entries[outcomes.length]);
      await indexer.room();
      if (outcomes.length > 0) await scheduler.turn("apply");
      this.#mustRun();
      const rest = entries.slice(outcomes.length);
      const first = rest[0]?.index ?? 0;
      invariant(first <= writer.applied + 1, () => `entry ${first} follows ${writer.applied}`);
      const nowMs = clock.nowMs();
      const endMs = nowMs + indexer.sliceMs(nowMs);
      const written = writer.write(rest, () => clock.nowMs() < endMs);
      indexer.follow(written.changes);
      const done = written.outcomes.length;
      commits.wrote(done, bytesOf(rest, done));
      outcomes.push(...written.outcomes);
    }
    return outcomes;
  }

  /** While searches come in, what can be done before the transaction is done in slices: that one cannot be cut. */
  async #prepare(entry: EngineEntry | undefined): Promise<void> {
    const { clock, scheduler } = this.#opening;
    const { indexer, writer } = this.#shard;
    if (entry === undefined || !indexer.isBusy(clock.nowMs())) return;
    for (;;) {
      const nowMs = clock.nowMs();
      const endMs = nowMs + indexer.sliceMs(nowMs);
      if (writer.prepare(entry, () => clock.nowMs() < endMs)) return;
      await scheduler.turn("apply");
      this.#mustRun();
    }
  }

  async search(
    queries: readonly SearchQuery[],
    options: SearchOptions = {},
  ): Promise<readonly (readonly ScoredPoint[])[]> {
    this.#mustRun();
    const search = this.#shard.searcher.search(queries, options);
    this.#searches.add(search);
    try {
      return await search;
    } finally {
      this.#searches.delete(search);
    }
  }

  retrieve(ids: readonly PointId[], options: ReadOptions): readonly StoredPoint[] {
    this.#mustRun();
    this.#checkPage(ids.length);
    const points: StoredPoint[] = [];
    const answered = this.#answer();
    for (const id of ids) {
      const row = this.#shard.parts.store.find(id);
      if (row !== undefined) points.push(this.#shown(row, options, answered));
    }
    return points;
  }

  scroll(from: PointId | null, limit: number, options: ReadOptions): ScrollPage {
    this.#mustRun();
    this.#checkPage(limit);
    const { store } = this.#shard.parts;
    const answered = this.#answer();
    const points: StoredPoint[] = [];
    for (let next = from; ;) {
      const wanted = Math.min(SCROLL_ROWS, limit - points.length);
      const rows = store.pointsFrom(next, wanted + 1);
      for (const row of rows.slice(0, wanted)) points.push(this.#shown(row, options, answered));
      next = rows[wanted]?.id ?? null;
      if (next === null || points.length === limit) return { points, next };
    }
  }

  count(): number {
    this.#mustRun();
    return this.#shard.writer.points;
  }

  stats(): EngineStats {
    const { indexer, parts, writer } = this.#shard;
    const { graphs, live, store, tail } = parts;
    const graph =
      graphs.main.bytes + (graphs.fill?.graph === graphs.main ? 0 : (graphs.fill?.graph.bytes ?? 0));
    const bytes = { graph, tail: tail.bytes, tables: live.bytes };
    const fill = graphs.fill;
    return {
      points: writer.points,
      indexed: graphs.main.count - graphs.main.tombstones,
      tail: tail.size,
      tombstones: graphs.main.tombstones,
      appliedIndex: writer.applied,
      durableIndex: this.#durable,
      stateHash: writer.hash.toString(),
      hashMarks: writer.marks,
      graphSaves: indexer.saves,
      graphSaveFailures: indexer.saveFailures,
      rebuilds: indexer.rebuilds,
      rebuilding: fill === null ? null : { done: fill.done, total: fill.total, reason: fill.reason },
      bytes: {
        ...bytes,
        bytesPerPoint: Math.round((graph + bytes.tail + bytes.tables) / Math.max(1, live.size)),
      },
      diskBytes: store.diskBytes,
      failure: this.#failure?.message ?? null,
    };
  }

  /** The state hash computed anew from every point: slow, blocks the thread; for tests and inspection. */
  recomputeStateHash(): string {
    this.#mustRun();
    const hash = this.#shard.parts.store.recompute((row, vector) => pointDigest(row, vectorDigest(vector)));
    return hash.toString();
  }

  checkpoint(): Promise<number> {
    this.#mustRun();
    try {
      const { parts, writer } = this.#shard;
      const { applied } = writer;
      writer.flush();
      parts.store.checkpoint();
      this.#durable = applied;
      return Promise.resolve(applied);
    } catch (thrown) {
      return Promise.reject(this.#stop(errorOf(thrown)));
    }
  }

  saveGraph(): Promise<boolean> {
    this.#mustRun();
    return this.#shard.indexer.save();
  }

  async idle(): Promise<void> {
    this.#mustRun();
    await this.#shard.indexer.idle();
  }

  async capture(): Promise<EngineSnapshot> {
    this.#mustRun();
    const { data, indexer, parts, writer } = this.#shard;
    const { clock, options, spec } = this.#opening;
    return captureSnapshot({
      store: parts.store,
      save: async () => {
        writer.flush();
        // Whoever receives it would have to insert again what the saved graph lacks: more than a tail holds is a rebuild.
        if (indexer.unsaved > options.tailPointsMax / 4) await indexer.save();
      },
      isBusy: () => indexer.isBusy(clock.nowMs()),
      spec,
      data,
      into: join(this.#directory, `capture-${++this.#captures}`),
      indexOf: (file) => appliedIn({ file, spec, ...options }),
    });
  }

  async restore(snapshot: Omit<EngineSnapshot, typeof Symbol.asyncDispose>): Promise<void> {
    this.#mustRun();
    const staged = await stageData(this.#directory);
    try {
      await receiveSnapshot(snapshot, staged);
      const file = join(staged, POINTS_FILE);
      const applied = appliedIn({ file, spec: this.spec, ...this.#opening.options });
      if (applied !== snapshot.index)
        throw new EngineError("SNAPSHOT_CORRUPT", `the points are as of ${applied}, not ${snapshot.index}`);
    } catch (thrown) {
      await rm(staged, { recursive: true, force: true });
      throw thrown;
    }
    invariant(this.#applying === null, "nothing is applied while a snapshot is restored");
    const old = this.#shard;
    await adoptData(this.#directory, staged);
    try {
      this.#shard = await openShardData(staged, this.#opening, (error) => this.#stop(error), true);
    } catch (thrown) {
      throw this.#stop(errorOf(thrown));
    }
    this.#durable = this.#shard.writer.applied;
    await Promise.allSettled(this.#searches);
    await closeShardData(old, false);
    await rm(old.data, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled([...this.#searches]);
    const { indexer, parts, writer } = this.#shard;
    await indexer.stop();
    await Promise.allSettled([this.#applying]);
    let isDurable = false;
    try {
      if (this.#failure === null) {
        writer.flush();
        parts.store.checkpoint();
        this.#durable = writer.applied;
        isDurable = true;
      }
    } finally {
      // On a full disk too: a file that stays open is locked against the next opening.
      await closeShardData(this.#shard, isDurable);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #answer(): AnswerBytes {
    return new AnswerBytes(this.#opening.options.answerBytesMax);
  }

  #shown(row: PointRow, { withPayload, withVector }: ReadOptions, answered: AnswerBytes): StoredPoint {
    const payload = answered.payload(row.payload, withPayload);
    const shown = { id: row.id, version: row.version, payload };
    const vector = withVector ? this.#shard.parts.store.vector(row.label) : undefined;
    answered.point(vector);
    return vector === undefined ? shown : { ...shown, vector };
  }

  #checkPage(size: number): void {
    const { pageMax } = this.#opening.options;
    if (!Number.isSafeInteger(size) || size < 0 || size > pageMax)
      throw new EngineError("BAD_QUERY", `at most ${pageMax} points are read at once, not ${size}`);
  }

  #mustRun(): void {
    if (this.#closed) throw new EngineError("CLOSED", "the shard is closed");
    if (this.#failure !== null)
      throw new EngineError("SHARD_STOPPED", `the shard stopped: ${this.#failure.message}`, {
        cause: this.#failure,
      });
  }

  /** Nothing follows a failed write: what is on disk and what is in memory may differ. */
  #stop(error: Error): Error {
    if (this.#failure !== null || (error instanceof EngineError && error.code === "CLOSED")) return error;
    this.#failure =
      error instanceof EngineError
        ? error
        : new EngineError("SHARD_STOPPED", error.message, { cause: error });
    this.#opening.emit({ kind: "stopped", error });
    this.#shard.commits.stop();
    void this.#shard.indexer.stop();
    return error;
  }
}

function bytesOf(entries: readonly EngineEntry[], count: number): number {
  let bytes = 0;
  for (let at = 0; at < count; at++) bytes += entries[at]?.data.length ?? 0;
  return bytes;
}

function appliedIn(options: Parameters<typeof PointStore.open>[0]): number {
  const store = PointStore.open(options);
  try {
    return store.state().applied;
  } finally {
    store.close();
  }
}
