import { ApiError } from "../api/errors.ts";
import { requestController } from "../api/request-signal.ts";
import type { CatalogueCommand } from "../catalog/commands.ts";
import type { Controller } from "../catalog/controller.ts";
import type { CatalogueCollection, CatalogueOutcome } from "../catalog/types.ts";
import { CallerCheck, type ChangeGuard } from "./caller-check.ts";
import { CommandPath } from "./command-path.ts";
import { chooseFounders } from "./founders.ts";
import { Leaders } from "./leaders.ts";
import { LocalReplica } from "./local-replica.ts";
import type { NodeCallHandlers, NodeMethod, ReplyOf, RequestOf } from "./node-calls/contract.ts";
import { groupReports, handOver, nodeHandlers } from "./node-handlers.ts";
import { noLeader } from "./outcomes.ts";
import { Placements, type CatalogueView } from "./placements.ts";
import type { Consensus, Engines, Peers } from "./ports.ts";
import { Proposer } from "./proposer.ts";
import { ReadPath } from "./read-path.ts";
import { ReplicaReads } from "./replica-reads.ts";
import { restartHere, restartReplica } from "./restarts.ts";
import type { Roles } from "./roles.ts";
import { survey } from "./survey.ts";
import { systemTimers, type Timers } from "./timers.ts";
import { elsewhere, leaderStatus, nodeViews, ownShard, shardView, type Reports } from "./views.ts";
import { placementOf, VoterChanges } from "./voter-changes.ts";
import { Writable } from "./writable.ts";
import { within } from "./within.ts";
import { WritePath, type EncodeEntry } from "./write-path.ts";
import type {
  Alias,
  AliasAction,
  CallOptions,
  Cluster,
  ClusterAdmin,
  CollectionInfo,
  CollectionPatch,
  LeaderView,
  NewCollection,
  NodeStatus,
  NodeView,
  PayloadSelector,
  PointId,
  ReadOptions,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
  ShardStatus,
  ShardView,
  StoredPoint,
  VoterOptions,
  WriteOp,
  WriteOptions,
  WriteReceipt,
} from "./types.ts";

export interface ClusterRouterOptions {
  readonly nodeId: number;
  /** Names this run of the process in log entries: unique for ever. */
  readonly run: string;
  /** `limits.entry_bytes` */
  readonly entryBytes: number;
  /** `limits.collections` */
  readonly collectionsMax: number;
  /** `limits.metadata_bytes` */
  readonly metadataBytesMax: number;
  /** `queue.write_bytes` */
  readonly writeBytesMax: number;
  /** Bounds waits whose request has no end of its own. */
  readonly timeoutMs: number;
  /** Longest search for a shard's leader. Default 10 s: many elections long. */
  readonly leaderMs?: number;
  /** A replica's share of a read's deadline while there are others to ask. Default 1 s. */
  readonly tryMs?: number;
}

export interface ClusterRouterParts {
  readonly catalogue: CatalogueView;
  readonly controller: Pick<Controller, "isOpen" | "error" | "closed" | "places" | "restart">;
  readonly consensus: Consensus;
  readonly engines: Engines;
  readonly peers: Peers;
  readonly roles: Roles;
  readonly encode: EncodeEntry;
  readonly node: () => NodeStatus;
  readonly timers?: Timers;
  /** Milliseconds since 1970, for tokens that end. Default the system's clock. */
  readonly nowMs?: () => number;
  /** Looks at changes that other nodes forward as the front-ends look at their own. */
  readonly guard?: ChangeGuard;
}

/** How long other nodes are given to follow the catalogue before a command's answer. */
const FOLLOW_MS = 1_000;

/**
 * The cluster as any one of its nodes serves it: reads only its own copy of the catalogue, does itself what it holds
 * the replicas for, and asks other nodes for the rest.
 */
export class ClusterRouter implements Cluster, ClusterAdmin {
  /** What this node answers to others. */
  readonly handlers: NodeCallHandlers;
  readonly #options: ClusterRouterOptions;
  readonly #parts: ClusterRouterParts;
  readonly #leaders: Leaders;
  readonly #commands: CommandPath;
  readonly #writes: WritePath;
  readonly #reads: ReadPath;
  readonly #writable: Writable;
  readonly #voters: VoterChanges;
  readonly #restart: (group: number, signal: AbortSignal) => Promise<void>;
  readonly #survey: (signal: AbortSignal) => Promise<Reports>;

