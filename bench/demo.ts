/**
 * `npm run demo`: a node from nothing, real vectors through REST, searches next to the bare library, and a kill -9.
 * With `--cluster`: three nodes, of which one is killed.
 * Says what happens in plain sentences; ends with 1 when something promised did not hold.
 */
import { join } from "node:path";
import type { BareAsk } from "../src/cli/bench/bare-process.ts";
import { Child } from "../src/cli/bench/child.ts";
import { groundTruth } from "../src/cli/bench/ground-truth.ts";
import type { LoadAnswer, LoadAsk } from "../src/cli/bench/load-process.ts";
import {
  collectionState,
  fillCollection,
  untilIndexed,
  WorkDir,
  writeSet,
} from "../src/cli/bench/loaded-set.ts";
import { machineFacts } from "../src/cli/bench/machine.ts";
import { NodeProcess } from "../src/cli/bench/node-process.ts";
import { buildBare, measureGrid, scoreAnswers } from "../src/cli/bench/recall-run.ts";
import { table } from "../src/cli/bench/table.ts";
import { cacheDirectory } from "../src/cli/cache-dir.ts";
import { HttpClient } from "../src/cli/http-client.ts";
import { count, startProgress } from "../src/cli/import/progress.ts";
import { PROJECT_ROOT } from "../src/cli/project.ts";
import { call, collectionPath, isRecord } from "../src/cli/rest.ts";
import { vectorJson } from "../src/cli/vector-json.ts";
import { dataDirectories, loadBenchmarkSet } from "../src/datasets/benchmark-set.ts";
import type { BenchmarkSet } from "../src/datasets/benchmark-set.ts";
import { flag } from "./figures/flags.ts";
import { clusterDemo } from "./figures-cluster/demo.ts";

const COLLECTION = "digits";
const GRAPH = { m: 16, efConstruct: 200 } as const;
const POINTS = { usual: 20_000, full: 60_000 };
const QUERIES = 500;
const EFS = [32, 64, 128];
const K = 10;
const CLIENTS = 8;
/** What the demo promises at the largest ef; real digits are easy enough for far more. */
const RECALL_PROMISED = 0.95;

const say = (line: string) => console.log(line);
const step = (title: string) => console.log(`\n== ${title}`);

/** Collects what was promised and whether it held. */
class Promises {
  #broken = 0;

  check(sentence: string, holds: boolean): void {
    if (!holds) this.#broken++;
    say(`${holds ? "  ok    " : "  BROKEN"} ${sentence}`);
  }

  get broken(): number {
    return this.#broken;
  }
}

async function demo(args: readonly string[]): Promise<number> {
  const points = flag(args, "--points", args.includes("--full") ? POINTS.full : POINTS.usual);
  const began = performance.now();
  const promises = new Promises();
  step("Real vectors");
  const set = await loadBenchmarkSet({
    dataset: "mnist",
    dataDirs: dataDirectories(PROJECT_ROOT),
    cacheDir: cacheDirectory(),
    offline: true,
    baseLimit: points,
    queryLimit: flag(args, "--queries", QUERIES),
    report: say,
  });
  using work = new WorkDir();
  const files = writeSet(work.path, set);
  const machine = machineFacts();
  say(`${set.origin}.`);
  say(
    `Used here: ${count(files.base.count)} vectors of ${set.dimension} numbers, sha256 ${set.sha256.slice(0, 16)}.`,
  );
  say(`Machine: ${machine.cpu}, ${machine.cores} cores; hnswlib-node built ${machine.build.hnswlib}.`);
  const { truth } = await groundTruth({ set, ...files, k: K, cacheDir: cacheDirectory(), report: say });
  say(
    `The ${K} exact neighbours of ${count(files.queries.count)} queries are known, to measure recall against.`,
  );

  step("The library by itself");
  await using bare = new Child<BareAsk>("src/cli/bench/bare-process.ts");
  const built = await buildBare(bare, set, files, GRAPH);
  say(`hnswlib-node, in-process, one thread: built in ${built.seconds.toFixed(1)} s.`);

  step("A Flotilla node");
  const dataDir = join(work.path, "node");
  await using first = await NodeProcess.start({ dataDir });
  say(`Started in ${first.readySeconds.toFixed(2)} s: ${first.url}, data in ${dataDir}.`);
  await load(first, set);

  step("Search");
  const before = await search(first, { set, files, truth, bare, promises });
  await showOne(first, set);

  step("kill -9");
  await survive(first, dataDir, { set, files, truth, promises, before });

  const minutes = ((performance.now() - began) / 1000).toFixed(0);
  say(
    `\n${promises.broken === 0 ? "Everything promised held" : `${promises.broken} promises were BROKEN`} (${minutes} s).`,
  );
  return promises.broken === 0 ? 0 : 1;
}

