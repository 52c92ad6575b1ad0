import { join } from "node:path";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { onTestFinished } from "vitest";
import { Client, type Answer } from "../support/client.ts";
import { NodeProcess } from "../support/node-process.ts";
import { Network, type Proxy } from "./support/network.ts";
import { freePorts } from "./support/ports.ts";

export interface ReplicaOut {
  readonly node_id: number;
  readonly role: "leader" | "voter" | "learner";
  readonly state: string;
  readonly term: number | null;
  readonly applied: number | null;
  readonly state_hash: string | null;
  readonly hash_index: number | null;
  readonly error: string | null;
}
export interface ShardOut {
  readonly shard: number;
  readonly term: number;
  readonly leader: number | null;
  readonly replicas: readonly ReplicaOut[];
}

export interface MemberOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Members to join; default: everybody who runs. Empty: founds a cluster. */
  readonly join?: readonly string[];
  /** Put before `node`, as in `["prlimit", "--fsize=4000000"]`. */
  readonly wrapper?: readonly string[];
  readonly readyWithinMs?: number;
}

export interface ClusterOptions {
  /** Puts proxies between the nodes, so that the network can fail: see `network`. */
  readonly faultyNetwork?: boolean;
}

/** One node of the test's cluster: its process may come and go, its directory and number stay. */
export class Member {
  readonly number: number;
  readonly dataDir: string;
  node: NodeProcess | null = null;
  /** Where it last was. */
  peer = "";
  /** Cannot be expected to answer: paused, or cut off. Writers and questions of the test go elsewhere. */
  aside = false;
  /** In front of its ports, where the cluster has a faulty network. */
  proxies: { readonly peer: Proxy; readonly grpc: Proxy } | null = null;
  /** What its processes wrote that have ended. */
  readonly written: string[] = [];

  constructor(number: number, dataDir: string) {
    this.number = number;
    this.dataDir = dataDir;
  }
  get process(): NodeProcess {
    if (this.node === null) throw new Error(`node ${this.number} does not run`);
    return this.node;
  }
  get client(): Client {
    return new Client(this.process.url);
  }
  get running(): boolean {
    return this.node !== null;
  }
  /** Stands still, with all its connections open (SIGSTOP). */
  pause(): void {
    this.aside = true;
    this.process.child.kill("SIGSTOP");
  }
  resume(): void {
    this.process.child.kill("SIGCONT");
    this.aside = false;
  }
  /** What all its processes wrote, in order. */
  get log(): string {
    return [...this.written, ...(this.node === null ? [] : [this.node.stderr])].join("--- started again\n");
  }
}

/** How long anything may take that is not timed here: the machine is shared, a failure is a failure at any speed. */
const PATIENCE_MS = 25_000;
const LOOK_EVERY_MS = 40;
/** Longer than an election and every retry after it. */
const WRITE_SECONDS = 4;

/** Of the random choices of tests that make some; printed with every failure. */
export const SEED = Number(process.env["FLOTILLA_SEED"] ?? 1);
/** Whether tests run in their long form (`npm run test:cluster`). */
export const LONG = process.env["FLOTILLA_LONG"] === "1";

/**
 * Real `flotilla serve` processes on free ports in one temporary directory; disposing ends and removes all of it.
 * When the test fails, what the nodes wrote is kept in a directory that is named beside the seed.
 */
export class ClusterProcess implements AsyncDisposable {
  readonly #path = mkdtempSync(join(tmpdir(), "flotilla-cluster-"));
  readonly #members: Member[] = [];
  readonly #args: readonly string[];
  readonly #network: Network | null;

  /** `args` for every node. */
  constructor(args: readonly string[] = [], { faultyNetwork = false }: ClusterOptions = {}) {
    this.#args = args;
    this.#network = faultyNetwork ? new Network() : null;
    onTestFinished(({ task }) => {
      if (task.result?.state === "fail") this.#keepLogs();
    });
  }

