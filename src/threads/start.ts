/** Starts the node's threads, connects each pair directly, and notices when one of them ends. */
import { MessageChannel, Worker, type MessagePort } from "node:worker_threads";
import type {
  ConsensusFrontContract,
  ConsensusReports,
  EngineContract,
  ReportContract,
} from "./contracts.ts";
import type { EngineThreadData } from "./engine.ts";
import type { ConsensusThreadData } from "./consensus.ts";
import { Rpc, type Handlers } from "./rpc.ts";

export interface ThreadsOptions {
  readonly engineThreads: number;
  /** `queue.calls` */
  readonly callsMax: number;
  readonly engine: EngineThreadData["settings"];
}

export interface ThreadsParts {
  readonly fromConsensus: Handlers<ConsensusReports>;
  readonly fromEngine: Handlers<ReportContract>;
  /** A thread ended by itself: the node cannot go on. */
  readonly died: (error: Error) => void;
}

export type ConsensusRpc = Rpc<ConsensusReports, ConsensusFrontContract>;
export type EngineRpc = Rpc<ReportContract, EngineContract>;

export class Threads implements AsyncDisposable {
  readonly consensus: ConsensusRpc;
  readonly engines: readonly EngineRpc[];
  readonly #workers: readonly Worker[];
  #ending = false;

  constructor(options: ThreadsOptions, parts: ThreadsParts) {
    const { callsMax } = options;
    const start = (name: string, file: string, data: object, ports: readonly MessagePort[]): Worker => {
      const worker = new Worker(entry(file), { workerData: data, transferList: [...ports], name });
      worker.on("error", (error) => this.#died(`the ${name} thread failed: ${error.message}`, parts, error));
      worker.on("exit", (code) => this.#died(`the ${name} thread ended with code ${code}`, parts));
      return worker;
    };

    const workers: Worker[] = [];
    const engines: EngineRpc[] = [];
    const toEngines: MessagePort[] = [];
    for (let at = 0; at < options.engineThreads; at++) {
      const front = new MessageChannel();
      const consensus = new MessageChannel();
      const thread = `engine-${at}`;
      const data: EngineThreadData = {
        thread,
        front: front.port2,
        consensus: consensus.port2,
        callsMax,
        settings: options.engine,
      };
      workers.push(start(thread, "engine", data, [front.port2, consensus.port2]));
      toEngines.push(consensus.port1);
      engines.push(
        new Rpc(
          { peer: `the ${thread} thread`, callsMax },
          { port: front.port1, handlers: parts.fromEngine },
        ),
      );
    }
    const front = new MessageChannel();
    const data: ConsensusThreadData = { front: front.port2, engines: toEngines, callsMax };
    workers.push(start("consensus", "consensus", data, [front.port2, ...toEngines]));
    this.consensus = new Rpc(
      { peer: "the consensus thread", callsMax },
      { port: front.port1, handlers: parts.fromConsensus },
    );
    this.engines = engines;
    this.#workers = workers;
  }

  /** The engine thread that holds a group: the same one for the group's whole life in this run. */
  engineOf(group: number): EngineRpc {
    const engine = this.engines[this.engineIndexOf(group)];
    if (engine === undefined) throw new RangeError(`group ${group} has no engine thread`);
    return engine;
  }
  /** Shards of one collection have consecutive groups, so they spread over the threads. */
  engineIndexOf(group: number): number {
    return group % this.engines.length;
  }

  /** Ends the threads where they stand; whoever wants to keep what they hold closes it before. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    this.consensus[Symbol.dispose]();
    for (const engine of this.engines) engine[Symbol.dispose]();
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #died(message: string, parts: ThreadsParts, cause?: Error): void {
    if (this.#ending) return;
    this.#ending = true;
    parts.died(new Error(message, { cause }));
  }
}

/** Threads run compiled code, also when the caller was started from the sources. */
function entry(file: string): URL {
  const path = import.meta.url.endsWith(".ts") ? `../../dist/src/threads/${file}.js` : `./${file}.js`;
  return new URL(path, import.meta.url);
}
