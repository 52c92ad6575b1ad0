/**
 * Moves points from the tail into the graph, rebuilds the graph when it is missing or full of tombstones, and saves
 * it: all in slices, between searches and applies.
 */
import { IndexingDemand } from "./demand.ts";
import { errorOf, invariant } from "./errors.ts";
import { saveGraph } from "./graph-files.ts";
import { HnswGraph } from "./hnsw.ts";
import type { Fill, ShardParts } from "./parts.ts";
import { isComplete } from "./parts.ts";
import type { Change } from "./writer.ts";
import { prepared } from "./vectors.ts";

/** Vectors read from the store at once while filling a graph. */
const FILL_BLOCK_BYTES = 1 << 18;
/** Writes that ask for more of the thread than this are a burst: their points get into the graph after it ... */
const BURST_SHARE = 1 / 4;
/** ... unless the tail grows beyond this share of its limit. */
const YIELDING_SHARE = 3 / 4;

export class Indexer {
  readonly #parts: ShardParts;
  readonly #directory: string;
  readonly #applied: () => number;
  readonly #failed: (error: Error) => void;
  readonly #demand = new IndexingDemand();
  #queue: { readonly label: number; readonly vector: Float32Array }[] = [];
  #waiters: (() => void)[] = [];
  #wake: (() => void) | null = null;
  #running: Promise<void> | null = null;
  #saving: Promise<boolean> | null = null;
  #cancelTimer: (() => void) | null = null;
  #endRest: (() => void) | null = null;
  #restUntilMs = 0;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  /** What the tail has to shrink to before searches let in the next write. */
  #ceiling = Number.POSITIVE_INFINITY;
  #closing = false;
  #pressed = false;
  #unsaved = 0;
  #saves = 0;
  #saveFailures = 0;
  #rebuilds = 0;
  #sequence: number;

  constructor(
    parts: ShardParts,
    options: {
      readonly directory: string;
      readonly unsaved: number;
      readonly sequence: number;
      readonly applied: () => number;
      readonly failed: (error: Error) => void;
    },
  ) {
    this.#parts = parts;
    this.#directory = options.directory;
    this.#unsaved = options.unsaved;
    this.#sequence = options.sequence;
    this.#applied = options.applied;
    this.#failed = options.failed;
  }

  /** Adds and tombstones that the saved graph does not have. */
  get unsaved(): number {
    return this.#unsaved;
  }

  get saves(): number {
    return this.#saves;
  }

  get saveFailures(): number {
    return this.#saveFailures;
  }

  get rebuilds(): number {
    return this.#rebuilds;
  }

