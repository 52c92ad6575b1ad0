/** `flotilla bench recall`: exact neighbours, an ef grid, the bare library in the same run, a report. */
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { dataDirectories, loadBenchmarkSet } from "../datasets/benchmark-set.ts";
import type { BenchmarkSet } from "../datasets/benchmark-set.ts";
import { DatasetError } from "../datasets/source.ts";
import type { Distance } from "../engine/types.ts";
import type { BareAsk } from "./bench/bare-process.ts";
import { Child } from "./bench/child.ts";
import { groundTruth, TRUTH_METHOD } from "./bench/ground-truth.ts";
import type { LoadAsk } from "./bench/load-process.ts";
import { fillCollection, untilIndexed, WorkDir, writeSet } from "./bench/loaded-set.ts";
import { machineFacts, residentBytes } from "./bench/machine.ts";
import { NodeProcess } from "./bench/node-process.ts";
import { buildBare, measureGrid } from "./bench/recall-run.ts";
import { reportHtml } from "./bench/report-html.ts";
import { mainK, reportText } from "./bench/report.ts";
import type { RecallReport } from "./bench/report.ts";
import { cacheDirectory } from "./cache-dir.ts";
import { HttpClient, HttpClientError } from "./http-client.ts";
import { startProgress } from "./import/progress.ts";
import { PROJECT_ROOT } from "./project.ts";
import { call, collectionPath, RestError } from "./rest.ts";

export interface RecallOptions {
  readonly url?: string;
  readonly apiKey?: string;
  readonly dataset: string;
  readonly offline: boolean;
  readonly distance?: Distance;
  readonly limit?: number;
  readonly queries?: number;
  readonly ef: readonly number[];
  readonly k: readonly number[];
  readonly clients: readonly number[];
  readonly epsilon: number;
  readonly m: number;
  readonly efConstruct: number;
  readonly minRecall?: number;
  readonly out?: string;
  readonly json: boolean;
  readonly quick: boolean;
}

const QUICK = { limit: 5_000, queries: 200, ef: [16, 64, 200], minSeconds: 0.3 };
const FULL = { queries: 1_000, minSeconds: 1 };
const EXIT_BELOW = 1;
/** After Ctrl-C, as shells have it. */
const EXIT_INTERRUPTED = 130;

/** Adds `bench recall` to the program. */
export function registerBench(program: Command): void {
  const bench = program.command("bench").description("measure this machine, this build, a node");
  bench
    .command("recall")
    .description("recall and speed of a node next to bare hnswlib-node, on real vectors")
    .option("--url <url>", "a running node (default: one is started for the run)")
    .addOption(new Option("--api-key <key>", "key or token").env("FLOTILLA_API_KEY"))
    .option("--dataset <name|file>", "mnist, sift, notmnist, auto, or a file of vectors", "auto")
    .option("--offline", "never download a public set", false)
    .addOption(new Option("--distance <distance>", "metric of a file").choices(["Cosine", "Dot", "Euclid"]))
    .option("--limit <rows>", "base vectors used at most", wholeNumber)
    .option("--queries <n>", `queries used at most (default: ${FULL.queries})`, wholeNumber)
    .option("--ef <list>", "candidates held during a search", numberList, [16, 32, 64, 128, 256])
    .option("--k <list>", "hits asked for", numberList, [1, 10, 100])
    .option("--clients <list>", "requests in flight", numberList, [1, 8])
    .option("--epsilon <share>", "tolerance of the epsilon rule", share, 1e-3)
    .option("--m <links>", "graph links per point", wholeNumber, 16)
    .option("--ef-construct <n>", "candidates held while a point is linked in", wholeNumber, 200)
    .option("--min-recall <share>", "exit with 1 when the best recall is below it", share)
    .option("--out <dir>", "where the report goes (default: reports in the user's cache directory)")
    .option("--json", "print the report as JSON", false)
    .option("--quick", "a small part of the set and a short grid", false)
    .action(async (options: RecallOptions, command: Command) => {
      const given = (name: string) => command.getOptionValueSource(name) !== "default";
      const ef = options.quick && !given("ef") ? QUICK.ef : options.ef;
      process.exitCode = await recallAction({ ...options, ef });
    });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError("a whole number from 1 on is needed.");
}

function numberList(text: string): readonly number[] {
  return [...new Set(text.split(",").map(wholeNumber))].sort((a, b) => a - b);
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError("a number from 0 to 1 is needed.");
}

