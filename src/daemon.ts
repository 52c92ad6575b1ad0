/**
 * The composition root. Ownership reads downwards: what stands lower uses what stands above it, and shutdown is the
 * same lines read upwards.
 */
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { VectorService } from "./api/vector-service.ts";
import { Authenticator } from "./auth/authenticator.ts";
import { Catalogue } from "./catalog/catalogue.ts";
import { Controller } from "./catalog/controller.ts";
import { LocalCluster } from "./cluster/local-cluster.ts";
import { Roles } from "./cluster/roles.ts";
import type { NodeStatus } from "./cluster/types.ts";
import { DataDirectory } from "./config/data-directory.ts";
import { ConfigError, splitAddress } from "./config/load.ts";
import type { Config } from "./config/options.ts";
import { encodeEntry } from "./engine/ops-codec.ts";
import { serveHttp } from "./http/server.ts";
import { buildFacts, programVersion } from "./observability/build-facts.ts";
import { createLog, type Log } from "./observability/log.ts";
import { NodeMetrics } from "./observability/node-metrics.ts";
import { consensusClient, engineClient } from "./threads/clients.ts";
import { reportDelay } from "./threads/delay.ts";
import { consensusHandlers, reportHandlers } from "./threads/front-handlers.ts";
import { shardActions } from "./threads/shard-actions.ts";
import { Threads, type ConsensusRpc } from "./threads/start.ts";
import { consensusLimits, engineSettings } from "./threads/settings.ts";

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
  const { nodeId, clusterId } = data.identity;
  const catalogue = Catalogue.open(data.catalogueFile);

  const roles = new Roles(nodeId);
  const metrics = new NodeMetrics();
  const busy = new Map<number, string>();
  const front = {
    catalogue,
    roles,
    metrics,
    log,
    busy,
    fatal: (why: string) => failed.because(new Error(why)),
  };
  await using threads: Threads = new Threads(
    {
      engineThreads: config.engine.threads ?? Math.max(1, availableParallelism() - 1),
      callsMax: config.queue.calls,
      engine: engineSettings(config),
    },
    {
      fromConsensus: consensusHandlers({ ...front, consensus: (): ConsensusRpc => threads.consensus }),
      fromEngine: reportHandlers(front),
      died: (error) => failed.because(error),
    },
  );
  using _delay = reportDelay("front", { send: (report) => metrics.thread(report), waiting: () => 0 });

  await failed.orDone(
    threads.consensus.call("start", {
      raftFile: data.raftFile,
      nodeId,
      clusterId,
      incarnation: data.identity.incarnation,
      limits: consensusLimits(config),
    }),
  );
  await failed.orDone(openCatalogue(threads, catalogue, roles, config.catalogue.openMs));

  const controller = new Controller(
    { nodeId },
    {
      actions: shardActions({ openMs: config.catalogue.openMs }, { threads, roles, data }),
      events: {
        opened: ({ collection, shard, group }, ms) =>
          log.info({ collection, shard, group, ms: Math.round(ms) }, "shard serves"),
        removed: (group) => log.info({ group }, "shard removed"),
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
    ready: life.serving && controller.problems().length === 0,
    notes: [
      ...(life.serving ? [] : ["starting or stopping"]),
      ...controller.problems(),
      ...busyShards(controller, busy),
    ],
    build: buildFacts(),
  });
  const consensus = consensusClient(threads);
  const cluster = new LocalCluster(
    {
      nodeId,
      run: `${nodeId}-${randomUUID()}`,
      entryBytes: config.limits.entryBytes,
      collectionsMax: config.limits.collections,
      writeBytesMax: config.queue.writeBytes,
      timeoutMs: config.http.deadlineMaxMs,
    },
    {
      catalogue,
      controller,
      consensus,
      engines: engineClient(threads),
      roles,
      node,
      encode: (key, operations) => encodeEntry({ origin: "", sequence: 0, ...key, operations }),
    },
  );
  metrics.watch({
    cluster,
    writeBytes: () => cluster.writeBytesInFlight,
    threads: () => [
      { thread: "consensus", inFlight: threads.consensus.inFlight },
      ...threads.engines.map(({ inFlight }, at) => ({ thread: `engine-${at}`, inFlight })),
    ],
  });

  const http = await serve(config, { cluster, metrics, log });
  try {
    await failed.orDone(controller.start(() => catalogue.collections()));
    const [problem] = controller.problems();
    if (problem !== undefined) throw new Error(problem);
    life.serving = true;
    announce(`ready http=${http.address} grpc=- peer=- node=${nodeId}`);
    await failed.orDone(aborted(stop));
    log.info({ drainMs: config.shutdown.drainMs }, "stopping: finishing what is in flight");
  } finally {
    life.serving = false;
    await http.close({ drainMs: failed.error === null ? config.shutdown.drainMs : 0 });
  }
  // The groups first, so that nothing is handed to engines that are closing; then the engines save what they hold.
  await failed.orDone(controller.settled());
  await failed.orDone(threads.consensus.call("close", null));
  await failed.orDone(Promise.all(threads.engines.map((engine) => engine.call("close", null))));
  log.info("stopped");
}

/** Opens group 0 and waits until this node's copy holds everything its log does. */
async function openCatalogue(
  threads: Threads,
  catalogue: Catalogue,
  roles: Roles,
  openMs: number,
): Promise<void> {
  const { consensus } = threads;
  const { firstIndex } = await consensus.call("openGroup", { group: 0, engine: null });
  if (firstIndex > catalogue.applied + 1) {
    throw new ConfigError(
      `catalogue.json ends at entry ${catalogue.applied}, but the log begins at ${firstIndex}: ` +
        "it was removed or is older than raft.db; restore both from one backup",
    );
  }
  await roles.leading(0, AbortSignal.timeout(openMs));
  const outcome = await consensus.call("readIndex", { group: 0, timeoutMs: openMs });
  if (outcome.kind !== "ready") throw new Error(`the catalogue cannot be read: ${JSON.stringify(outcome)}`);
}

async function serve(
  config: Config,
  {
    cluster,
    metrics,
    log,
  }: { readonly cluster: LocalCluster; readonly metrics: NodeMetrics; readonly log: Log },
) {
  try {
    return await serveHttp({
      service: new VectorService({ limits: config.limits }, { cluster }),
      authenticator: new Authenticator(config.auth),
      listen: splitAddress(config.http.addr),
      http: config.http,
      observe: (observation) => metrics.http(observation),
      metricsText: () => metrics.metrics.text(),
      log,
    });
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? ADDRESS_TROUBLE[String(cause.code)] : undefined;
    if (why === undefined) throw cause;
    throw new ConfigError(`http.addr ${config.http.addr} ${why}; choose another --http-addr`, { cause });
  }
}

const ADDRESS_TROUBLE: Readonly<Record<string, string>> = {
  EADDRINUSE: "is taken by another process",
  EACCES: "may not be used by this user",
  EADDRNOTAVAIL: "is not an address of this machine",
  ENOTFOUND: "names no known host",
};

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

function busyShards(controller: Controller, busy: ReadonlyMap<number, string>): readonly string[] {
  return controller.places().flatMap(({ group, shard, collection }) => {
    const what = busy.get(group);
    return what === undefined ? [] : [`shard ${shard} of collection ${collection}: ${what}`];
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
