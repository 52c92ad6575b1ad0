import { join } from "node:path";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { Client, type Answer } from "../support/client.ts";
import { NodeProcess } from "../support/node-process.ts";

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
}

/** One node of the test's cluster: its process may come and go, its directory and number stay. */
export class Member {
  readonly number: number;
  readonly dataDir: string;
  node: NodeProcess | null = null;
  /** Where it last was. */
  peer = "";

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
}

/** How long anything may take that is not timed here: the machine is shared, a failure is a failure at any speed. */
const PATIENCE_MS = 25_000;
const LOOK_EVERY_MS = 40;

/** Real `flotilla serve` processes on free ports in one temporary directory; disposing ends and removes all of it. */
export class ClusterProcess implements AsyncDisposable {
  readonly #path = mkdtempSync(join(tmpdir(), "flotilla-cluster-"));
  readonly #members: Member[] = [];
  readonly #args: readonly string[];

  /** `args` for every node. */
  constructor(args: readonly string[] = []) {
    this.#args = args;
  }

  /** Nodes 1 to `count`, each joined to those before. */
  static async of(count: number, args: readonly string[] = []): Promise<ClusterProcess> {
    const cluster = new ClusterProcess(args);
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
  get running(): readonly Member[] {
    return this.#members.filter(({ running }) => running);
  }
  /** A client of any node that runs. */
  get client(): Client {
    const [first] = this.running;
    if (first === undefined) throw new Error("no node runs");
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
    member.node = await NodeProcess.start({
      dataDir: member.dataDir,
      args: [
        ...this.#args,
        ...(others.length === 0 ? [] : ["--join", others.join(",")]),
        ...(options.args ?? []),
      ],
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    member.peer = /peer=(\S+)/.exec(member.node.readyLine)?.[1] ?? "";
  }

  async kill(member: Member): Promise<void> {
    await member.process.kill();
    member.node = null;
  }
  async stop(member: Member): Promise<number | null> {
    const { code } = await member.process.stop();
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
          return found.size === 1 && replicas.every((replica) => replica.state_hash !== null);
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

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map(async ({ node }) => await node?.[Symbol.asyncDispose]()));
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
    const { running } = this.#cluster;
    const member = running[turn % running.length];
    if (member === undefined) return null;
    try {
      return await member.client.upsert(this.#collection, [
        { id, vector: [id % 97, 1, 2, 3], payload: { id } },
      ]);
    } catch (error) {
      // The node went away in the middle: nobody knows what became of it.
      if (error instanceof TypeError) return null;
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