  constructor(options: ClusterRouterOptions, parts: ClusterRouterParts) {
    this.#options = options;
    this.#parts = parts;
    const { nodeId, timeoutMs, run, leaderMs = 10_000, tryMs = 1_000 } = options;
    const { catalogue, consensus, engines, peers, roles, controller, timers = systemTimers } = parts;
    const placements = new Placements(catalogue);
    const { replicasOf } = placements;
    const nodes = (): readonly number[] => placements.nodeIds();
    const leaders = new Leaders({ nodeId }, { roles, peers, replicasOf, timers });
    const local = new LocalReplica({ consensus, shards: controller, roles });
    const proposer = new Proposer(
      { nodeId, timeoutMs, leaderMs },
      {
        consensus,
        peers,
        roles,
        leaders,
        timers,
        appliedHere: (group, index) => local.sawApplied(group, index),
      },
    );
    const replicas = new ReplicaReads(
      { nodeId, timeoutMs, tryMs, leaderMs },
      { local, leaders, replicasOf, timers },
    );
    const reopening = { ...parts, nodeId, timers, reopen: (at: number) => controller.restart(at) };
    this.#restart = (group, signal) => restartHere(reopening, { group, signal });
    const { guard = null, nowMs = () => Date.now() } = parts;
    const callers = new CallerCheck({ placements, catalogue, guard, nowMs });
    const serving = { ...parts, nodeId, timers, local, shards: controller, restart: this.#restart, callers };
    this.handlers = nodeHandlers(serving);
    this.#leaders = leaders;
    this.#commands = new CommandPath(
      { nodeId, run, followMs: FOLLOW_MS },
      { proposer, consensus, peers, nodes },
    );
    this.#writes = new WritePath(
      { run, entryBytes: options.entryBytes, bytesMax: options.writeBytesMax },
      { proposer, encode: parts.encode },
    );
    this.#reads = new ReadPath({ engines, peers, replicas });
    this.#writable = new Writable(
      { nodeId, tryMs },
      { consensus, peers, leaders, replicasOf, shards: controller },
    );
    this.#survey = (signal) =>
      survey({ nodeId, peers, nodes, here: (until) => groupReports(serving, until) }, signal);
    this.#voters = new VoterChanges({
      nodeId,
      commands: this.#commands,
      consensus,
      peers,
      leaders,
      roles,
      survey: this.#survey,
      node: (id) => catalogue.node(id),
      collection: (name) => this.#collection(name),
      handOver: (group, to, signal) => handOver(serving, { group, to, timeoutMs, signal }),
      timeoutMs,
    });
  }

  /** For metrics: bytes of writes that have no outcome yet. */
  get writeBytesInFlight(): number {
    return this.#writes.bytesInFlight;
  }

  // ------------------------------------------------------------------------------------------------- the catalogue

  collections(): readonly CollectionInfo[] {
    return this.#parts.catalogue.collections();
  }
  /** By its name or an alias. */
  collection(name: string): CollectionInfo | null {
    return this.#parts.catalogue.resolve(name);
  }

  async createCollection(collection: NewCollection, options: CallOptions): Promise<CollectionInfo> {
    const { signal } = options;
    const { catalogue, peers } = this.#parts;
    const isUp = (node: number): boolean => node === this.#options.nodeId || peers.stateOf(node) === "open";
    const placement = chooseFounders(collection, catalogue.nodes(), catalogue.collections(), isUp);
    if (placement.some((founders) => founders.length === 0)) {
      throw new ApiError("NOT_READY", "Service unavailable: no active node is registered yet", {
        retryAfter: 1,
      });
    }
    const { collectionsMax } = this.#options;
    const made = await this.#commands.onCollection(
      { kind: "createCollection", collection, placement, collectionsMax },
      options,
    );
    await this.#writable.wait(made, signal);
    await this.#commands.everywhere(signal);
    return made;
  }

  async updateCollection(
    name: string,
    patch: CollectionPatch,
    options: CallOptions,
  ): Promise<CollectionInfo> {
    const { metadataBytesMax } = this.#options;
    const known = this.#collection(name).name;
    return await this.#commands.onCollection(
      { kind: "updateCollection", name: known, patch, metadataBytesMax },
      options,
    );
  }

  async deleteCollection(name: string, options: CallOptions): Promise<boolean> {
    const { signal } = options;
    let gone: CatalogueCollection;
    try {
      gone = await this.#commands.onCollection({ kind: "deleteCollection", name }, options);
    } catch (error) {
      if (error instanceof ApiError && error.code === "COLLECTION_NOT_FOUND") return false;
      throw error;
    }
    const groups = gone.shards.map(({ group }) => group);
    await within(this.#parts.controller.closed(groups), signal);
    await this.#commands.everywhere(signal);
    return true;
  }

  aliases(): readonly Alias[] {
    return this.#parts.catalogue.aliases();
  }
  async changeAliases(actions: readonly AliasAction[], options: CallOptions): Promise<void> {
    await this.#commands.carryOut({ kind: "changeAliases", actions }, options);
    await this.#commands.everywhere(options.signal);
  }

  /** A command of the cluster itself; a refusal by the catalogue is an outcome here, not an error. */
  async command(command: CatalogueCommand, options: CallOptions): Promise<CatalogueOutcome> {
    return await this.#commands.outcomeOf(command, options);
  }

  // --------------------------------------------------------------------------------------------------------- points

  async write(name: string, operations: readonly WriteOp[], options: WriteOptions): Promise<WriteReceipt> {
    const collection = this.#collection(name);
    if (options.redirect === true) await this.#checkLeads(collection, options.signal);
    try {
      return await this.#writes.write(collection, operations, options);
    } catch (error) {
      throw this.#ifGone(collection, error);
    }
  }

  async search(
    name: string,
    queries: readonly SearchQuery[],
    options: ReadOptions,
  ): Promise<readonly (readonly ScoredPoint[])[]> {
    return await this.#read(name, (collection) => this.#reads.search(collection, queries, options));
  }
  async retrieve(
    name: string,
    ids: readonly PointId[],
    shape: { readonly withPayload: PayloadSelector; readonly withVector: boolean },
    options: ReadOptions,
  ): Promise<readonly StoredPoint[]> {
    return await this.#read(name, (collection) => this.#reads.retrieve(collection, ids, shape, options));
  }
  async scroll(
    name: string,
    page: {
      readonly from: PointId | null;
      readonly limit: number;
      readonly withPayload: PayloadSelector;
      readonly withVector: boolean;
    },
    options: ReadOptions,
  ): Promise<ScrollPage> {
    return await this.#read(name, (collection) => this.#reads.scroll(collection, page, options));
  }
  async count(name: string, options: ReadOptions): Promise<number> {
    return await this.#read(name, (collection) => this.#reads.count(collection, options));
  }

  // ------------------------------------------------------------------------------------------- what an operator sees

  node(): NodeStatus {
    return this.#parts.node();
  }

  async nodes({ signal }: CallOptions): Promise<readonly NodeView[]> {
    const reports = await this.#survey(signal);
    const { catalogue } = this.#parts;
    return nodeViews(catalogue.nodes(), catalogue.collections(), reports);
  }
  async removeNode(nodeId: number, options: CallOptions): Promise<void> {
    await this.#commands.carryOut({ kind: "leaveNode", nodeId }, options);
  }

  async shardViews(name: string, { signal }: CallOptions): Promise<readonly ShardView[]> {
    const reports = await this.#survey(signal);
    return this.#collection(name).placement.map((placement) => shardView(placement, reports));
  }

  /** The replicas on this node; of a shard it does not hold, who leads it. */
  async shards(name: string, { signal }: CallOptions): Promise<readonly ShardStatus[]> {
    const { nodeId } = this.#options;
    const { shards } = this.#collection(name);
    const serving = { ...this.#parts, nodeId, shards: this.#parts.controller };
    const { groups } = await groupReports(
      serving,
      signal,
      shards.map(({ group }) => group),
    );
    const reports = new Map(groups.map((report) => [report.group, report]));
    return shards.map(({ shard, group }) => {
      const report = reports.get(group) ?? null;
      return ownShard({ shard, group, node: nodeId, leader: this.#leaders.of(group) }, report);
    });
  }

  async overview(name: string, { signal }: CallOptions): Promise<readonly ShardStatus[]> {
    const own = await this.shards(name, { signal });
    if (own.every(({ engine }) => engine !== null)) return own;
    const reports = await this.#survey(signal);
    return own.map((shard) => (shard.engine === null ? (elsewhere(shard, reports) ?? shard) : shard));
  }

  async addVoter(name: string, shard: number, nodeId: number, options: VoterOptions): Promise<void> {
    await this.#voters.add(name, shard, nodeId, options);
  }
  async removeVoter(name: string, shard: number, nodeId: number, options: VoterOptions): Promise<void> {
    await this.#voters.remove(name, shard, nodeId, options);
  }
  async transferLeader(name: string, shard: number, nodeId: number, options: CallOptions): Promise<void> {
    await this.#voters.transfer(name, shard, nodeId, options);
  }
  async restartReplica(
    name: string,
    shard: number,
    node: number | null,
    options: CallOptions,
  ): Promise<void> {
    const placement = placementOf(this.#collection(name), shard);
    const parts = { ...this.#options, peers: this.#parts.peers, here: this.#restart };
    await restartReplica(parts, { placement, node }, options);
  }

  leaderOf(name: string, shard: number): LeaderView | null {
    const { catalogue, roles } = this.#parts;
    const group = catalogue.resolve(name)?.shards[shard]?.group;
    const leader = group === undefined ? null : this.#leaders.of(group);
    const node = leader === null ? null : catalogue.node(leader);
    if (group === undefined || node === null) return null;
    return { nodeId: node.nodeId, http: node.http, grpc: node.grpc, term: roles.of(group).term };
  }

  /** Asks any node, this one included, as the controller does. */
  async ask<M extends NodeMethod>(
    node: number,
    method: M,
    request: RequestOf<M>,
    timeoutMs: number,
  ): Promise<ReplyOf<M>> {
    const late = requestController();
    const { timers = systemTimers, peers } = this.#parts;
    const { nodeId } = this.#options;
    if (node !== nodeId) return await peers.call(node, method, request, { timeoutMs, signal: late.signal });
    const stopTimer = timers.after(timeoutMs, () => late.abort(new Error(`${method} took too long`)));
    try {
      return await this.handlers[method](request, { signal: late.signal, from: nodeId });
    } finally {
      stopTimer();
    }
  }

  // ---------------------------------------------------------------------------------------------------------- shared

  #collection(name: string): CatalogueCollection {
    const found = this.#parts.catalogue.resolve(name);
    if (found !== null) return found;
    throw new ApiError("COLLECTION_NOT_FOUND", `Not found: Collection \`${name}\` doesn't exist!`);
  }

  async #read<T>(name: string, ask: (collection: CatalogueCollection) => Promise<T>): Promise<T> {
    const collection = this.#collection(name);
    try {
      return await ask(collection);
    } catch (error) {
      throw this.#ifGone(collection, error);
    }
  }

  async #checkLeads(collection: CatalogueCollection, signal: AbortSignal): Promise<void> {
    for (const place of collection.shards) {
      if (this.#parts.roles.leads(place.group)) continue;
      let known = this.leaderOf(collection.name, place.shard);
      // Without a replica here, only the leader itself can say its term.
      if (known === null || known.term === 0) {
        const lead = leaderStatus(place.group, await this.#survey(signal));
        this.#leaders.learned(place.group, lead?.node ?? null);
        known = this.leaderOf(collection.name, place.shard);
        if (known !== null && lead !== null && known.nodeId === lead.node)
          known = { ...known, term: lead.term };
      }
      const leader = known;
      if (leader === null || leader.nodeId === this.#options.nodeId) throw noLeader(place);
      const message = `Not the leader: node ${leader.nodeId} leads shard ${place.shard}`;
      throw new ApiError("NOT_LEADER", message, { leader, shard: place.shard });
    }
  }

  /** A shard that is being closed fails in many ways; when its collection was deleted meanwhile, that is why. */
  #ifGone(collection: CatalogueCollection, error: unknown): unknown {
    const closed = error instanceof ApiError && (error.code === "NOT_READY" || error.code === "NO_LEADER");
    if (!closed || this.#parts.catalogue.collection(collection.name)?.id === collection.id) return error;
    return new ApiError(
      "COLLECTION_NOT_FOUND",
      `Not found: Collection \`${collection.name}\` doesn't exist!`,
      {},
      { cause: error },
    );
  }
}