async function load(node: NodeProcess, set: BenchmarkSet): Promise<void> {
  using client = new HttpClient({ url: node.url });
  const total = set.base.length / set.dimension;
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const sending = startProgress({ title: "  upsert", total, unit: "points", stream: process.stdout });
  await fillCollection(client, set, {
    ...{ collection: COLLECTION, batch: 100, concurrency: 4 },
    ...GRAPH,
    onRows: (rows) => sending.update(rows),
  });
  sending.stop();
  const acknowledged = seconds();
  say(
    `All ${count(total)} points were acknowledged after ${acknowledged.toFixed(1)} s (${count(total / acknowledged)}/s):`,
  );
  say("each is fsynced in the log and found by searches, even before the graph holds it.");
  const indexing = startProgress({ title: "  index", total, unit: "points", stream: process.stdout });
  await untilIndexed(client, COLLECTION, total, ({ indexed }) => indexing.update(indexed));
  indexing.stop();
  say(`The graph held all of them after ${seconds().toFixed(1)} s.`);
}

interface SearchParts {
  readonly set: BenchmarkSet;
  readonly files: ReturnType<typeof writeSet>;
  readonly truth: Parameters<typeof scoreAnswers>[1];
  readonly promises: Promises;
}

/** Answers the recall at the largest ef. */
async function search(
  node: NodeProcess,
  parts: SearchParts & { readonly bare: Child<BareAsk> },
): Promise<number> {
  await using load = new Child<LoadAsk>("src/cli/bench/load-process.ts");
  const measured = await measureGrid(
    { ...parts, load, target: { url: node.url, collection: COLLECTION } },
    { efs: EFS, ks: [K], clients: [CLIENTS], epsilon: 1e-3, minSeconds: 1 },
    () => undefined,
  );
  const of = (who: "flotilla" | "hnswlib", ef: number) =>
    measured.find((point) => point.who === who && point.ef === ef);
  const rows = EFS.map((ef) => {
    const [own, theirs] = [of("flotilla", ef), of("hnswlib", ef)];
    return [
      String(ef),
      (own?.recallId ?? 0).toFixed(4),
      count(own?.qps ?? 0),
      (own?.latencyMs.p99 ?? 0).toFixed(1),
      (theirs?.recallId ?? 0).toFixed(4),
      count(theirs?.qps ?? 0),
      `${(((own?.qps ?? 0) / (theirs?.qps ?? 1)) * 100).toFixed(0)}%`,
    ];
  });
  const columns = ["ef", `recall@${K}`, "REST/s", "p99 ms", `bare recall@${K}`, "bare/s", "REST of bare"];
  say(table(columns, rows));
  say(`(REST: ${CLIENTS} clients on this same machine; bare: function calls in one process.)`);
  const best = of("flotilla", EFS.at(-1) ?? 0);
  const recall = best?.recallId ?? 0;
  parts.promises.check(
    `recall@${K} at ef ${EFS.at(-1)} is at least ${RECALL_PROMISED}`,
    recall >= RECALL_PROMISED,
  );
  const failures = measured.reduce((sum, point) => sum + point.failures, 0);
  parts.promises.check("no search failed", failures === 0);
  return recall;
}

