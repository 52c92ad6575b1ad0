import { MemoryLog } from "../../../shards/adapters.ts";
import { GroupId, NodeId, openHost } from "../../../shards/index.ts";
import type {
  ConfState,
  Group,
  GroupStatus,
  Host,
  HostLimits,
  LogStore,
  ProposalOutcome,
  ShardEvent,
  SnapshotMeta,
} from "../../../shards/index.ts";
import type { GroupLog, GroupWrite } from "../../../shards/ports.ts";
import { Loopback } from "./loopback.ts";
import { RecordingMachine } from "./machine.ts";

export const GROUP = GroupId(1);

export function conf(voters: readonly number[], learners: readonly number[] = []): ConfState {
  return {
    voters: voters.map(NodeId),
    votersOutgoing: [],
    learners: learners.map(NodeId),
    learnersNext: [],
    autoLeave: false,
  };
}

/** A memory log that counts its transactions, can hold one back, and can fail. */
export class GatedLog implements LogStore {
  readonly inner = new MemoryLog();
  readonly batches: (readonly GroupWrite[])[] = [];
  failWith: Error | null = null;
  /** Which transactions fail; all unless told otherwise. */
  failWhen: (batch: readonly GroupWrite[]) => boolean = () => true;
  #gate: Promise<void> | null = null;
  #open: (() => void) | null = null;

  hold(): void {
    this.#gate = new Promise((open) => {
      this.#open = open;
    });
  }
  release(): void {
    this.#gate = null;
    this.#open?.();
  }
  groups() {
    return this.inner.groups();
  }
  create(group: GroupId, first: SnapshotMeta) {
    return this.inner.create(group, first);
  }
  open(group: GroupId): GroupLog {
    return this.inner.open(group);
  }
  async write(batch: readonly GroupWrite[]): Promise<void> {
    this.batches.push(batch);
    await this.#gate;
    if (this.failWith !== null && this.failWhen(batch)) throw this.failWith;
    await this.inner.write(batch);
  }
  destroy(group: GroupId) {
    return this.inner.destroy(group);
  }
  async [Symbol.asyncDispose]() {
    await this.inner[Symbol.asyncDispose]();
  }
}

export interface TestNode {
  readonly id: NodeId;
  readonly log: GatedLog;
  readonly machines: Map<GroupId, RecordingMachine>;
  readonly events: ShardEvent[];
  readonly host: Host;
}

/** Nodes in one process on virtual time: nothing moves but by {@link settle} and {@link tick}. */
export class TestCluster {
  readonly network = new Loopback();
  readonly nodes = new Map<number, TestNode>();
  readonly #limits: Partial<HostLimits>;
  #nowMs = 0;
  #turns: (() => void)[] = [];
  readonly #tickers = new Set<() => void>();
  #dice: number;

  constructor(limits: Partial<HostLimits> = {}, seed = 1) {
    this.#limits = limits;
    this.#dice = seed;
  }

