/** What a recall benchmark found, as data and as a table a person can read. */
import type { BenchmarkSet } from "../../datasets/benchmark-set.ts";
import { count, duration } from "../import/progress.ts";
import type { BuildAnswer } from "./bare-process.ts";
import type { MachineFacts } from "./machine.ts";
import type { CurvePoint } from "./recall-run.ts";
import { table } from "./table.ts";

export interface RecallReport {
  readonly kind: "flotilla-bench-recall";
  readonly startedAt: string;
  readonly set: Pick<BenchmarkSet, "name" | "origin" | "files" | "sha256" | "distance" | "dimension"> & {
    readonly base: number;
    readonly queries: number;
  };
  readonly truth: { readonly method: string; readonly cached: boolean; readonly seconds: number };
  readonly epsilon: number;
  readonly graph: { readonly m: number; readonly efConstruct: number };
  readonly machine: MachineFacts;
  readonly bare: BuildAnswer;
  readonly flotilla: {
    readonly url: string;
    readonly ownNode: boolean;
    /** From the first request to the last acknowledgement (durable and searchable). */
    readonly acknowledgedSeconds: number;
    /** From the first request until every point was in the graph. */
    readonly indexedSeconds: number;
    /** Of the node's process; null when it is not ours. */
    readonly rssBytes: number | null;
  };
  readonly points: readonly CurvePoint[];
  readonly minRecall: number | null;
  /** The best recall@10 (or of the k next to it) by the id rule, which `--min-recall` is compared with. */
  readonly bestRecall: { readonly k: number; readonly recall: number };
}

const MIB = 1 << 20;

export function mainK(ks: readonly number[]): number {
  return ks.includes(10) ? 10 : (ks[0] ?? 10);
}

export function reportText(report: RecallReport): string {
  const { set, machine, bare, flotilla } = report;
  const rss = flotilla.rssBytes === null ? "" : `, ${count(flotilla.rssBytes / MIB)} MiB resident`;
  const head = [
    `set       ${set.name}: ${count(set.base)} x ${set.dimension}, ${count(set.queries)} queries, ${set.distance}; sha256 ${set.sha256}`,
    `          ${set.origin}`,
    `truth     ${report.truth.method} (${report.truth.cached ? "from the cache" : duration(report.truth.seconds)})`,
    `machine   ${machine.cpu}, ${machine.cores} cores, ${count(machine.memoryBytes / MIB)} MiB, ${machine.platform}, Node ${machine.node}`,
    `build     hnswlib-node ${machine.build.hnswlib} ${machine.build.flags}`,
    `graph     M ${report.graph.m}, ef_construct ${report.graph.efConstruct}`,
    `hnswlib   built in ${bare.seconds.toFixed(1)} s (${count(bare.insertsPerSecond)}/s), ${count(bare.rssBytes / MIB)} MiB resident`,
    `flotilla  acknowledged in ${flotilla.acknowledgedSeconds.toFixed(1)} s (${count(set.base / flotilla.acknowledgedSeconds)}/s), ` +
      `in the graph after ${flotilla.indexedSeconds.toFixed(1)} s${rss}`,
    `recall    "id": share of the true ids; "eps": hits within (1 + ${report.epsilon}) of the true k-th distance`,
  ];
  const rows = report.points.map((point) => [
    String(point.k),
    String(point.ef),
    point.who,
    String(point.clients),
    point.recallId.toFixed(4),
    point.recallEpsilon.toFixed(4),
    count(point.qps),
    point.latencyMs.p50.toFixed(2),
    point.latencyMs.p95.toFixed(2),
    point.latencyMs.p99.toFixed(2),
    point.failures === 0 ? "" : `${point.failures} failed`,
  ]);
  const columns = ["k", "ef", "who", "clients", "id", "eps", "QPS", "p50 ms", "p95 ms", "p99 ms", ""];
  const { k, recall } = report.bestRecall;
  const verdict =
    report.minRecall === null
      ? `best recall@${k}: ${recall.toFixed(4)}`
      : `best recall@${k}: ${recall.toFixed(4)}, ${recall >= report.minRecall ? "at least" : "BELOW"} the ${report.minRecall} asked for`;
  return `${head.join("\n")}\n\n${table(columns, rows)}\n\n${verdict}\n`;
}