  start(): void {
    this.#running = this.#run().catch((thrown: unknown) => {
      this.#closing = true;
      this.#failed(errorOf(thrown));
      this.#notify();
    });
  }

  /** Memory follows what was committed. */
  follow(changes: readonly Change[]): void {
    const { clock, live, spec, tail } = this.#parts;
    const before = tail.size;
    for (const change of changes) {
      switch (change.kind) {
        case "put":
          if (change.replaced !== null) this.#forget(change.replaced);
          live.set(change.label, change.id, change.version);
          tail.add(change.label, prepared(change.vector, spec.distance));
          break;
        case "versioned":
          live.set(change.label, change.id, change.version);
          break;
        case "removed":
          this.#forget(change.label);
          break;
      }
    }
    if (changes.length === 0) return;
    this.#writtenAtMs = clock.nowMs();
    this.#demand.wrote(changes.length);
    this.#ceiling = this.isBusy(this.#writtenAtMs) ? before - changes.length : Number.POSITIVE_INFINITY;
    this.wake();
  }

  #forget(label: number): void {
    const { graphs, live, tail } = this.#parts;
    live.remove(label);
    tail.remove(label);
    for (const graph of [graphs.main, graphs.fill?.graph])
      if (graph?.has(label) === true) {
        graph.tombstone(label);
        this.#unsaved++;
      }
  }

  /** Resolves when the tail has room: the back-pressure of writes. */
  async room(): Promise<void> {
    this.#relieve();
    if (!this.#isFull(1)) return;
    if (!this.#pressed) {
      this.#pressed = true;
      this.#parts.emit({ kind: "backPressure", active: true, tail: this.#parts.tail.size });
    }
    // It rests for writes, and now they wait for it.
    if (!this.isBusy(this.#parts.clock.nowMs())) this.#endRest?.();
    // Some room at once rather than point by point: a transaction has a fixed price.
    await this.#until(() => !this.#isFull(7 / 8));
  }

  // Told only well below the limit: an import keeps the tail close to it, up and down, for minutes.
  #relieve(): void {
    if (!this.#pressed || this.#isFull(1 / 2)) return;
    this.#pressed = false;
    this.#parts.emit({ kind: "backPressure", active: false, tail: this.#parts.tail.size });
  }

  idle(): Promise<void> {
    return this.#until(() => this.#parts.tail.size === 0 && this.#parts.graphs.fill === null);
  }

  wake(): void {
    this.#wake?.();
    this.#wake = null;
  }

  /** Resolves when nothing of the indexer runs any more; what waits for it goes on. */
  async stop(): Promise<void> {
    this.#closing = true;
    this.#cancelTimer?.();
    this.#endRest?.();
    this.wake();
    await this.#saving;
    await this.#running;
    this.#notify();
  }

  /** Saves the graph when it differs from the saved one; never while it is being filled. */
  async save(): Promise<boolean> {
    if (this.#saving !== null) return this.#saving;
    const { graphs } = this.#parts;
    if (graphs.fill !== null) return false;
    if (this.#unsaved === 0) return true;
    this.#saving = this.#saveNow();
    try {
      return await this.#saving;
    } finally {
      this.#saving = null;
      this.wake();
    }
  }

  async #saveNow(): Promise<boolean> {
    const { clock, emit, graphs } = this.#parts;
    const startedMs = clock.nowMs();
    const covered = this.#unsaved;
    // A label in the file that a crash takes out of the store would be given away again.
    this.#parts.store.commit();
    try {
      const to = {
        directory: this.#directory,
        appliedIndex: this.#applied(),
        sequence: ++this.#sequence,
      };
      const { count, bytes } = await saveGraph(graphs.main, to, () => this.wake());
      this.#unsaved = Math.max(0, this.#unsaved - covered);
      this.#saves++;
      emit({ kind: "graphSaved", points: count, bytes, durationMs: clock.nowMs() - startedMs });
      return true;
    } catch (thrown) {
      // The graph is a cache: without a saved one the next start is slower, nothing else.
      this.#saveFailures++;
      emit({ kind: "graphSaveFailed", error: errorOf(thrown) });
      return false;
    }
  }

  async #run(): Promise<void> {
    const { scheduler } = this.#parts;
    while (!this.#closing) {
      if (this.#parts.graphs.main.isSaving) {
        await this.#sleep();
        continue;
      }
      this.#rebuildWhenWorn();
      if (this.#hasWork()) {
        await this.#rest();
        await scheduler.turn("index");
        if (!this.#closing && !this.#parts.graphs.main.isSaving) this.#slice();
        this.#notify();
        this.#saveWhenDue();
      } else {
        this.#notify();
        this.#relieve();
        this.#saveLater();
        await this.#sleep();
      }
    }
  }

  #hasWork(): boolean {
    const { graphs, tail } = this.#parts;
    return tail.size > 0 || graphs.fill !== null;
  }

  /** Searches came in a moment ago, so more are likely. */
  isBusy(nowMs: number): boolean {
    return nowMs - this.#parts.graphs.lastSearchMs < this.#parts.options.busyForMs;
  }

  /** How much of the thread's time background work takes. */
  #share(nowMs: number): number {
    const { options } = this.#parts;
    if (this.isBusy(nowMs)) return options.busyShare;
    if (!this.#yieldsToWrites(nowMs)) return 1;
    return this.#demand.share(nowMs) > BURST_SHARE ? options.burstShare : options.busyShare;
  }

  /** Writes came in a moment ago, and the tail has room for more: indexing can wait, whoever wrote does. */
  #yieldsToWrites(nowMs: number): boolean {
    const { graphs, options } = this.#parts;
    if (nowMs - this.#writtenAtMs >= options.busyForMs) return false;
    return graphs.fill === null && !this.#isFilled(YIELDING_SHARE);
  }

  /** How long background work may go on from `nowMs` before searches get their turn. */
  sliceMs(nowMs: number): number {
    const { options } = this.#parts;
    return this.isBusy(nowMs) ? options.busySliceMs : options.sliceMs;
  }

  #slice(): void {
    const { clock, options } = this.#parts;
    const startedMs = clock.nowMs();
    const share = this.#share(startedMs);
    const endMs = startedMs + (share < 1 ? options.busySliceMs : this.sliceMs(startedMs));
    let steps = 0;
    do this.#step(steps++);
    while (this.#hasWork() && clock.nowMs() < endMs);
    const nowMs = clock.nowMs();
    this.#demand.indexed(steps, nowMs - startedMs);
    this.#restUntilMs = nowMs + (nowMs - startedMs) * (1 / share - 1);
  }

  /**
   * While searches or writes come in, the thread is free for them for a share of the time: most then find it waiting.
   * One that never sleeps is also the last the system wakes for them when processors are short.
   */
  async #rest(): Promise<void> {
    const { clock } = this.#parts;
    const nowMs = clock.nowMs();
    const restMs = this.#restUntilMs - nowMs;
    if (restMs <= 0 || this.#share(nowMs) === 1) return;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(restMs, resolve);
      this.#endRest = () => {
        cancel();
        resolve();
      };
    });
    this.#endRest = null;
  }

  // While a graph is filled, tail and store take turns: neither writes nor the rebuild stand still.
  #step(steps: number): void {
    const { graphs, tail } = this.#parts;
    const { fill } = graphs;
    if (fill !== null && (tail.size === 0 || steps % 2 === 0)) return this.#fillOne(fill);
    const label = tail.last();
    if (label === undefined) return;
    (fill?.graph ?? graphs.main).add(label, tail.vector(label));
    tail.remove(label);
    this.#unsaved++;
  }

  #fillOne(fill: Fill): void {
    const { live, spec, store, tail } = this.#parts;
    let next = this.#queue.pop();
    if (next === undefined) {
      const rows = Math.max(1, Math.min(256, Math.floor(FILL_BLOCK_BYTES / (4 * spec.dimension))));
      this.#queue = store
        .vectorsAfter(fill.cursor, rows)
        .filter(({ label }) => label <= fill.until)
        .reverse();
      next = this.#queue.pop();
    }
    if (next === undefined) return this.#filled(fill);
    const { label, vector } = next;
    fill.cursor = label;
    fill.done++;
    if (fill.done % Math.max(1_000, Math.ceil(fill.total / 10)) === 0)
      this.#parts.emit({ kind: "rebuildProgress", done: fill.done, total: fill.total });
    if (!live.has(label) || tail.has(label) || fill.graph.has(label)) return;
    fill.graph.add(label, prepared(vector, spec.distance));
    this.#unsaved++;
  }

  #filled(fill: Fill): void {
    const { clock, emit, graphs } = this.#parts;
    const old = graphs.main;
    const replaces = !isComplete(graphs) ? null : old;
    graphs.main = fill.graph;
    graphs.fill = null;
    replaces?.free();
    this.#rebuilds++;
    this.#unsaved = Math.max(1, this.#unsaved);
    emit({
      kind: "rebuildFinished",
      points: fill.graph.count,
      durationMs: clock.nowMs() - fill.startedMs,
    });
  }

  #rebuildWhenWorn(): void {
    const { graphs, options } = this.#parts;
    const { main, fill } = graphs;
    if (fill !== null || main.tombstones < Math.max(1, options.rebuildMin)) return;
    if (main.tombstones < options.rebuildShare * main.count) return;
    const reason = `${main.tombstones} of ${main.count} points in the graph are deleted`;
    this.fill(HnswGraph.empty(this.#parts.spec, this.#parts.live.size), reason);
  }

  /** Begins to fill `graph` from the store; `graphs.main` itself: searches are exact meanwhile. */
  fill(graph: HnswGraph, reason: string): void {
    const { clock, emit, graphs, live, tail } = this.#parts;
    invariant(graphs.fill === null, "one graph is filled at a time");
    let until = -1;
    for (const label of live.labels) if (label > until && !tail.has(label)) until = label;
    const total = live.size - tail.size;
    this.#queue = [];
    graphs.fill = { graph, until, total, reason, startedMs: clock.nowMs(), cursor: -1, done: 0 };
    emit({ kind: "rebuildStarted", reason, total });
    this.wake();
  }

  #saveWhenDue(): void {
    const { graphs, options } = this.#parts;
    const due = Math.max(options.saveChangesMin, options.saveShare * graphs.main.count);
    if (this.#unsaved >= due && graphs.fill === null) this.#saveInBackground();
  }

  // Once the tail is empty, even few changes are worth a save after a while.
  #saveLater(): void {
    const { clock, options } = this.#parts;
    if (this.#unsaved === 0 || this.#cancelTimer !== null) return;
    this.#cancelTimer = clock.after(options.saveIdleMs, () => {
      this.#cancelTimer = null;
      if (!this.#closing) this.#saveInBackground();
    });
  }

  #saveInBackground(): void {
    this.save().catch((thrown: unknown) => this.#failed(errorOf(thrown)));
  }

  #isFull(share: number): boolean {
    const { clock, graphs, options, tail } = this.#parts;
    if (this.#isFilled(share)) return true;
    // While nothing can leave the tail, or only slowly, it may grow: a save or a rebuild does not stop writes.
    const drains = !graphs.main.isSaving && graphs.fill === null;
    if (!drains || !this.isBusy(clock.nowMs())) return false;
    // A burst may have left more than searches should find. Writes go on while it shrinks, each once twice as many points
    // have left as the last one brought: to wait for all of it would be a standstill of seconds.
    return tail.size >= Math.max(share * options.busyTailPointsMax, this.#ceiling);
  }

  #isFilled(share: number): boolean {
    const { options, tail } = this.#parts;
    return tail.size >= share * options.tailPointsMax || tail.used >= share * options.tailBytesMax;
  }

  async #until(holds: () => boolean): Promise<void> {
    while (!this.#closing && !holds()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  #notify(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }

  #sleep(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}