async function recallAction(options: RecallOptions): Promise<number> {
  // Ends the helpers, and what lies in temporary directories, on the way out.
  const onSignal = () => process.exit(EXIT_INTERRUPTED);
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    const report = await runRecall(options, (line) => console.error(line));
    // Shown first: what took minutes to find out is not lost to a directory that cannot be written.
    console.log(options.json ? JSON.stringify(report) : reportText(report));
    const written = writeReport(report, options.out ?? join(cacheDirectory(), "reports"));
    for (const file of written) console.error(`written: ${file}`);
    return report.minRecall !== null && report.bestRecall.recall < report.minRecall ? EXIT_BELOW : 0;
  } catch (error) {
    if (!(error instanceof DatasetError || error instanceof RestError || error instanceof HttpClientError))
      throw error;
    console.error(`bench recall failed: ${error.message}`);
    return 1;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

/** JSON, text and a page, named by set and time. Answers their paths. */
export function writeReport(report: RecallReport, directory: string): readonly string[] {
  mkdirSync(directory, { recursive: true });
  const stem = `recall-${report.set.name.replace(/[^\w.-]+/g, "_")}-${report.startedAt.replace(/[:.]/g, "-")}`;
  const contents = {
    json: JSON.stringify(report, null, 2),
    txt: reportText(report),
    html: reportHtml(report),
  };
  return Object.entries(contents).map(([ending, content]) => {
    const file = resolve(directory, `${stem}.${ending}`);
    writeFileSync(file, content);
    return file;
  });
}

/** The whole benchmark; leaves nothing behind on the node or the disk but the cached ground truth. */
export async function runRecall(options: RecallOptions, say: (line: string) => void): Promise<RecallReport> {
  const startedAt = new Date().toISOString();
  const cacheDir = cacheDirectory();
  const baseLimit = options.limit ?? (options.quick ? QUICK.limit : undefined);
  const set = await loadBenchmarkSet({
    dataset: options.dataset,
    dataDirs: dataDirectories(PROJECT_ROOT),
    cacheDir,
    offline: options.offline,
    queryLimit: options.queries ?? (options.quick ? QUICK.queries : FULL.queries),
    ...(baseLimit === undefined ? {} : { baseLimit }),
    ...(options.distance === undefined ? {} : { distance: options.distance }),
    report: say,
  });
  const rows = set.base.length / set.dimension;
  const ks = options.k.filter((k) => k <= rows);
  using work = new WorkDir();
  const files = writeSet(work.path, set);
  say(`${set.origin}: ${rows} vectors, ${files.queries.count} queries`);
  const known = await groundTruth({ set, ...files, k: Math.max(...ks), cacheDir, report: say });
  say(`exact neighbours: ${known.cached ? "from the cache" : `computed in ${known.seconds.toFixed(1)} s`}`);

  await using bare = new Child<BareAsk>("src/cli/bench/bare-process.ts");
  const built = await buildBare(bare, set, files, options);
  say(`bare hnswlib-node built in ${built.seconds.toFixed(1)} s`);

  await using node =
    options.url === undefined ? await NodeProcess.start({ dataDir: join(work.path, "node") }) : null;
  const url = options.url ?? node?.url ?? "";
  using client = new HttpClient({ url, apiKey: options.apiKey });
  const collection = `bench-recall-${randomBytes(6).toString("hex")}`;
  try {
    const filled = await fill(client, set, collection, options);
    const rssBytes = node === null ? null : residentBytes(node.pid);
    await using load = new Child<LoadAsk>("src/cli/bench/load-process.ts");
    const points = await measureGrid(
      { set, files, truth: known.truth, bare, load, target: { url, apiKey: options.apiKey, collection } },
      {
        efs: options.ef,
        ks,
        clients: options.clients,
        epsilon: options.epsilon,
        minSeconds: options.quick ? QUICK.minSeconds : FULL.minSeconds,
      },
      ({ who, clients, k, ef, recallId, qps }) =>
        say(`${who} k=${k} ef=${ef} clients=${clients}: recall ${recallId.toFixed(4)}, ${qps.toFixed(0)}/s`),
    );
    const k = mainK(ks);
    const own = points.filter((point) => point.who === "flotilla" && point.k === k);
    const { name, origin, files: setFiles, sha256, distance, dimension } = set;
    return {
      kind: "flotilla-bench-recall",
      startedAt,
      set: {
        ...{ name, origin, files: setFiles, sha256, distance, dimension },
        base: rows,
        queries: files.queries.count,
      },
      truth: { method: TRUTH_METHOD, cached: known.cached, seconds: known.seconds },
      epsilon: options.epsilon,
      graph: { m: options.m, efConstruct: options.efConstruct },
      machine: machineFacts(),
      bare: built,
      flotilla: { url, ownNode: node !== null, ...filled, rssBytes },
      points,
      minRecall: options.minRecall ?? null,
      bestRecall: { k, recall: Math.max(0, ...own.map(({ recallId }) => recallId)) },
    };
  } finally {
    await call(client, "DELETE", collectionPath(collection)).catch((error: Error) =>
      say(`collection ${collection} could not be removed: ${error.message}`),
    );
  }
}

async function fill(
  client: HttpClient,
  set: BenchmarkSet,
  collection: string,
  options: RecallOptions,
): Promise<{ readonly acknowledgedSeconds: number; readonly indexedSeconds: number }> {
  const rows = set.base.length / set.dimension;
  const progress = startProgress({ title: "load", total: rows, unit: "points", silent: options.json });
  const started = performance.now();
  const { m, efConstruct } = options;
  await fillCollection(client, set, {
    ...{ collection, m, efConstruct, batch: 100, concurrency: 4 },
    onRows: (done) => progress.update(done),
  });
  progress.stop();
  const acknowledgedSeconds = (performance.now() - started) / 1000;
  await untilIndexed(client, collection, rows);
  return { acknowledgedSeconds, indexedSeconds: (performance.now() - started) / 1000 };
}
