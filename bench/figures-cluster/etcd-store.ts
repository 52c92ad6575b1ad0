/** Three etcd members with default settings, spoken to through their JSON gateway. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { WorkDir } from "../../src/cli/bench/loaded-set.ts";
import { HttpClient, HttpClientError } from "../../src/cli/http-client.ts";
import { NODES, REQUEST_MS, SETTLE_MS, valueOf, type ReplicatedStore } from "./store.ts";

const POLL_MS = 20;

/** The version of the `etcd` that is installed; null: none is. */
export function etcdVersion(): string | null {
  const { stdout, status } = spawnSync("etcd", ["--version"], { encoding: "utf8" });
  return status === 0 ? (/etcd Version: (\S+)/.exec(stdout)?.[1] ?? "unknown") : null;
}

interface Member {
  readonly args: readonly string[];
  readonly client: HttpClient;
  process: ChildProcess | null;
}

export class EtcdStore implements ReplicatedStore {
  readonly name = "etcd";
  readonly #work = new WorkDir();
  readonly #members: Member[] = [];
  readonly #kill = (): void => {
    for (const { process } of this.#members) process?.kill("SIGKILL");
  };

  private constructor() {
    process.once("exit", this.#kill);
  }

  static async open({ connections = 8 } = {}): Promise<EtcdStore> {
    const store = new EtcdStore();
    try {
      const ports = await freePorts(2 * NODES);
      const urls = ports.map((port) => `http://127.0.0.1:${port}`);
      const cluster = Array.from({ length: NODES }, (_, at) => `n${at}=${urls[at]}`).join(",");
      for (let at = 0; at < NODES; at++) {
        const [peer = "", client = ""] = [urls[at], urls[NODES + at]];
        const args = [
          ...["--name", `n${at}`, "--data-dir", join(store.#work.path, `etcd-${at}`)],
          ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
          ...["--listen-client-urls", client, "--advertise-client-urls", client],
          ...["--initial-cluster", cluster, "--initial-cluster-state", "new", "--log-level", "error"],
        ];
        const http = new HttpClient({ url: client, connections, timeoutMs: REQUEST_MS });
        store.#members.push({ args, client: http, process: null });
      }
      await Promise.all(store.#members.map((_, at) => store.start(at)));
      await store.leader();
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
    return store;
  }

  async leader(): Promise<number> {
    const deadline = performance.now() + SETTLE_MS;
    for (;;) {
      const states = await Promise.all(this.#members.map(({ client }) => status(client)));
      const leading = states.findIndex((state) => state !== null && state.leader === state.member);
      const id = states[leading]?.member;
      if (id !== undefined && states.every((state) => state?.leader === id)) return leading;
      if (performance.now() > deadline) throw new Error(`etcd is not whole: ${JSON.stringify(states)}`);
      await sleep(POLL_MS);
    }
  }

  async put(at: number, key: number): Promise<boolean> {
    const text = (value: string): string => Buffer.from(value).toString("base64");
    const body = JSON.stringify({ key: text(`point-${key}`), value: text(valueOf(key)) });
    try {
      const answer = await this.#member(at).client.request("POST", "/v3/kv/put", body);
      return answer.status === 200;
    } catch (error) {
      if (error instanceof HttpClientError) return false;
      throw error;
    }
  }

  async kill(at: number): Promise<void> {
    await this.#end(at, "SIGKILL");
  }
  async stop(at: number): Promise<void> {
    await this.#end(at, "SIGTERM");
  }
  pause(at: number): void {
    this.#member(at).process?.kill("SIGSTOP");
  }
  resume(at: number): void {
    this.#member(at).process?.kill("SIGCONT");
  }
  async start(at: number): Promise<void> {
    const member = this.#member(at);
    member.process = spawn("etcd", member.args, { stdio: "ignore" });
    await once(member.process, "spawn");
  }
  #member(at: number): Member {
    const member = this.#members[at];
    if (member === undefined) throw new RangeError(`there is no member at ${at}`);
    return member;
  }
  async #end(at: number, signal: NodeJS.Signals): Promise<void> {
    const { process } = this.#member(at);
    if (process === null || process.exitCode !== null || process.signalCode !== null) return;
    const ended = once(process, "exit");
    process.kill(signal);
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map((_, at) => this.#end(at, "SIGKILL")));
    for (const { client } of this.#members) client[Symbol.dispose]();
    process.off("exit", this.#kill);
    this.#work[Symbol.dispose]();
  }
}

async function status(
  client: HttpClient,
): Promise<{ readonly leader: string; readonly member: string } | null> {
  try {
    const { body } = await client.request("POST", "/v3/maintenance/status", "{}");
    const told = JSON.parse(body.toString("utf8")) as { leader?: string; header?: { member_id?: string } };
    if (told.leader === undefined || told.leader === "0") return null;
    return { leader: told.leader, member: told.header?.member_id ?? "" };
  } catch (error) {
    // Not up yet, or an answer that is no JSON while it starts.
    if (error instanceof HttpClientError || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Ports that were free a moment ago: members must know each other's before they start. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
