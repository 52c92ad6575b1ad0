/** The node that is fuzzed: what it holds of the machine, and whether it still does its work. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { Client } from "../../e2e/support/client.ts";
import { NodeProcess } from "../../e2e/support/node-process.ts";
import { within } from "./rounds.ts";

/** Of connections that do not go on, so that none is left when a test looks. */
const SHORT_PATIENCE = {
  FLOTILLA__HTTP__HEADERS_TIMEOUT_MS: "1000",
  FLOTILLA__HTTP__RECEIVE_TIMEOUT_MS: "2000",
  FLOTILLA__HTTP__KEEP_ALIVE_TIMEOUT_MS: "1000",
};
/** For any single answer: the machine is shared, a hang is a hang at any speed. */
export const ANSWER_WITHIN_MS = 15_000;
const SETTLED_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 50;
/** What the process may hold more than after the warm-up, however long it was fuzzed. */
const GROWTH_MIB = 160;

export interface Held {
  readonly sockets: number;
  readonly rssMiB: number;
}

export class Subject implements AsyncDisposable {
  readonly node: NodeProcess;
  readonly client: Client;
  /** Before anybody came. */
  readonly #idle: Held;
  #before: Held;

  private constructor(node: NodeProcess) {
    this.node = node;
    this.client = new Client(node.url);
    this.#idle = this.held();
    this.#before = this.#idle;
  }

  static async start(args: readonly string[] = []): Promise<Subject> {
    const subject = new Subject(await NodeProcess.start({ env: SHORT_PATIENCE, args }));
    await subject.client.create("kept", { size: 4 });
    const points = Array.from({ length: 50 }, (_, i) => ({ id: i, vector: [i, 1, 0, 0] }));
    await subject.client.upsert("kept", points);
    return subject;
  }

  port(name: "http" | "grpc" | "peer"): number {
    return Number(new RegExp(`${name}=\\S+:(\\d+)`).exec(this.node.readyLine)?.[1]);
  }

  held(): Held {
    const { pid } = this.node.child;
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const fds = readdirSync(`/proc/${pid}/fd`);
    return {
      sockets: fds.filter((fd) => opened(`/proc/${pid}/fd/${fd}`).startsWith("socket:")).length,
      rssMiB: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    };
  }

  /** Call after a warm-up with requests of all kinds. */
  async remember(): Promise<void> {
    await this.#settled();
    this.#before = this.held();
  }

  /** Alive, healthy, right, without a defect in its log, and holding what it held before. */
  async check(): Promise<void> {
    if (this.node.child.exitCode !== null || this.node.child.signalCode !== null)
      throw new Error(`the node has ended:\n${this.node.stderr}`);
    const { client } = this;
    const ready = await within(ANSWER_WITHIN_MS, "/readyz", client.call("GET", "/readyz"));
    if (ready.status !== 200) throw new Error(`not ready: ${ready.status} ${JSON.stringify(ready.body)}`);
    const search = { vector: [1, 0, 0, 0], limit: 3 };
    const found = await client.call("POST", "/collections/kept/points/search", search);
    const ids = (found.body.result as readonly { readonly id: number }[] | undefined)?.map(({ id }) => id);
    if (ids?.join() !== "49,48,47") throw new Error(`a wrong search: ${JSON.stringify(found.body)}`);
    const again = await client.upsert("kept", [{ id: 49, vector: [49, 1, 0, 0] }]);
    if (again.status !== 200) throw new Error(`a refused write: ${JSON.stringify(again.body)}`);
    const defects = this.node.stderr
      .split("\n")
      .filter((line) => /failed by a defect|"level":(50|60)|unhandled/i.test(line));
    if (defects.length > 0) throw new Error(`defects in the log:\n${defects.slice(0, 5).join("\n")}`);
  }

  /** Throws when connections stay open or memory has grown since `remember`. */
  async checkHeld(): Promise<Held> {
    await this.#settled();
    const { rssMiB } = this.#before;
    const after = this.held();
    if (after.rssMiB > rssMiB + GROWTH_MIB)
      throw new Error(`memory grew from ${rssMiB.toFixed()} to ${after.rssMiB.toFixed()} MiB`);
    return after;
  }

  /** The check's own client may hold a connection or two. */
  async #settled(): Promise<void> {
    const most = this.#idle.sockets + 3;
    const deadline = performance.now() + SETTLED_WITHIN_MS;
    for (;;) {
      const { sockets } = this.held();
      if (sockets <= most) return;
      if (performance.now() > deadline)
        throw new Error(`${sockets} sockets are still open, of ${this.#idle.sockets} at the start`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
  }
}

/** Empty for one that was closed since it was listed. */
function opened(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