  /** Nodes 1 to `count`, each joined to those before. */
  static async of(
    count: number,
    args: readonly string[] = [],
    options: ClusterOptions = {},
  ): Promise<ClusterProcess> {
    const cluster = new ClusterProcess(args, options);
    try {
      for (let at = 0; at < count; at++) await cluster.add();
      await cluster.until("every node votes for the catalogue", async () => {
        const { body } = await cluster.member(1).client.call("GET", "/nodes");
        const { nodes } = body.result as { readonly nodes: readonly { role: string; grpc: string }[] };
        return nodes.length === count && nodes.every(({ role, grpc }) => role === "voter" && grpc !== "");
      });
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  member(number: number): Member {
    const found = this.#members.find((member) => member.number === number);
    if (found === undefined) throw new Error(`there is no node ${number}`);
    return found;
  }
  get network(): Network {
    if (this.#network === null) throw new Error("this cluster's network has no faults");
    return this.#network;
  }
  get running(): readonly Member[] {
    return this.#members.filter(({ running }) => running);
  }
  /** Those that run and are neither paused nor cut off. */
  get answering(): readonly Member[] {
    return this.running.filter(({ aside }) => !aside);
  }
  /** A client of any node that answers. */
  get client(): Client {
    const [first] = this.answering;
    if (first === undefined) throw new Error("no node answers");
    return first.client;
  }

  async add(options: MemberOptions = {}): Promise<Member> {
    const number = this.#members.length + 1;
    const member = new Member(number, join(this.#path, `node-${number}`));
    this.#members.push(member);
    await this.start(member, options);
    return member;
  }

  /** Starts, or starts again, on its directory; on new ports, as it has to live with. */
  async start(member: Member, options: MemberOptions = {}): Promise<void> {
    const others = options.join ?? this.running.map(({ peer }) => peer);
    const behind: string[] = [];
    if (this.#network !== null) {
      // Known before the node starts: it is not ready until others have reached it through its proxies.
      const [peer = 0, grpc = 0] = await freePorts(2);
      member.proxies ??= {
        peer: await this.#network.proxy(member.number),
        grpc: await this.#network.proxy(member.number),
      };
      member.proxies.peer.aim(peer);
      member.proxies.grpc.aim(grpc);
      behind.push("--peer-addr", `127.0.0.1:${peer}`, "--advertise-peer", member.proxies.peer.address);
      behind.push("--grpc-addr", `127.0.0.1:${grpc}`, "--advertise-grpc", member.proxies.grpc.address);
    }
    member.node = await NodeProcess.start({
      dataDir: member.dataDir,
      args: [
        ...this.#args,
        ...(others.length === 0 ? [] : ["--join", others.join(",")]),
        ...behind,
        ...(options.args ?? []),
      ],
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.wrapper === undefined ? {} : { wrapper: options.wrapper }),
      ...(options.readyWithinMs === undefined ? {} : { readyWithinMs: options.readyWithinMs }),
      spawned: (pid) => this.#network?.tell(member.number, pid),
    });
    member.peer = /peer=(\S+)/.exec(member.node.readyLine)?.[1] ?? "";
  }

  async kill(member: Member): Promise<void> {
    await this.#end(member, "SIGKILL");
  }
  async stop(member: Member): Promise<number | null> {
    return await this.#end(member, "SIGTERM");
  }
  /** Ends a node and removes all it had, as a machine that is set up anew. */
  async wipe(member: Member): Promise<void> {
    if (member.running) await this.kill(member);
    rmSync(member.dataDir, { recursive: true, force: true });
  }
  /** Waits for a node that ends by itself. */
  async ended(member: Member): Promise<number | null> {
    return await this.#end(member, null);
  }
  async #end(member: Member, signal: NodeJS.Signals | null): Promise<number | null> {
    const { code, stderr } = await (signal === null ? member.process.ended : member.process.stop(signal));
    member.written.push(stderr);
    member.node = null;
    return code;
  }

  async shards(collection: string, from: Client = this.client): Promise<readonly ShardOut[]> {
    const { status, body } = await from.call("GET", `/collections/${collection}/shards`);
    if (status !== 200) throw new Error(`shards of ${collection}: ${status} ${JSON.stringify(body)}`);
    return (body.result as { readonly shards: readonly ShardOut[] }).shards;
  }

  /** Resolves when every shard has this many replicas, all of them voting, active and up to date. */
  async untilVoters(collection: string, voters: number): Promise<readonly ShardOut[]> {
    let seen: readonly ShardOut[] = [];
    await this.until(
      `${voters} voters per shard of ${collection}`,
      async () => {
        seen = await this.shards(collection);
        return seen.every(
          ({ leader, replicas }) =>
            leader !== null &&
            replicas.length === voters &&
            replicas.every(({ role, state }) => role !== "learner" && state === "active"),
        );
      },
      () => JSON.stringify(seen),
    );
    return seen;
  }

  /** Resolves when all replicas hold the same at the same index; throws what they hold when they never do. */
  async untilEqual(collection: string): Promise<void> {
    let seen: readonly ShardOut[] = [];
    await this.until(
      `equal replicas of ${collection}`,
      async () => {
        seen = await this.shards(collection);
        return seen.every(({ replicas }) => {
          const found = new Set(replicas.map((replica) => `${replica.hash_index} ${replica.state_hash}`));
          const applied = Math.max(...replicas.map((replica) => replica.applied ?? Infinity));
          return found.size === 1 && replicas.every(({ hash_index }) => (hash_index ?? 0) >= applied);
        });
      },
      () => JSON.stringify(seen),
    );
  }

  /** Looks until it holds; what is thrown while nobody answers counts as not yet. */
  async until(what: string, holds: () => Promise<boolean>, seen: () => string = () => ""): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    let last = "";
    while (performance.now() < deadline) {
      try {
        if (await holds()) return;
        last = seen();
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    throw new Error(`not within ${PATIENCE_MS} ms: ${what}; last: ${last}\n${this.logs()}`);
  }

  /** The end of what each node wrote, for the message of a failure. */
  logs(): string {
    return this.running
      .map(({ number, process }) => `--- node ${number}\n${process.stderr.split("\n").slice(-25).join("\n")}`)
      .join("\n");
  }
  #keepLogs(): void {
    const path = mkdtempSync(join(tmpdir(), "flotilla-failed-"));
    for (const member of this.#members) writeFileSync(join(path, `node-${member.number}.log`), member.log);
    console.error(`seed ${SEED}; what the nodes wrote is in ${path}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map(async ({ node }) => await node?.[Symbol.asyncDispose]()));
    await this.#network?.[Symbol.asyncDispose]();
    rmSync(this.#path, { recursive: true, force: true });
  }
}

/** Writes single points one after the other, on any running node, and remembers what was acknowledged. */
export class Writer {
  readonly acknowledged = new Set<number>();
  readonly failures: string[] = [];
  readonly #cluster: ClusterProcess;
  readonly #collection: string;
  #next: number;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();
  /** Longest time between two acknowledgements, in ms. */
  longestGapMs = 0;

  constructor(cluster: ClusterProcess, collection: string, first = 1) {
    this.#cluster = cluster;
    this.#collection = collection;
    this.#next = first;
  }

  start(): this {
    this.#running = this.#run();
    return this;
  }
  /** Resolves when so many more were acknowledged. */
  async more(count: number): Promise<void> {
    const wanted = this.acknowledged.size + count;
    await this.#cluster.until(
      `${count} more writes`,
      () => Promise.resolve(this.acknowledged.size >= wanted),
      () => this.failures.slice(-3).join("; "),
    );
  }
  async stop(): Promise<ReadonlySet<number>> {
    this.#stopped = true;
    await this.#running;
    return this.acknowledged;
  }

  async #run(): Promise<void> {
    let last = performance.now();
    for (let turn = 0; !this.#stopped; turn++) {
      const id = this.#next++;
      const answer = await this.#write(id, turn);
      if (answer?.status !== 200) {
        this.failures.push(answer === null ? "no answer" : `${answer.status} ${JSON.stringify(answer.body)}`);
        continue;
      }
      this.acknowledged.add(id);
      const now = performance.now();
      this.longestGapMs = Math.max(this.longestGapMs, now - last);
      last = now;
    }
  }

  async #write(id: number, turn: number): Promise<Answer | null> {
    const { answering } = this.#cluster;
    const member = answering[turn % answering.length];
    if (member === undefined) return null;
    try {
      return await member.client.call(
        "PUT",
        `/collections/${this.#collection}/points?timeout=${WRITE_SECONDS}`,
        { points: [{ id, vector: [id % 97, 1, 2, 3], payload: { id } }] },
        {},
        AbortSignal.timeout(2 * WRITE_SECONDS * 1000),
      );
    } catch (error) {
      // The node went away or stood still in the middle: nobody knows what became of it.
      if (error instanceof TypeError || (error as Error).name === "TimeoutError") return null;
      throw error;
    }
  }
}

/** What each running node holds by itself, without asking anybody. */
export async function idsOnEach(
  cluster: ClusterProcess,
  collection: string,
): Promise<ReadonlyMap<number, Set<number>>> {
  const held = new Map<number, Set<number>>();
  for (const { number, client } of cluster.running) {
    const ids = new Set<number>();
    let offset: unknown = null;
    do {
      const path = `/collections/${collection}/points/scroll?consistency=eventual`;
      const { body } = await client.call("POST", path, {
        limit: 1000,
        ...(offset === null ? {} : { offset }),
      });
      const page = body.result as {
        readonly points: readonly { readonly id: number }[];
        next_page_offset: unknown;
      };
      for (const { id } of page.points) ids.add(id);
      offset = page.next_page_offset ?? null;
    } while (offset !== null);
    held.set(number, ids);
  }
  return held;
}
