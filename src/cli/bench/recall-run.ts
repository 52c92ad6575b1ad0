/** The measurement behind `flotilla bench recall`: a grid of ef and k, a node and the bare library side by side. */
import type { BenchmarkSet } from "../../datasets/benchmark-set.ts";
import type { BareAsk, BuildAnswer, SearchAnswer } from "./bare-process.ts";
import type { Child } from "./child.ts";
import { exactDistance } from "./distances.ts";
import type { LoadAnswer, LoadAsk } from "./load-process.ts";
import { recallByDistance, recallById, summarise } from "./statistics.ts";
import type { LatencySummary, Truth } from "./statistics.ts";
import type { SetFiles } from "./loaded-set.ts";

/** One measured point: who answered, how it was asked, how well and how fast. */
export interface CurvePoint {
  readonly who: "flotilla" | "hnswlib";
  /** Requests in flight; hnswlib is called in-process on one thread. */
  readonly clients: number;
  readonly k: number;
  readonly ef: number;
  /** Share of the true ids found. */
  readonly recallId: number;
  /** Share of hits at most (1 + epsilon) times as far as the true k-th. */
  readonly recallEpsilon: number;
  /** Searches answered with hits; what failed is in none of these three. */
  readonly qps: number;
  readonly latencyMs: LatencySummary;
  readonly searches: number;
  readonly failures: number;
}

export interface GridOptions {
  readonly efs: readonly number[];
  readonly ks: readonly number[];
  readonly clients: readonly number[];
  readonly epsilon: number;
  /** Measured at least, per point. */
  readonly minSeconds: number;
}

export interface Target {
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly collection: string;
}

/** Builds the bare library's graph over the same vectors, in the same order, with the same parameters. */
export function buildBare(
  bare: Child<BareAsk>,
  set: BenchmarkSet,
  files: SetFiles,
  graph: { readonly m: number; readonly efConstruct: number },
): Promise<BuildAnswer> {
  return bare.ask<BuildAnswer>({ kind: "build", ...files, distance: set.distance, ...graph });
}

/**
 * Measures both at every ef and k in turn, so that what else the machine does meets them alike. Each k has its own
 * searches; recall is counted over the first pass of all queries.
 */
export async function measureGrid(
  parts: {
    readonly set: BenchmarkSet;
    readonly files: SetFiles;
    readonly truth: Truth;
    readonly bare: Child<BareAsk>;
    readonly load: Child<LoadAsk>;
    readonly target: Target;
  },
  options: GridOptions,
  onPoint: (point: CurvePoint) => void,
): Promise<readonly CurvePoint[]> {
  const { set, files, truth, bare, load, target } = parts;
  const points: CurvePoint[] = [];
  const note = (point: CurvePoint) => {
    points.push(point);
    onPoint(point);
  };
  const score = (ids: Uint32Array, k: number) => scoreAnswers(set, truth, { ids, k }, options.epsilon);
  await warmUp(parts, options);
  for (const k of options.ks)
    for (const ef of options.efs) {
      const { minSeconds } = options;
      const found = await bare.ask<SearchAnswer>({ kind: "search", ef, k, minSeconds });
      note({ who: "hnswlib", clients: 1, k, ef, failures: 0, ...score(found.ids, k), ...speed(found) });
      for (const clients of options.clients) {
        const answer = await load.ask<LoadAnswer>({
          ...target,
          queries: files.queries,
          k,
          // A node refuses fewer candidates than hits; the library takes the larger of the two by itself.
          ef: Math.max(ef, k),
          clients,
          minSeconds,
        });
        const { failures } = answer;
        note({ who: "flotilla", clients, k, ef, failures, ...score(answer.ids, k), ...speed(answer) });
      }
    }
  return points;
}

/** As long as one point on each side, and counts nowhere: a runtime compiles what runs often only then. */
async function warmUp(
  { bare, load, files, target }: Parameters<typeof measureGrid>[0],
  { efs, ks, clients, minSeconds }: GridOptions,
): Promise<void> {
  const [ef = 64, k = 10] = [efs[0], ks[0]];
  await bare.ask<SearchAnswer>({ kind: "search", ef, k, minSeconds });
  for (const at of clients) {
    const ask = { ...target, queries: files.queries, k, ef: Math.max(ef, k), clients: at, minSeconds };
    await load.ask<LoadAnswer>(ask);
  }
}

export function scoreAnswers(
  set: BenchmarkSet,
  truth: Truth,
  answers: { readonly ids: Uint32Array; readonly k: number },
  epsilon: number,
): { readonly recallId: number; readonly recallEpsilon: number } {
  const { distance, base, queries, dimension } = set;
  const distanceOf = (query: number, id: number) =>
    id * dimension < base.length
      ? exactDistance(distance, queries, query * dimension, base, id * dimension, dimension)
      : Number.POSITIVE_INFINITY;
  return {
    recallId: recallById(answers, truth),
    recallEpsilon: recallByDistance(answers, truth, epsilon, distanceOf),
  };
}

function speed(
  run: Pick<SearchAnswer, "searches" | "seconds" | "latenciesMs">,
): Pick<CurvePoint, "qps" | "latencyMs" | "searches"> {
  return {
    qps: run.searches / run.seconds,
    latencyMs: summarise(run.latenciesMs),
    searches: run.searches,
  };
}
