/** One data directory, open: the point store and everything in memory that follows from it. */
import { join } from "node:path";
import { Commits } from "./commits.ts";
import { syncDirectory } from "./files.ts";
import { loadGraph, removeGraphs } from "./graph-files.ts";
import { HnswGraph } from "./hnsw.ts";
import { Indexer } from "./indexer.ts";
import { LivePoints } from "./labels.ts";
import type { ShardParts } from "./parts.ts";
import { Resting } from "./resting.ts";
import { PointStore } from "./point-store.ts";
import { Searcher } from "./searcher.ts";
import { POINTS_FILE } from "./shard-files.ts";
import { ExactTail } from "./tail.ts";
import { prepared } from "./vectors.ts";
import { Writer } from "./writer.ts";

/** Renumbering is due long before 2^32, so that it happens at some start and never in between. */
const RENUMBER_FROM = 2 ** 31;

export type OpeningParts = Pick<ShardParts, "spec" | "options" | "scheduler" | "clock" | "emit">;

export interface OpenedShard {
  readonly data: string;
  readonly parts: ShardParts;
  readonly writer: Writer;
  readonly commits: Commits;
  readonly searcher: Searcher;
  readonly indexer: Indexer;
  readonly resting: Resting;
}

/**
 * `failed` is told when background work meets what it cannot go on from. `isVerified`: all files were compared with
 * their hashes a moment ago.
 */
export async function openShardData(
  data: string,
  opening: OpeningParts,
  failed: (error: Error) => void,
  isVerified = false,
): Promise<OpenedShard> {
  const { options, spec } = opening;
  const { cacheBytes, walBytes } = options;
  const store = PointStore.open({ file: join(data, POINTS_FILE), spec, cacheBytes, walBytes });
  try {
    // What an earlier process applied is made durable first: the log below it may be dropped.
    store.checkpoint();
    const renumbered = store.state().nextLabel >= RENUMBER_FROM;
    if (renumbered) {
      await removeGraphs(data, null);
      store.renumber();
    }
    const live = new LivePoints();
    await store.each(
      (label, id, version) => live.set(label, id, version),
      () => opening.scheduler.turn("apply"),
    );
    const writer = new Writer(spec, store);
    // Many shards are opened at once: all would hold their files while they wait for the disk.
    store.restNow();
    // A new file is on disk only when its name is.
    await syncDirectory(data);
    const graph = await graphOf(data, opening, { isVerified, live, nextLabel: writer.nextLabel });
    const tail = new ExactTail(spec);
    const graphs = { main: graph.graph, fill: null, lastSearchMs: -Infinity };
    const parts: ShardParts = { ...opening, store, live, tail, graphs };
    const differences = reconcile(parts);
    const indexer = new Indexer(parts, {
      directory: data,
      unsaved: differences.count + (graph.isSaved ? 0 : Math.min(1, live.size)),
      sequence: 0,
      applied: () => writer.applied,
      failed,
    });
    if (!differences.inTail) indexer.fill(graphs.main, graph.why ?? "the saved graph is far behind");
    indexer.start();
    const searcher = new Searcher(parts);
    const commits = new Commits(options, { store, clock: opening.clock, failed });
    const resting = new Resting(parts, { searcher, failed });
    return { data, parts, writer, commits, searcher, indexer, resting };
  } catch (thrown) {
    store.close();
    throw thrown;
  }
}

/** Nothing of it runs any more; what is in memory is given back. */
export async function closeShardData(shard: OpenedShard, save: boolean): Promise<void> {
  const { commits, indexer, parts, resting } = shard;
  resting.stop();
  await indexer.stop();
  commits.stop();
  try {
    if (save) await indexer.save();
  } finally {
    parts.graphs.main.free();
    parts.graphs.fill?.graph.free();
    parts.store.close();
  }
}

async function graphOf(
  data: string,
  { emit, spec }: OpeningParts,
  { isVerified, ...points }: PointsOfGraph & { readonly isVerified: boolean },
): Promise<{ readonly graph: HnswGraph; readonly isSaved: boolean; readonly why: string | null }> {
  const loaded = await loadGraph(data, spec, isVerified);
  if (loaded.kind === "loaded" && !isNewer(loaded.graph, points)) {
    await removeGraphs(data, loaded.manifest.file);
    return { graph: loaded.graph, isSaved: true, why: null };
  }
  if (loaded.kind === "loaded") loaded.graph.free();
  await removeGraphs(data, null);
  if (loaded.kind === "none")
    return { graph: HnswGraph.empty(spec), isSaved: false, why: "there is no saved graph" };
  const why = loaded.kind === "doubtful" ? loaded.why : "it is newer than the points that a crash left";
  emit({ kind: "graphDiscarded", why });
  return { graph: HnswGraph.empty(spec), isSaved: false, why };
}

interface PointsOfGraph {
  readonly live: LivePoints;
  readonly nextLabel: number;
}

/**
 * A saved graph is on disk at once, the store's last commits only with its next checkpoint: when the power fails in
 * between, the graph has labels that are to be given away again, and tombstones of points that are still there.
 */
function isNewer(graph: HnswGraph, { live, nextLabel }: PointsOfGraph): boolean {
  for (const label of graph.labels.without(live.labels)) if (label >= nextLabel) return true;
  return graph.deletedLabels().some((label) => live.has(label));
}

/**
 * The store is right: what only the graph has is tombstoned, what only the store has goes to the tail, or, when that
 * would be more than a tail holds, has to be filled in.
 */
function reconcile({ graphs, live, options, spec, store, tail }: ShardParts): {
  readonly count: number;
  readonly inTail: boolean;
} {
  const extra = [...graphs.main.labels.without(live.labels)];
  for (const label of extra) graphs.main.tombstone(label);
  const missing = [...live.labels.without(graphs.main.labels)];
  const inTail =
    missing.length <= options.tailPointsMax && missing.length * 4 * spec.dimension <= options.tailBytesMax;
  if (inTail)
    for (const label of missing) {
      const vector = store.vector(label);
      if (vector !== undefined) tail.add(label, prepared(vector, spec.distance));
    }
  return { count: extra.length + missing.length, inTail };
}
