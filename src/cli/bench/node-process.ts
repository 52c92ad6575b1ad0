/** A Flotilla node of our own, in its own process, as a user would start it. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { HttpClient } from "../http-client.ts";
import { compiledFile } from "../project.ts";

export interface NodeProcessOptions {
  readonly dataDir: string;
  /** Further arguments of `flotilla serve`. */
  readonly args?: readonly string[];
  /** It speaks TLS by its arguments, with a certificate that this PEM vouches for. */
  readonly ca?: string;
  /** A graph that must be rebuilt takes long; a node that hangs must not take for ever. */
  readonly readyTimeoutMs?: number;
}

const READY_TIMEOUT_MS = 600_000;
const POLL_MS = 20;
const LINES_KEPT = 40;

/** Serves all shards when `start` resolves. Disposing of it stops it as an operator would (SIGTERM). */
export class NodeProcess implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly #lines: string[] = [];
  url = "";
  /** Hears every line the node writes. */
  onLine: (line: string) => void = () => undefined;
  /** Where other nodes replicate to: what `--join` takes. */
  peer = "";
  /** Its number in the cluster. */
  nodeId = 0;
  /** From the start of the process until every shard answers. */
  readySeconds = 0;

  private constructor(options: NodeProcessOptions) {
    const args = [
      "serve",
      "--data-dir",
      options.dataDir,
      "--http-addr",
      "127.0.0.1:0",
      ...(options.args ?? []),
    ];
    this.#process = spawn(process.execPath, [compiledFile("src/main.ts"), ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const killWithUs = () => this.#process.kill("SIGKILL");
    process.once("exit", killWithUs);
    this.#exited = new Promise((resolve) =>
      this.#process.once("exit", (code) => {
        process.off("exit", killWithUs);
        resolve(code);
      }),
    );
  }

  static async start(options: NodeProcessOptions): Promise<NodeProcess> {
    const node = new NodeProcess(options);
    const started = performance.now();
    const timeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS;
    node.url = await node.#ready(timeoutMs);
    if (options.ca !== undefined) node.url = node.url.replace("http://", "https://");
    await node.#untilAllShards(started + timeoutMs, options.ca);
    node.readySeconds = (performance.now() - started) / 1000;
    return node;
  }

  get ended(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Ends it without warning (SIGKILL), as a crash or a lost machine would. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exited;
  }

  /** Lets it stand still with everything open (SIGSTOP), or go on (SIGCONT). */
  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#process.kill(name);
  }

  /** Asks it to stop and answers its exit code. */
  async stop(): Promise<number | null> {
    this.#process.kill("SIGTERM");
    return await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.ended) await this.stop();
  }

  /** The ready line says that REST is served; a shard may still be opening. */
  async #untilAllShards(deadline: number, ca: string | undefined): Promise<void> {
    using client = new HttpClient({ url: this.url, ca, connections: 1 });
    for (;;) {
      const { status, body } = await client.request("GET", "/readyz");
      if (status === 200) return;
      if (performance.now() > deadline) {
        await this.kill();
        throw new Error(`the node is not ready in time: ${body.toString("utf8").trim()}`);
      }
      await sleep(POLL_MS);
    }
  }

  #ready(timeoutMs: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        this.#process.kill("SIGKILL");
        reject(new Error(`the node ${why}; its last lines:\n${this.#lines.join("\n")}`));
      };
      const timer = setTimeout(() => fail(`was not ready within ${timeoutMs / 1000} s`), timeoutMs);
      const settle = (url: string) => {
        clearTimeout(timer);
        resolve(url);
      };
      for (const stream of [this.#process.stdout, this.#process.stderr]) {
        if (stream === null) continue;
        createInterface({ input: stream }).on("line", (line) => {
          this.onLine(line);
          this.#lines.push(line);
          if (this.#lines.length > LINES_KEPT) this.#lines.shift();
          const http = /^ready .*\bhttp=(\S+)/.exec(line)?.[1];
          this.peer = /^ready .*\bpeer=(\S+)/.exec(line)?.[1] ?? this.peer;
          this.nodeId = Number(/^ready .*\bnode=(\d+)/.exec(line)?.[1] ?? this.nodeId);
          if (http !== undefined) settle(http.includes("://") ? http : `http://${http}`);
        });
      }
      this.#process.once("error", (error) => fail(`could not be started: ${error.message}`));
      void this.#exited.then((code) => {
        clearTimeout(timer);
        fail(`ended with exit code ${code}`);
      });
    });
  }
}
