/** What the figures share: one set, its exact neighbours, the bare library's graph, a node, and the helpers. */
import { join } from "node:path";
import type { BareAsk, BuildAnswer } from "../../src/cli/bench/bare-process.ts";
import { Child } from "../../src/cli/bench/child.ts";
import { groundTruth } from "../../src/cli/bench/ground-truth.ts";
import type { LoadAsk } from "../../src/cli/bench/load-process.ts";
import { WorkDir, writeSet } from "../../src/cli/bench/loaded-set.ts";
import type { SetFiles } from "../../src/cli/bench/loaded-set.ts";
import { NodeProcess } from "../../src/cli/bench/node-process.ts";
import { buildBare } from "../../src/cli/bench/recall-run.ts";
import type { Truth } from "../../src/cli/bench/statistics.ts";
import { cacheDirectory } from "../../src/cli/cache-dir.ts";
import { HttpClient } from "../../src/cli/http-client.ts";
import { PROJECT_ROOT } from "../../src/cli/project.ts";
import { dataDirectories, loadBenchmarkSet } from "../../src/datasets/benchmark-set.ts";
import type { BenchmarkSet } from "../../src/datasets/benchmark-set.ts";

export const GRAPH = { m: 16, efConstruct: 200 } as const;
export const COLLECTION = "figures";

/** One line of the result: what was promised, what was found. */
export interface Figure {
  readonly figure: string;
  readonly what: string;
  readonly found: number;
  readonly limit: number;
  /** Whether `found` may not exceed the limit, or may not fall below it. */
  readonly rule: "atMost" | "atLeast";
  readonly unit: string;
  readonly detail: Readonly<Record<string, number | string>>;
}

export function held({ found, limit, rule }: Figure): boolean {
  return rule === "atMost" ? found <= limit : found >= limit;
}

export interface Scale {
  readonly quick: boolean;
  readonly base: number | undefined;
  readonly queries: number;
  /** Measured at least, per point of a grid. */
  readonly minSeconds: number;
  /** A load that runs beside something else. */
  readonly loadSeconds: number;
  readonly kills: number;
}

export function scale(quick: boolean): Scale {
  return quick
    ? { quick, base: 5_000, queries: 200, minSeconds: 0.5, loadSeconds: 5, kills: 5 }
    : { quick, base: undefined, queries: 1_000, minSeconds: 3, loadSeconds: 20, kills: 50 };
}

/** Everything the figures about one loaded collection need; disposing of it ends the processes and removes the data. */
export class Bench implements AsyncDisposable {
  readonly scale: Scale;
  readonly set: BenchmarkSet;
  readonly files: SetFiles;
  readonly truth: Truth;
  readonly built: BuildAnswer;
  readonly bare: Child<BareAsk>;
  readonly load: Child<LoadAsk>;
  readonly #work: WorkDir;
  #node: NodeProcess;
  #client: HttpClient;

  private constructor(
    parts: Pick<Bench, "scale" | "set" | "files" | "truth" | "built" | "bare">,
    work: WorkDir,
    node: NodeProcess,
  ) {
    this.scale = parts.scale;
    this.set = parts.set;
    this.files = parts.files;
    this.truth = parts.truth;
    this.built = parts.built;
    this.bare = parts.bare;
    this.load = new Child<LoadAsk>("src/cli/bench/load-process.ts");
    this.#work = work;
    this.#node = node;
    this.#client = new HttpClient({ url: node.url });
  }

  static async open(size: Scale, say: (line: string) => void): Promise<Bench> {
    const cacheDir = cacheDirectory();
    const set = await loadBenchmarkSet({
      dataset: "mnist",
      dataDirs: dataDirectories(PROJECT_ROOT),
      cacheDir,
      queryLimit: size.queries,
      ...(size.base === undefined ? {} : { baseLimit: size.base }),
      report: say,
    });
    const work = new WorkDir();
    const files = writeSet(work.path, set);
    say(`set: ${set.name}, ${files.base.count} x ${set.dimension}, sha256 ${set.sha256}`);
    const { truth } = await groundTruth({ set, ...files, k: 10, cacheDir, report: say });
    const bare = new Child<BareAsk>("src/cli/bench/bare-process.ts");
    const built = await buildBare(bare, set, files, GRAPH);
    say(`bare hnswlib-node: ${built.seconds.toFixed(1)} s, ${built.insertsPerSecond.toFixed(0)} inserts/s`);
    const node = await NodeProcess.start({ dataDir: join(work.path, "node") });
    return new Bench({ scale: size, set, files, truth, built, bare }, work, node);
  }

  get node(): NodeProcess {
    return this.#node;
  }
  get client(): HttpClient {
    return this.#client;
  }
  get points(): number {
    return this.files.base.count;
  }

  /** Ends the node as told and starts it again on the same data. */
  async restart(how: "stop" | "kill"): Promise<NodeProcess> {
    this.#client[Symbol.dispose]();
    await (how === "stop" ? this.#node.stop() : this.#node.kill());
    this.#node = await NodeProcess.start({ dataDir: join(this.#work.path, "node") });
    this.#client = new HttpClient({ url: this.#node.url });
    return this.#node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    await this.load[Symbol.asyncDispose]();
    await this.bare[Symbol.asyncDispose]();
    await this.#node[Symbol.asyncDispose]();
    this.#work[Symbol.dispose]();
  }
}