  /** Starts a node, on what it left behind if it was here before. */
  start(id: number): TestNode {
    const before = this.nodes.get(id);
    const nodeId = NodeId(id);
    const log = before?.log ?? new GatedLog();
    const events = before?.events ?? [];
    const host = openHost(
      {
        identity: { cluster: "test", node: nodeId, incarnation: `incarnation ${id}` },
        limits: { electionTicks: 10, heartbeatTicks: 1, tickMs: 10, ...this.#limits },
      },
      {
        log,
        transport: this.network.transport(nodeId),
        clock: { nowMs: () => this.#nowMs, every: (_, callback) => this.#every(callback) },
        random: { below: (bound) => this.#roll(bound) },
        scheduler: { soon: (turn) => this.#turns.push(turn) },
        events: { event: (event) => events.push(event) },
      },
    );
    const machines = before?.machines ?? new Map<GroupId, RecordingMachine>();
    const node: TestNode = { id: nodeId, log, machines, events, host };
    this.nodes.set(id, node);
    return node;
  }

  async open(id: number, bootstrap: ConfState | null, group = GROUP): Promise<Group> {
    const node = this.node(id);
    const machine = node.machines.get(group) ?? new RecordingMachine();
    node.machines.set(group, machine);
    return await node.host.openGroup({ group, applyOp: machine, bootstrap });
  }

  /** Nodes 1 to `size`, each a voter of the group, and one of them leading. */
  static async of(size: number, limits: Partial<HostLimits> = {}): Promise<TestCluster> {
    const cluster = new TestCluster(limits);
    const voters = Array.from({ length: size }, (_, at) => at + 1);
    for (const id of voters) {
      cluster.start(id);
      await cluster.open(id, conf(voters));
    }
    await cluster.settle();
    await cluster.electLeader();
    return cluster;
  }

  /** Node 1, alone, with a log that begins later than what it applied: whoever joins is sent a snapshot. */
  static async compacted(limits: Partial<HostLimits> = {}): Promise<TestCluster> {
    const cluster = new TestCluster({ compactBytes: 1_000, keepBytes: 200, ...limits });
    cluster.start(1);
    await cluster.open(1, conf([1]));
    await cluster.settle();
    for (let at = 0; at < 50; at++) await cluster.propose(1, `line ${at}`);
    return cluster;
  }

  node(id: number): TestNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }
  group(id: number, group = GROUP): Group {
    const found = this.node(id).host.group(group);
    if (found === undefined) throw new Error(`node ${id} has no group ${group}`);
    return found;
  }
  machine(id: number, group = GROUP): RecordingMachine {
    const machine = this.node(id).machines.get(group);
    if (machine === undefined) throw new Error(`node ${id} has no state machine for group ${group}`);
    return machine;
  }
  status(id: number): GroupStatus {
    return this.group(id).status();
  }

  /** The node is gone without a word, writing nothing more; its log and state machine stay for a restart. */
  async kill(id: number, ...states: ("lost" | "refused")[]): Promise<void> {
    const { log, host } = this.node(id);
    this.network.gone(NodeId(id), states);
    log.failWith = new Error("killed");
    log.failWhen = () => true;
    await host[Symbol.asyncDispose]();
    await this.settle();
    log.failWith = null;
  }

  /** The node closes as it does on SIGTERM. */
  async stop(id: number): Promise<void> {
    await this.node(id).host[Symbol.asyncDispose]();
    this.network.gone(NodeId(id));
    await this.settle();
  }

  /** Everything that can happen without time passing. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3;) {
      const turns = this.#turns;
      this.#turns = [];
      for (const turn of turns) turn();
      const delivered = this.network.pump();
      quiet = turns.length > 0 || delivered ? 0 : quiet + 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async tick(count = 1): Promise<void> {
    for (let at = 0; at < count; at++) {
      this.#nowMs += 10;
      for (const ticker of [...this.#tickers]) ticker();
      await this.settle();
    }
  }

  /** Time passes while the threads of all nodes are held up: their timers fire, and no turn comes in between. */
  async stall(intervals: number): Promise<void> {
    for (let at = 0; at < intervals; at++) {
      this.#nowMs += 10;
      for (const ticker of [...this.#tickers]) ticker();
    }
    await this.settle();
  }

  /** Ticks until somebody (but not `except`) leads and has told the others; answers who. */
  async electLeader(except = 0): Promise<number> {
    for (let ticks = 0; ticks < 200; ticks++) {
      for (const node of this.nodes.values()) {
        const status = node.host.group(GROUP)?.status();
        if (status?.state === "running" && status.role === "leader" && node.id !== except) return node.id;
      }
      await this.tick();
    }
    throw new Error("nobody leads after 200 ticks");
  }

  /** Proposes and lets everything happen that can without time passing. */
  async propose(id: number, line: string): Promise<ProposalOutcome> {
    const outcome = this.group(id).propose(bytes(line));
    await this.settle();
    return await outcome;
  }

  #every(callback: () => void): () => void {
    this.#tickers.add(callback);
    return () => {
      this.#tickers.delete(callback);
    };
  }

  #roll(bound: number): number {
    this.#dice = (Math.imul(this.#dice, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#dice / 2 ** 32) * bound);
  }
}

export function bytes(line: string): Uint8Array {
  return new TextEncoder().encode(line);
}
