/**
 * A small cluster in one process: real routers that call each other over loopback gRPC, each with a small real
 * consensus and engine of its own. Entries of a group are in one list that all replicas apply from; who leads, who is
 * behind and what goes wrong between two nodes is for the test to say.
 */
import { Server } from "@grpc/grpc-js";
import {
  GroupId,
  LogIndex,
  NodeId,
  Term,
  type GroupStatus,
  type ProposalOutcome,
  type ReadOutcome,
} from "../../shards/index.ts";
import { encodeEntry } from "../../src/catalog/commands.ts";
import { CatalogueState } from "../../src/catalog/state.ts";
import type { ChangeGuard } from "../../src/cluster/caller-check.ts";
import { ClusterRouter } from "../../src/cluster/cluster-router.ts";
import { NodeCallsClient } from "../../src/cluster/node-calls/client.ts";
import type { NodeCallHandlers, NodeMethod } from "../../src/cluster/node-calls/contract.ts";
import { NodeCallError } from "../../src/cluster/node-calls/errors.ts";
import { NodeCallsServer } from "../../src/cluster/node-calls/server.ts";
import type { Consensus, Peers } from "../../src/cluster/ports.ts";
import { Roles } from "../../src/cluster/roles.ts";
import type { Timers } from "../../src/cluster/timers.ts";
import type { NodeStatus, PointId, StoredPoint, WriteOp } from "../../src/cluster/types.ts";
import { worldEngines } from "./world-engines.ts";
import { Events, listen, ManualTimers, proofOf } from "./node-calls/support.ts";

/** Pauses end at the next turn; deadlines, which are longer, never do. */
export class QuickTimers implements Timers {
  #now = 0;
  nowMs(): number {
    return this.#now;
  }
  after(ms: number, callback: () => void): () => void {
    if (ms > 200) return () => undefined;
    const timer = setImmediate(() => {
      this.#now += ms;
      callback();
    });
    return () => clearImmediate(timer);
  }
}

interface Entry {
  readonly key: string;
  readonly data: Uint8Array;
}

interface Group {
  leader: number | null;
  term: number;
  members: readonly number[];
  /** Index 1 is the first. */
  readonly entries: Entry[];
  /** Nodes that apply no further than so. */
  readonly held: Map<number, number>;
  /** What becomes of a membership change instead of happening; null: it happens. */
  changeOutcome: ProposalOutcome | null;
}

/** What happens to a call on its way: nothing, it never leaves, or its answer never comes back. */
export type Fault = "refused" | "lost" | null;

interface Written {
  readonly origin: string;
  readonly sequence: number;
  readonly operations: readonly WriteOp[];
}

export const encodeWrite = (key: { origin: string; sequence: number }, operations: readonly WriteOp[]) =>
  new TextEncoder().encode(
    JSON.stringify({ ...key, operations }, (_, value: unknown) =>
      value instanceof Float32Array ? [...value] : value,
    ),
  );

const NO_OPERATIONS = encodeWrite({ origin: "", sequence: 0 }, []);

export class World {
  readonly catalogue = new CatalogueState();
  readonly groups = new Map<number, Group>();
  readonly nodes = new Map<number, Node>();
  readonly #changed = new Set<() => void>();
  /** Nodes that do not answer the leaders of their groups. */
  readonly silent = new Set<number>();
  /** Told of a leadership that was to move and does not; null: it moves. */
  transferStalls: (() => void) | null = null;
  /** Asked before each call between nodes. */
  fault: (from: number, to: number, method: NodeMethod) => Fault = () => null;
  /** What a node looks at before a change that another one forwards. */
  guard: (node: number) => ChangeGuard | null = () => null;
  /** A node's clock, milliseconds since 1970. */
  clock: (node: number) => number = () => 0;
  /** Told of every proposal that a consensus took. */
  onProposed: (group: number, node: number) => void = () => undefined;

