/**
 * The composition root. Ownership reads downwards: what stands lower uses what stands above it, and shutdown is the
 * same lines read upwards.
 */
import { randomUUID } from "node:crypto";
import { statfsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { AdminService } from "./api/admin-service.ts";
import { ApiError } from "./api/errors.ts";
import { LoadShedder } from "./api/load-shedder.ts";
import { VectorService } from "./api/vector-service.ts";
import { Quotas } from "./api/quotas.ts";
import { Access, type AccessEvents } from "./auth/access.ts";
import { checkFree, named } from "./bind.ts";
import { Catalogue } from "./catalog/catalogue.ts";
import { Controller } from "./catalog/controller.ts";
import { ClusterRouter } from "./cluster/cluster-router.ts";
import { countedEngines, countedPeers } from "./cluster/counted-reads.ts";
import { NodeCallsClient } from "./cluster/node-calls/client.ts";
import type { NodeCallHandlers } from "./cluster/node-calls/contract.ts";
import { NodeCallsServer } from "./cluster/node-calls/server.ts";
import type { NodeCallsEvent } from "./cluster/node-calls/wire.ts";
import { PlacementLoop } from "./cluster/placement-loop.ts";
import { ReadQueues } from "./cluster/read-queues.ts";
import { Roles } from "./cluster/roles.ts";
import type { NodeStatus } from "./cluster/types.ts";
import { DataDirectory } from "./config/data-directory.ts";
import { addressesOf, splitAddress } from "./config/load.ts";
import type { Config } from "./config/options.ts";
import { Desk, type RunCommand } from "./desk.ts";
import { encodeEntry } from "./engine/ops-codec.ts";
import { serveGrpc } from "./grpc/server.ts";
import { buildFacts, programVersion } from "./observability/build-facts.ts";
import { createLog, type Log } from "./observability/log.ts";
import { NodeMetrics } from "./observability/node-metrics.ts";
import { announceAddresses, openCatalogue, takePlace } from "./place.ts";
import { limitFirstFrames } from "../shards/adapters.ts";
import { consensusClient, engineClient } from "./threads/clients.ts";
import { reportDelay } from "./threads/delay.ts";
import { consensusHandlers, reportHandlers } from "./threads/front-handlers.ts";
import { shardActions } from "./threads/shard-actions.ts";
import { Threads, type ConsensusRpc } from "./threads/start.ts";
import { peerProof } from "./threads/peer-proof.ts";
import { consensusLimits, engineSettings } from "./threads/settings.ts";
import { ESSENTIAL } from "./threads/rpc.ts";
import { grpcTls, peerTls } from "./threads/tls.ts";

/** The catalogue's own group. */
const CATALOGUE = 0;
/** Longest a command of the cluster itself may take; the next round of whoever gave it tries again. */
const COMMAND_MS = 5_000;
/** Largest gRPC message in either direction: the largest answer of one shard, and room. */
const GRPC_MESSAGE_BYTES = 128 * 2 ** 20;

export interface DaemonParts {
  /** The `ready` line, once the node serves. */
  readonly announce: (line: string) => void;
  /** Aborts with the wish to end: everything in flight is finished first. */
  readonly stop: AbortSignal;
}

/**
 * Runs a node until it is told to stop. Resolves after an orderly end; throws what made the start or the run
 * impossible, after undoing what was started.
 */
export async function runDaemon(config: Config, { announce, stop }: DaemonParts): Promise<void> {
  const startedAt = new Date().toISOString();
  const log = createLog(config.logging);
  const failed = new Failure();

  using data = DataDirectory.open(config.node.dataDir, config.node.id);
  const catalogue = Catalogue.open(data.catalogueFile);

  const roles = new Roles(() => data.identity?.nodeId ?? null);
  const metrics = new NodeMetrics();
  using quotas = new Quotas({ ...config.quota, directory: config.node.dataDir });
  await quotas.look();
  using access = new Access(config, {
    quotas,
    events: accessEvents(log),
    nowMs: () => Date.now(),
    steadyMs: () => performance.now(),
  });
  metrics.watchAccess({ audit: access.audit, tls: access.tls, quotas });
  const busy = new Map<number, string>();
  const front = {
    catalogue,
    roles,
    metrics,
    log,
    busy,
    isDiskFull: () => isFull(config.node.dataDir),
    fatal: (why: string) => failed.because(new Error(why)),
  };
  await using threads: Threads = new Threads(
    {
      engineThreads: config.engine.threads ?? Math.max(1, availableParallelism() - 1),
      callsMax: config.queue.calls,
      engine: engineSettings(config),
    },
    {
      fromConsensus: consensusHandlers({
        ...front,
        consensus: (): ConsensusRpc => threads.consensus,
        peerCall: (name, body) => desk.answer(name, body),
      }),
      fromEngine: reportHandlers(front),
      died: (error) => failed.because(error),
    },
  );
  // While the other threads start, not before them.
  const loading = frontEnds();
  using _delay = reportDelay("front", { send: (report) => metrics.thread(report), waiting: () => 0 });

  const addresses = addressesOf(config);
  // Before anybody is asked for a place: who cannot serve would stay behind as a member that is not there.
  await failed.orDone(checkFree({ "grpc.addr": addresses.grpc, "http.addr": addresses.http }));
  const peerBound = await failed.orDone(
    named("cluster.peer_addr", addresses.peer, () =>
      threads.consensus.call("listen", {
        address: addresses.peer,
        secret: config.cluster.secret,
        tls: access.tls === null ? null : peerTls(access.tls.value),
        stagingPath: data.incomingPath,
        snapshotBytesPerSecond: config.cluster.snapshotBytesPerS,
      }),
    ),
  );
  access.tls?.onChange((material) => {
    threads.consensus.notify("replaceTls", peerTls(material));
    log.info({ notAfter: new Date(material.notAfterMs).toISOString() }, "certificate replaced");
  });
  const peer = config.cluster.advertisePeer ?? peerBound;
  const desk = new Desk({ data, roles, catalogue });
  const place = await failed.orDone(
    takePlace(config, { data, catalogue, consensus: threads.consensus, peer, log, stop }),
  );
  const { nodeId, clusterId } = place.identity;
  await failed.orDone(
    threads.consensus.call("start", {
      raftFile: data.raftFile,
      nodeId,
      clusterId,
      incarnation: data.incarnation,
      advertise: peer,
      limits: consensusLimits(config),
    }),
  );
  const followNodes = (): void => {
    const nodes = catalogue.nodes();
    const known = nodes.map((node) => ({
      node: node.nodeId,
      address: node.peer,
      incarnation: node.incarnation,
    }));
    threads.consensus.notify("setPeers", nodes.length === 0 ? place.members : known);
  };
  followNodes();
  catalogue.onChange(followNodes);
  await failed.orDone(
    openCatalogue(threads.consensus, { catalogue, roles, place, openMs: config.catalogue.openMs, stop }),
  );

  const controller = new Controller(
    { nodeId },
    {
      actions: shardActions({ openMs: config.catalogue.openMs }, { threads, roles, data }),
      events: {
        opened: ({ collection, shard, group }, ms) =>
          log.info({ collection, shard, group, ms: Math.round(ms) }, "shard serves"),
        removed: (group) => log.info({ group }, "shard removed"),
        restarting: ({ collection, shard, group }) =>
          log.info({ collection, shard, group }, "shard restarts, as asked"),
        failed: (group, doing, error) => log.error({ group, error: error.message }, `cannot ${doing} shard`),
      },
    },
  );
  catalogue.onChange(() => controller.follow(catalogue.collections()));

  const life = { serving: false };
  const node = (): NodeStatus => ({
    nodeId,
    clusterId,
    version: programVersion(),
    startedAt,
    ready:
      life.serving &&
      controller.problems().length === 0 &&
      stoppedShards(controller, roles).length === 0 &&
      !isDrained(nodeId, catalogue, controller),
    notes: [
      ...(life.serving ? [] : ["starting or stopping"]),
      ...(isLeaving(nodeId, catalogue)
        ? ["this node leaves the cluster: stop it once /nodes lists it no more"]
        : []),
      ...controller.problems(),
      ...stoppedShards(controller, roles),
      ...busyShards(controller, { busy, roles }),
      ...access.guard.notes(),
    ],
    catalogue: {
      leader: roles.of(CATALOGUE).leader,
      term: roles.of(CATALOGUE).term,
      applied: catalogue.applied,
    },
    build: buildFacts(),
  });
  const consensus = consensusClient(threads);
  const proof = peerProof({
    secret: config.cluster.secret ?? "",
    cluster: clusterId,
    node: nodeId,
    incarnation: data.incarnation,
  });
  const onEvent = (event: NodeCallsEvent): void => log.debug(event, "calls between nodes");
  const tls = access.tls === null ? null : grpcTls(access.tls);
  using peers = new NodeCallsClient(
    { nodeId },
    { proof, onEvent, ...(tls === null ? {} : { credentials: tls.client() }) },
  );
  const followPeers = (): void => peers.setNodes(catalogue.nodes().filter(({ grpc }) => grpc !== ""));
  followPeers();
  catalogue.onChange(followPeers);
  const reads = new ReadQueues(
    { max: config.http.readQueueMax, overloaded: config.http.readQueueOverloaded },
    { nowMs: () => performance.now(), look: (thread) => threads.engines[thread]?.look() },
  );
  catalogue.onChange(() => reads.retain(catalogue.collections().flatMap(groupsOf)));
  metrics.watchReads(() => reads.threads());
  const cluster = new ClusterRouter(
    {
      nodeId,
      run: `${nodeId}-${randomUUID()}`,
      entryBytes: config.limits.entryBytes,
      metadataBytesMax: config.limits.metadataBytes,
      collectionsMax: config.limits.collections,
      writeBytesMax: config.queue.writeBytes,
      timeoutMs: config.http.deadlineMaxMs,
    },
    {
      catalogue,
      controller,
      consensus,
      engines: countedEngines(engineClient(threads), reads, (group) => threads.engineIndexOf(group)),
      peers: countedPeers(peers, reads),
      roles,
      node,
      encode: (key, operations) => encodeEntry({ ...key, operations }),
      guard: access.guard,
    },
  );
  metrics.watch({
    cluster,
    writeBytes: () => cluster.writeBytesInFlight,
    groups: async () => {
      const places = new Map(controller.places().map((place) => [place.group, place]));
      return (await consensus.statuses()).flatMap((status) => {
        const { collection, shard } = places.get(status.group) ?? { collection: "catalogue", shard: 0 };
        return status.group === CATALOGUE || places.has(status.group) ? [{ collection, shard, status }] : [];
      });
    },
    threads: () => [
      { thread: "consensus", inFlight: threads.consensus.inFlight },
      ...threads.engines.map(({ inFlight }, at) => ({ thread: `engine-${at}`, inFlight })),
    ],
  });

  const command: RunCommand = async (what) =>
    await cluster.command(what, { signal: AbortSignal.timeout(COMMAND_MS) });
  desk.open(command);
  const handlers: NodeCallHandlers = {
    ...cluster.handlers,
    // A node that ends says nothing of what it holds: it counts as away, and nobody hands it a leadership.
    groups: (request, context) =>
      stop.aborted
        ? Promise.reject(new ApiError("NOT_READY", "Service unavailable: this node is stopping"))
        : cluster.handlers.groups(request, context),
  };
  using nodeCalls = new NodeCallsServer({}, { proof, handlers, onEvent, limitFirstFrames });
  const service = new VectorService(
    { limits: config.limits, redirectWrites: config.routing.writes === "redirect" },
    { cluster },
  );
  const admin = new AdminService({ limits: config.limits }, { admin: cluster, node });
  using shedder = new LoadShedder(config.http, {
    isBusy: (name) => reads.refuses(catalogue.resolve(name)?.shards ?? []),
    shed: (reason) => metrics.metrics.count("flotilla_requests_shed_total", 1, { reason }),
  });
  shedder.start();
  const { GrpcApi, serveHttp } = await loading;
  using grpcApi = new GrpcApi({
    service,
    admin,
    authenticator: access.authenticator,
    guard: access.guard,
    shedder,
    deadlines: config.http,
    limitFirstFrames,
    observe: (observation) => metrics.http(observation),
    defect: (error, call) => log.error({ err: error, ...call }, "call failed by a defect"),
  });
  const grpc = await named("grpc.addr", addresses.grpc, () =>
    serveGrpc({
      ...splitAddress(addresses.grpc),
      messageBytesMax: GRPC_MESSAGE_BYTES,
      interceptors: grpcApi.interceptors,
      ...(tls === null ? {} : { credentials: tls.server({ verifyClients: config.tls.verifyClients }) }),
      services: [(server) => nodeCalls.addTo(server), (server) => grpcApi.addTo(server)],
    }),
  );
  const http = await named("http.addr", addresses.http, () =>
    serveHttp({
      service,
      admin,
      authenticator: access.authenticator,
      guard: access.guard,
      shedder,
      tls: access.tls === null ? null : { files: access.tls, verifyClients: config.tls.verifyClients },
      listen: splitAddress(addresses.http),
      http: config.http,
      observe: (observation) => metrics.http(observation),
      metricsText: () => metrics.metrics.text(),
      log,
    }),
  );
  try {
    const advertised = {
      peer,
      grpc: config.cluster.advertiseGrpc ?? grpc.address,
      http: config.cluster.advertiseHttp ?? http.address,
    };
    await failed.orDone(
      announceAddresses(advertised, {
        nodeId,
        incarnation: data.incarnation,
        catalogue,
        consensus: threads.consensus,
        members: place.members,
        answer: (name, body) => desk.answer(name, body),
        removed: (error) => failed.because(error),
        log,
        stop,
      }),
    );
    await failed.orDone(controller.start(() => catalogue.collections()));
    using placement = new PlacementLoop(
      { nodeId, everyMs: config.cluster.controlMs, replaceAfterMs: config.cluster.replaceAfterMs },
      {
        catalogue,
        leads: () => roles.leads(CATALOGUE),
        ask: (node, method, request, timeoutMs) => cluster.ask(node, method, request, timeoutMs),
        command,
        decided: (decision) => log.info(decision, "placement"),
        diverged: (divergence) => {
          const at = placeOf(catalogue, divergence);
          metrics.diverged(at);
          log.error({ ...divergence, ...at }, "replica diverged: it serves no more and is made anew");
        },
        failed: (decision, error) => log.warn({ decision, error: error.message }, "placement failed"),
        nowMs: () => performance.now(),
      },
    );
    catalogue.onChange(() => placement.nudge());
    life.serving = true;
    announce(`ready http=${http.address} grpc=${grpc.address} peer=${peerBound} node=${nodeId}`);
    await failed.orDone(aborted(stop));
    log.info({ drainMs: config.shutdown.drainMs }, "stopping: handing over, finishing what is in flight");
    await failed.orDone(
      threads.consensus.call("handOver", { timeoutMs: config.shutdown.handOverMs }, ESSENTIAL),
    );
  } finally {
    life.serving = false;
    const drainMs = failed.error === null ? config.shutdown.drainMs : 0;
    grpcApi[Symbol.dispose]();
    await http.close({ drainMs });
    nodeCalls[Symbol.dispose]();
    await grpc.close({ drainMs });
  }
  // The groups first, so that nothing is handed to engines that are closing; then the engines save what they hold.
  await failed.orDone(controller.settled());
  await failed.orDone(threads.consensus.call("close", null, ESSENTIAL));
  await failed.orDone(Promise.all(threads.engines.map((engine) => engine.call("close", null, ESSENTIAL))));
  log.info("stopped");
}

/** Loading them takes as long as the other threads' start. */
async function frontEnds() {
  const [{ serveHttp }, { GrpcApi }] = await Promise.all([
    import("./http/server.ts"),
    import("./grpc/api.ts"),
  ]);
  return { serveHttp, GrpcApi };
}

const accessEvents = (log: Log): AccessEvents => ({
  fileTrouble: (error) => log.error({ error: error.message }, "a changed file is not used"),
  keysReplaced: (keys) => log.info({ keys }, "keys of tokens replaced"),
  audit: (failure) =>
    failure === null
      ? log.info("the audit log is written again")
      : log.error({ error: failure.message }, "the audit log cannot be written"),
});

/** The first thing that made going on impossible: whatever is being waited for ends with it. */
class Failure {
  error: Error | null = null;
  #reject: (error: Error) => void = () => undefined;
  readonly #happened: Promise<never>;

  constructor() {
    this.#happened = new Promise<never>((_, reject) => (this.#reject = reject));
    // It may happen while nobody waits; then it is found in `error`.
    this.#happened.catch((error: Error) => (this.error ??= error));
  }
  because(error: Error): void {
    this.error ??= error;
    this.#reject(error);
  }
  async orDone<T>(work: Promise<T>): Promise<T> {
    return await Promise.race([work, this.#happened]);
  }
}

/** What a group is called outside; a collection that was deleted meanwhile has no name any more. */
function placeOf(
  catalogue: Catalogue,
  { group, node }: { readonly group: number; readonly node: number },
): { readonly collection: string; readonly shard: number; readonly node: number } {
  for (const { name, shards } of catalogue.collections()) {
    const shard = shards.find((known) => known.group === group);
    if (shard !== undefined) return { collection: name, shard: shard.shard, node };
  }
  return { collection: "", shard: 0, node };
}

const groupsOf = ({ shards }: { readonly shards: readonly { readonly group: number }[] }): number[] =>
  shards.map(({ group }) => group);

function isLeaving(nodeId: number, catalogue: Catalogue): boolean {
  return catalogue.node(nodeId)?.state === "leaving";
}

/** It leaves and holds nothing any more: from some moment on it hears of nothing that changes in the cluster. */
function isDrained(nodeId: number, catalogue: Catalogue, controller: Controller): boolean {
  return isLeaving(nodeId, catalogue) && controller.places().length === 0;
}

/** Those whose group takes no part any more: they serve again after a restart, of the shard or of the node. */
function stoppedShards(controller: Controller, roles: Roles): readonly string[] {
  return controller.places().flatMap(({ group, shard, collection }) => {
    const { stopped } = roles.of(group);
    return stopped === null ? [] : [`shard ${shard} of collection ${collection} stopped: ${stopped.why}`];
  });
}

function busyShards(
  controller: Controller,
  { busy, roles }: { readonly busy: ReadonlyMap<number, string>; readonly roles: Roles },
): readonly string[] {
  return controller.places().flatMap(({ group, shard, collection }) => {
    const what = busy.get(group);
    // Why it stopped is said already.
    if (what === undefined || roles.of(group).stopped !== null) return [];
    return [`shard ${shard} of collection ${collection}: ${what}`];
  });
}

/** Less is left than one entry of the log may take (16 MiB): what one shard lacks, the next one lacks as well. */
function isFull(directory: string): boolean {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize < 16 * 2 ** 20;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
