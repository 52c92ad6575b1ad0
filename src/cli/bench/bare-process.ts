/**
 * The process that runs hnswlib-node by itself: the exact neighbours, and the baseline a node is compared with. The
 * only file beside the engine's that touches the library; every vector was checked when it was read.
 */
import hnswlib from "hnswlib-node";
import type { HierarchicalNSW, SpaceName } from "hnswlib-node";
import type { Distance } from "../../engine/types.ts";
import { answerQuestions } from "./child.ts";
import { exactDistance } from "./distances.ts";
import { NO_HIT } from "./statistics.ts";
import type { Truth } from "./statistics.ts";
import { readVectorFile, vectorRows } from "./vector-file.ts";
import type { VectorFile } from "./vector-file.ts";

export interface TruthAsk {
  readonly kind: "truth";
  readonly base: VectorFile;
  readonly queries: VectorFile;
  readonly distance: Distance;
  readonly k: number;
}
export interface BuildAsk {
  readonly kind: "build";
  readonly base: VectorFile;
  readonly queries: VectorFile;
  readonly distance: Distance;
  readonly m: number;
  readonly efConstruct: number;
}
export interface SearchAsk {
  readonly kind: "search";
  readonly ef: number;
  readonly k: number;
  /** Goes over the queries again until this much time was measured. */
  readonly minSeconds: number;
}
export type BareAsk = TruthAsk | BuildAsk | SearchAsk;

export interface BuildAnswer {
  readonly seconds: number;
  readonly insertsPerSecond: number;
  /** Of the whole process once built, and how much of it the build added. */
  readonly rssBytes: number;
  readonly rssGrowthBytes: number;
}
export interface SearchAnswer {
  /** Of the first pass over the queries. */
  readonly ids: Uint32Array;
  readonly searches: number;
  readonly seconds: number;
  readonly latenciesMs: Float64Array;
}

const SPACES: Readonly<Record<Distance, SpaceName>> = { Cosine: "cosine", Dot: "ip", Euclid: "l2" };
/** Candidates beyond k that the float32 scan hands to the exact ranking. */
const MARGIN = 32;
/** Bound on the relative error of a float32 sum over the dimensions in use; generous. */
const FLOAT32_ERROR = 1e-4;
const SEED = 100;

let graph: HierarchicalNSW | null = null;
let queryRows: readonly number[][] = [];

function build(ask: BuildAsk): BuildAnswer {
  queryRows = Array.from(vectorRows(ask.queries), (row) => [...row]);
  const before = process.memoryUsage.rss();
  const index = new hnswlib.HierarchicalNSW(SPACES[ask.distance], ask.base.dimension);
  const started = performance.now();
  index.initIndex(ask.base.count, ask.m, ask.efConstruct, SEED);
  let label = 0;
  for (const row of vectorRows(ask.base)) index.addPoint([...row], label++);
  const seconds = (performance.now() - started) / 1000;
  graph = index;
  const rssBytes = process.memoryUsage.rss();
  return {
    seconds,
    insertsPerSecond: ask.base.count / seconds,
    rssBytes,
    rssGrowthBytes: rssBytes - before,
  };
}

function search({ ef, k, minSeconds }: SearchAsk): SearchAnswer {
  if (graph === null) throw new Error("the graph is built before it is searched");
  graph.setEf(Math.max(ef, k));
  const ids = new Uint32Array(queryRows.length * k).fill(NO_HIT);
  const latencies: number[] = [];
  const started = performance.now();
  let now = started;
  for (let pass = 0; pass === 0 || now - started < minSeconds * 1000; pass++)
    queryRows.forEach((row, query) => {
      const found = graph?.searchKnn(row, k).neighbors ?? [];
      const after = performance.now();
      latencies.push(after - now);
      now = after;
      if (pass === 0) ids.set(found, query * k);
    });
  return {
    ids,
    searches: latencies.length,
    seconds: (now - started) / 1000,
    latenciesMs: Float64Array.from(latencies),
  };
}

/** Scans all base vectors in float32 and ranks the nearest candidates exactly: by distance, then by id. */
function truth(ask: TruthAsk): Truth {
  const { dimension, count } = ask.base;
  const base = readVectorFile(ask.base);
  const queries = readVectorFile(ask.queries);
  const scan = new hnswlib.BruteforceSearch(SPACES[ask.distance], dimension);
  scan.initIndex(count);
  let label = 0;
  let largestNorm = 0;
  for (const row of vectorRows(ask.base)) {
    largestNorm = Math.max(largestNorm, ask.distance === "Dot" ? norm(row) : 1);
    scan.addPoint([...row], label++);
  }
  const k = Math.min(ask.k, count);
  const ids = new Uint32Array(ask.queries.count * k);
  const distances = new Float64Array(ids.length);
  for (let query = 0; query < ask.queries.count; query++) {
    const row = queries.subarray(query * dimension, (query + 1) * dimension);
    const point = [...row];
    const scale = ask.distance === "Dot" ? norm(row) * largestNorm : 1;
    for (let wanted = Math.min(count, k + MARGIN); ; wanted = Math.min(count, 2 * wanted)) {
      const found = scan.searchKnn(point, wanted);
      const exact = found.neighbors
        .map((id) => ({
          id,
          distance: exactDistance(ask.distance, row, 0, base, id * dimension, dimension),
        }))
        .sort((a, b) => a.distance - b.distance || a.id - b.id);
      const last = found.distances[found.distances.length - 1] ?? 0;
      if (wanted < count && !separated(ask.distance, exact[k - 1]?.distance ?? 0, last, scale)) continue;
      exact.slice(0, k).forEach(({ id, distance }, place) => {
        ids[query * k + place] = id;
        distances[query * k + place] = distance;
      });
      break;
    }
  }
  return { k, ids, distances };
}

/** Whether what the scan left out is, for all its rounding, farther than the exact k-th neighbour. */
function separated(metric: Distance, kth: number, lastScanned: number, scale: number): boolean {
  if (metric === "Euclid") return kth * kth < lastScanned * (1 - FLOAT32_ERROR);
  // The scan's inner product is 1 - dot.
  const last = metric === "Dot" ? lastScanned - 1 : lastScanned;
  return kth < last - FLOAT32_ERROR * scale;
}

function norm(row: Float32Array): number {
  return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
}

answerQuestions<BareAsk>((ask) => {
  switch (ask.kind) {
    case "truth":
      return truth(ask);
    case "build":
      return build(ask);
    case "search":
      return search(ask);
  }
});