  static async start(nodes: number): Promise<World> {
    const world = new World();
    const ids = Array.from({ length: nodes }, (_, at) => at + 1);
    world.#addGroup(0, ids);
    for (const id of ids) world.nodes.set(id, await Node.start(world, id));
    for (const { id, address } of world.nodes.values()) {
      const command = {
        kind: "registerNode",
        incarnation: `i${id}`,
        nodeId: id,
        http: `http-${id}`,
        grpc: address,
        peer: `peer-${id}`,
        version: "1",
      } as const;
      world.append(0, encodeEntry({ origin: "world", sequence: id, command }));
    }
    for (const node of world.nodes.values()) {
      node.calls.setNodes(
        [...world.nodes.values()].map(({ id, address }) => ({ nodeId: id, grpc: address })),
      );
    }
    for (const node of world.nodes.values()) await node.connected(nodes - 1);
    world.lead(0, 1);
    return world;
  }

  router(node: number): ClusterRouter {
    return this.node(node).router;
  }
  node(id: number): Node {
    const found = this.nodes.get(id);
    if (found === undefined) throw new Error(`there is no node ${id}`);
    return found;
  }
  group(group: number): Group {
    const found = this.groups.get(group);
    if (found === undefined) throw new Error(`there is no group ${group}`);
    return found;
  }
  holds(group: number, node: number): boolean {
    return this.groups.get(group)?.members.includes(node) ?? false;
  }
  onChange(listener: () => void): () => void {
    this.#changed.add(listener);
    return () => this.#changed.delete(listener);
  }

  #addGroup(group: number, members: readonly number[]): void {
    this.groups.set(group, {
      leader: null,
      term: 0,
      members,
      entries: [],
      held: new Map(),
      changeOutcome: null,
    });
  }

  /** An election: every member hears of it. null: nobody won. */
  lead(group: number, leader: number | null): void {
    const known = this.group(group);
    known.leader = leader;
    known.term++;
    for (const member of known.members) {
      const role = member === leader ? "leader" : "follower";
      this.nodes.get(member)?.roles.changed(group, { role, leader, term: known.term });
    }
  }

  append(group: number, data: Uint8Array): { readonly index: number; readonly result: unknown } {
    const known = this.group(group);
    const { origin, sequence } = JSON.parse(new TextDecoder().decode(data)) as Written;
    const key = `${origin} ${sequence}`;
    const before = known.entries.findIndex((entry) => entry.key === key);
    known.entries.push({ key, data });
    const index = known.entries.length;
    if (group !== 0) {
      const duplicate = before !== -1;
      const version = duplicate ? before + 1 : index;
      return { index, result: { kind: "applied", version, touched: 1, duplicate } };
    }
    const result = this.catalogue.apply(index, data);
    if (result.kind === "created") {
      for (const { group: made, founders } of result.collection.placement) {
        this.#addGroup(made, founders);
        this.lead(made, founders[0] ?? null);
      }
    }
    for (const tell of this.#changed) tell();
    return { index, result };
  }

  applied(group: number, node: number): number {
    const { entries, held } = this.group(group);
    return Math.min(entries.length, held.get(node) ?? Infinity);
  }

  /** The points of a group as a node's engine has them, each with how often it was written. */
  points(group: number, node: number): ReadonlyMap<PointId, StoredPoint & { readonly writes: number }> {
    const points = new Map<PointId, StoredPoint & { readonly writes: number }>();
    const seen = new Set<string>();
    for (const [at, { key, data }] of this.group(group)
      .entries.slice(0, this.applied(group, node))
      .entries()) {
      if (seen.has(key)) continue;
      seen.add(key);
      const { operations } = JSON.parse(new TextDecoder().decode(data)) as Written;
      for (const operation of operations) {
        if (operation.kind !== "upsert") continue;
        for (const { id, vector, payload } of operation.points) {
          const writes = (points.get(id)?.writes ?? 0) + 1;
          points.set(id, { id, version: at + 1, vector: new Float32Array(vector), payload, writes });
        }
      }
    }
    return points;
  }

  stop(): void {
    for (const node of this.nodes.values()) node.stop();
  }
}

