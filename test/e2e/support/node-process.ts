import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/dist\/$/, "/");
const PROGRAM = join(ROOT, "dist", "src", "main.js");

export interface NodeOptions {
  /** Kept after the node ends, for restarts; without it a temporary one is made and removed. */
  readonly dataDir?: string;
  /** Added after `serve --http-addr 127.0.0.1:0 --data-dir ...`; a repeated flag wins. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Put before `node`, as in `["prlimit", "--fsize=4000000"]`. */
  readonly wrapper?: readonly string[];
  readonly readyWithinMs?: number;
  /** Told the process at once, long before it is ready. */
  readonly spawned?: (pid: number) => void;
  /** Told everything that it wrote to stderr so far, whenever that is more; also before it is ready. */
  readonly complained?: (stderr: string) => void;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** As a shell reports SIGTERM. */
const EXIT_TERMINATED = 143;

/** Those that run. A test that hangs is ended by its runner (SIGTERM) and disposes of nothing: they end with it. */
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
process.once("SIGTERM", () => process.exit(EXIT_TERMINATED));

/** A real `flotilla serve` on a free port. Disposing kills it and removes a directory that was made for it. */
export class NodeProcess implements AsyncDisposable {
  readonly dataDir: string;
  readonly child: ChildProcess;
  /** Settles when the process has ended and its output is complete. */
  readonly ended: Promise<Ended>;
  readonly #ownsDirectory: boolean;
  #stdout = "";
  #stderr = "";
  #url: string | null = null;

  private constructor(options: NodeOptions) {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run npx tsc -b first`);
    this.#ownsDirectory = options.dataDir === undefined;
    this.dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), "flotilla-"));
    const serve = [PROGRAM, "serve", "--http-addr", "127.0.0.1:0", "--data-dir", this.dataDir];
    const [command = process.execPath, ...args] = [
      ...(options.wrapper ?? []),
      process.execPath,
      ...serve,
      ...(options.args ?? []),
    ];
    this.child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
    });
    running.add(this.child);
    this.child.once("exit", () => running.delete(this.child));
    if (this.child.pid !== undefined) options.spawned?.(this.child.pid);
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#stdout += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      options.complained?.(this.#stderr);
    });
    this.ended = once(this.child, "close").then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  /** Resolves once `ready ...` was printed. Rejects, with everything it wrote, when it ends before or takes too long. */
  static async start(options: NodeOptions = {}): Promise<NodeProcess> {
    const node = new NodeProcess(options);
    try {
      node.#url = await node.#ready(options.readyWithinMs ?? 30_000);
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  /** For starts that are expected to fail: what the process said and how it ended. */
  static async run(options: NodeOptions = {}): Promise<Ended> {
    const node = new NodeProcess(options);
    try {
      return await node.ended;
    } finally {
      await node[Symbol.asyncDispose]();
    }
  }

  /** `http://127.0.0.1:PORT` */
  get url(): string {
    if (this.#url === null) throw new Error("the node is not ready");
    return this.#url;
  }
  get stderr(): string {
    return this.#stderr;
  }
  get readyLine(): string {
    return this.#stdout.slice(0, this.#stdout.indexOf("\n"));
  }

  /** Sends the signal (default SIGTERM) and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Ended> {
    this.child.kill(signal);
    return await this.ended;
  }

  /** As the power going out, as far as this process is concerned. */
  async kill(): Promise<Ended> {
    return await this.stop("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.kill();
    await this.ended;
    if (this.#ownsDirectory) rmSync(this.dataDir, { recursive: true, force: true });
  }

  async #ready(withinMs: number): Promise<string> {
    const line = new Promise<string>((resolve) => {
      this.child.stdout?.on("data", () => {
        const match = /^ready http=(\S+)/m.exec(this.#stdout);
        if (match?.[1] !== undefined && this.#stdout.includes("\n")) resolve(`http://${match[1]}`);
      });
    });
    const deadline = AbortSignal.timeout(withinMs);
    const late = new Promise<never>((_, reject) => {
      deadline.addEventListener("abort", () =>
        reject(new Error(`not ready within ${withinMs} ms; it wrote:\n${this.#stdout}${this.#stderr}`)),
      );
    });
    const early = this.ended.then(({ code, signal, stderr }) => {
      throw new Error(`ended before it was ready (${signal ?? code}):\n${stderr}`);
    });
    return await Promise.race([line, early, late]);
  }
}

/** A directory for one test, removed when disposed. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "flotilla-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