/** One digit as a picture, and what it is found to be. */
async function showOne(node: NodeProcess, set: BenchmarkSet): Promise<void> {
  if (set.labels === null || set.dimension !== 784) return;
  using client = new HttpClient({ url: node.url });
  const body = `{"vector":${vectorJson(set.queries, 0, set.dimension)},"limit":${K},"with_payload":true}`;
  const hits = await call(client, "POST", collectionPath(COLLECTION, "/points/search"), body);
  const labels = (Array.isArray(hits) ? (hits as unknown[]) : []).map((hit) =>
    isRecord(hit) && isRecord(hit["payload"]) ? String(hit["payload"]["label"]) : "?",
  );
  say("\nA digit that is not in the collection:");
  for (let row = 4; row < 26; row += 2) {
    const cell = (column: number) => {
      const at = row * 28 + column;
      const level = Math.max(set.queries[at] ?? 0, set.queries[at + 28] ?? 0);
      return level > 170 ? "#" : level > 60 ? "+" : " ";
    };
    say(`    ${Array.from({ length: 28 }, (_, column) => cell(column)).join("")}`);
  }
  say(`Labels of its ${K} nearest neighbours: ${labels.join(" ")}`);
}

async function survive(
  node: NodeProcess,
  dataDir: string,
  parts: SearchParts & { readonly before: number },
): Promise<void> {
  const { set, files, truth, promises, before } = parts;
  const total = files.base.count;
  const extra = {
    id: total,
    vector: [...set.queries.subarray(0, set.dimension)],
    payload: { last: "words" },
  };
  {
    using client = new HttpClient({ url: node.url });
    await call(client, "PUT", collectionPath(COLLECTION, "/points?wait=true"), { points: [extra] });
  }
  say(`One more point was acknowledged, and the process ${node.pid} killed in the same moment.`);
  await node.kill();
  await using second = await NodeProcess.start({ dataDir });
  say(`A new process on the same data was ready after ${second.readySeconds.toFixed(2)} s.`);
  using client = new HttpClient({ url: second.url });
  const { points } = await collectionState(client, COLLECTION);
  promises.check(
    `all ${count(total + 1)} acknowledged points are there (${count(points)} found)`,
    points === total + 1,
  );
  const found = await call(client, "POST", collectionPath(COLLECTION, "/points"), {
    ids: [total],
    with_payload: true,
    with_vector: true,
  });
  const [last] = Array.isArray(found) ? (found as unknown[]) : [];
  const intact =
    isRecord(last) &&
    JSON.stringify(last["vector"]) === JSON.stringify(extra.vector) &&
    JSON.stringify(last["payload"]) === JSON.stringify(extra.payload);
  promises.check("the last one is whole: vector and payload are as sent", intact);
  await call(client, "POST", collectionPath(COLLECTION, "/points/delete?wait=true"), { points: [total] });
  await using load = new Child<LoadAsk>("src/cli/bench/load-process.ts");
  const answer = await load.ask<LoadAnswer>({
    ...{ url: second.url, collection: COLLECTION, queries: files.queries },
    ...{ k: K, ef: EFS.at(-1) ?? 0, clients: CLIENTS, minSeconds: 0 },
  });
  const { recallId } = scoreAnswers(set, truth, { ids: answer.ids, k: K }, 1e-3);
  // A graph that was not saved in time is built anew from the points, in another order: not the same to the digit.
  promises.check(`recall@${K} is what it was (${recallId.toFixed(4)})`, recallId >= before - 0.01);
  const code = await second.stop();
  promises.check(`told to stop (SIGTERM), the node ends with exit code 0 (${code})`, code === 0);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
const args = process.argv.slice(2);
process.exitCode = args.includes("--cluster") ? Math.min(1, await clusterDemo(args)) : await demo(args);