export class Node {
  readonly id: number;
  readonly roles: Roles;
  readonly calls: NodeCallsClient;
  readonly router: ClusterRouter;
  /** What another node's call runs into; a test may put something in between. */
  readonly handlers: { current: NodeCallHandlers };
  address = "";
  /** Groups this node was told to close and open again, and why it cannot. */
  readonly restarted: number[] = [];
  restartFault: Error | null = null;
  readonly #world: World;
  readonly #server = new Server();
  readonly #events = new Events();

  static async start(world: World, id: number): Promise<Node> {
    const node = new Node(world, id);
    node.address = (await listen(node.#server)).grpc;
    return node;
  }

  private constructor(world: World, id: number) {
    this.#world = world;
    this.id = id;
    this.roles = new Roles(() => id);
    const timers = new ManualTimers();
    this.calls = new NodeCallsClient(
      { nodeId: id },
      { proof: proofOf(id, "s"), timers, onEvent: this.#events.add },
    );
    this.router = new ClusterRouter(
      {
        nodeId: id,
        run: `run-${id}`,
        entryBytes: 1 << 20,
        collectionsMax: 100,
        metadataBytesMax: 1 << 20,
        writeBytesMax: 1 << 26,
        timeoutMs: 60_000,
        leaderMs: 120_000,
      },
      {
        catalogue: {
          collections: () => world.catalogue.collections(),
          collection: (name) => world.catalogue.collection(name),
          resolve: (name) => world.catalogue.resolve(name),
          nodes: () => world.catalogue.nodes(),
          node: (nodeId) => world.catalogue.node(nodeId),
          aliases: () => world.catalogue.aliases(),
          onChange: (listener) => world.onChange(listener),
        },
        controller: {
          isOpen: (group) => this.#holds(group),
          error: () => null,
          closed: () => Promise.resolve(),
          restart: (group) => {
            this.restarted.push(group);
            return this.restartFault === null ? Promise.resolve() : Promise.reject(this.restartFault);
          },
          places: () => [],
        },
        consensus: this.#consensus(),
        engines: worldEngines(world, id),
        peers: this.#peers(),
        roles: this.roles,
        encode: encodeWrite,
        node: (): NodeStatus => ({
          nodeId: id,
          clusterId: "c",
          version: "1",
          startedAt: "",
          ready: true,
          notes: [],
          catalogue: { leader: null, term: 0, applied: 0 },
          build: { hnswlib: "unknown", flags: "", node: "" },
        }),
        timers: new QuickTimers(),
        nowMs: () => world.clock(id),
        guard: {
          checkChange: (action, adds) => world.guard(id)?.checkChange(action, adds),
          record: (action, entry) => world.guard(id)?.record(action, entry),
        },
      },
    );
    this.handlers = { current: this.router.handlers };
    // As the node itself would dispatch, through what the test may have put in between.
    const through = Object.fromEntries(
      Object.keys(this.router.handlers).map((method) => [
        method,
        (request: never, context: never) =>
          (this.handlers.current[method as NodeMethod] as (a: never, b: never) => Promise<unknown>)(
            request,
            context,
          ),
      ]),
    ) as NodeCallHandlers;
    new NodeCallsServer({}, { proof: proofOf(id, "s"), handlers: through, timers }).addTo(this.#server);
  }

  /** Resolves when so many streams to others are open. */
  async connected(streams: number): Promise<void> {
    const opened = (): number =>
      this.#events.seen.filter((event) => event.kind === "connected" && event.side === "dialled").length;
    if (opened() < streams) await this.#events.until(() => opened() >= streams);
  }

  /** As a killed process: connections break, and new ones are refused. */
  stop(): void {
    this.calls[Symbol.dispose]();
    this.#server.forceShutdown();
  }

  #holds(group: number): boolean {
    return this.#world.holds(group, this.id);
  }

  #peers(): Peers {
    const { calls, id } = this;
    return {
      stateOf: (node) => calls.stateOf(node),
      call: async (node, method, request, options) => {
        const fault = this.#world.fault(id, node, method);
        const gone = (sent: boolean) => new NodeCallError({ code: "UNREACHABLE", node, sent }, "a fault");
        if (fault === "refused") throw gone(false);
        const answer = await calls.call(node, method, request, options);
        if (fault === "lost") throw gone(true);
        return answer;
      },
    };
  }

  #consensus(): Consensus {
    const world = this.#world;
    const closed = { kind: "stopped", why: "the group is not open here" } as const;
    const settled = <T>(make: () => T): Promise<T> => Promise.resolve().then(make);
    return {
      propose: (group, data, { wait }) =>
        settled((): ProposalOutcome => {
          if (!this.#holds(group)) return closed;
          const { leader, term } = world.group(group);
          if (leader !== this.id)
            return { kind: "notLeader", leader: leader === null ? null : NodeId(leader) };
          world.onProposed(group, this.id);
          // What was handed over is the log's from now on.
          const taken = structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
          const { index, result } = world.append(group, taken);
          const at = { term: Term(term), index: LogIndex(index) };
          return wait === "applied" ? { kind: "applied", ...at, result } : { kind: "committed", ...at };
        }),
      readIndex: (group) =>
        settled((): ReadOutcome => {
          if (!this.#holds(group)) return closed;
          const { leader, entries } = world.group(group);
          if (leader === null) return { kind: "notLeader", leader: null };
          if (world.applied(group, this.id) < entries.length) return { kind: "dropped", why: "deadline" };
          return { kind: "ready", index: LogIndex(entries.length) };
        }),
      waitApplied: (group, index) =>
        settled((): ReadOutcome => {
          if (!this.#holds(group)) return closed;
          const applied = world.applied(group, this.id);
          return applied < index
            ? { kind: "dropped", why: "deadline" }
            : { kind: "ready", index: LogIndex(applied) };
        }),
      status: (group) => settled(() => (this.#holds(group) ? this.#status(group) : null)),
      statuses: () =>
        settled(() =>
          [...world.groups.keys()].filter((group) => this.#holds(group)).map((group) => this.#status(group)),
        ),
      changeMembership: (group, steps) =>
        settled((): ProposalOutcome => {
          const known = world.group(group);
          if (known.leader !== this.id) return { kind: "notLeader", leader: null };
          if (known.changeOutcome !== null) return known.changeOutcome;
          for (const { kind, node } of steps) {
            const others = known.members.filter((member) => member !== node);
            known.members = kind === "remove" ? others : [...others, node];
          }
          known.entries.push({ key: `change ${known.entries.length}`, data: NO_OPERATIONS });
          const index = LogIndex(known.entries.length);
          return { kind: "applied", term: Term(known.term), index, result: null };
        }),
      transfer: (group, to) =>
        settled(() => {
          if (!world.group(group).members.includes(to)) return `node ${to} is no member`;
          if (world.transferStalls === null) world.lead(group, to);
          else world.transferStalls();
          return null;
        }),
    };
  }

  #status(group: number): GroupStatus {
    const { members, entries, leader, term } = this.#world.group(group);
    const end = LogIndex(entries.length);
    const leads = leader === this.id;
    return {
      group: GroupId(group),
      node: NodeId(this.id),
      state: "running",
      failure: null,
      role: leads ? "leader" : "follower",
      resting: false,
      learner: false,
      term: Term(term),
      leader: leader === null ? null : NodeId(leader),
      commit: end,
      applied: LogIndex(this.#world.applied(group, this.id)),
      durable: end,
      firstIndex: LogIndex(1),
      lastIndex: end,
      logBytes: 0,
      applyLagEntries: 0,
      applyLagBytes: 0,
      proposalsWaiting: 0,
      conf: {
        voters: members.map(NodeId),
        votersOutgoing: [],
        learners: [],
        learnersNext: [],
        autoLeave: false,
      },
      peers: leads
        ? members
            .filter((node) => node !== this.id)
            .map((node) => ({
              node: NodeId(node),
              match: end,
              state: "replicate",
              learner: false,
              recentlyActive: !this.#world.silent.has(node),
            }))
        : [],
    };
  }
}
