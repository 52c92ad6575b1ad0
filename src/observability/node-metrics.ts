import type { GroupStatus } from "../../shards/index.ts";
import { ofManyShards } from "../api/request-signal.ts";
import type { Cluster, ShardStatus } from "../cluster/types.ts";
import type { ConsensusSamples, ThreadReport } from "../threads/contracts.ts";
import { Metrics } from "./metrics.ts";
import { Peak } from "./peak.ts";

export interface NamedGroup {
  readonly collection: string;
  readonly shard: number;
  readonly status: GroupStatus;
}

/** How long a late turn stays visible: longer than common scrape intervals leave between two looks. */
const PEAK_MS = 10_000;

/** Turns what threads report and what shards know into metrics. */
export class NodeMetrics {
  readonly metrics = new Metrics();
  readonly #late = new Peak(PEAK_MS);

  http(seen: {
    readonly route: string;
    readonly method: string;
    readonly status: number;
    readonly seconds: number;
  }): void {
    const { route, method, status, seconds } = seen;
    this.metrics.observe("flotilla_http_request_seconds", seconds, { route, method, status });
  }

  thread({ thread, delayP50Ms, delayP99Ms, delayMaxMs, heapBytes, waiting }: ThreadReport): void {
    const { metrics } = this;
    metrics.set("flotilla_event_loop_delay_ms", delayP50Ms, { thread, quantile: "0.5" });
    metrics.set("flotilla_event_loop_delay_ms", delayP99Ms, { thread, quantile: "0.99" });
    metrics.set("flotilla_event_loop_delay_ms", delayMaxMs, { thread, quantile: "1" });
    metrics.set("flotilla_thread_heap_bytes", heapBytes, { thread });
    metrics.set("flotilla_calls_waiting", waiting, { thread });
    if (thread === "consensus") this.#late.add(delayMaxMs);
  }

  consensus(samples: ConsensusSamples): void {
    const { metrics } = this;
    for (const ms of samples.logWriteMs) metrics.observe("flotilla_log_write_ms", ms);
    for (const ms of samples.commitMs) metrics.observe("flotilla_commit_ms", ms);
    for (const ms of samples.applyMs) metrics.observe("flotilla_apply_ms", ms);
    for (const ms of samples.turnMs) metrics.observe("flotilla_consensus_turn_ms", ms);
    for (const ms of samples.lateMs) metrics.observe("flotilla_consensus_turn_late_ms", ms);
    this.#late.add(Math.max(0, ...samples.lateMs));
    metrics.count("flotilla_log_entries_total", samples.entries);
    metrics.count("flotilla_log_bytes_total", samples.bytes);
    metrics.count("flotilla_log_compactions_total", samples.compactions);
    metrics.count("flotilla_elections_total", samples.elections);
    for (const [outcome, count] of Object.entries(samples.proposals))
      metrics.count("flotilla_proposals_total", count, { outcome });
    for (const [why, count] of Object.entries(samples.dropped))
      metrics.count("flotilla_messages_dropped_total", count, { why });
    for (const { group, direction, bytes, total } of samples.snapshots) {
      metrics.set("flotilla_snapshot_bytes", bytes, { group, direction, part: "done" });
      metrics.set("flotilla_snapshot_bytes", total, { group, direction, part: "total" });
    }
    metrics.set("flotilla_proposals_queued", samples.queued);
    metrics.set("flotilla_apply_lag_entries", samples.lagEntries);
    metrics.set("flotilla_apply_lag_bytes", samples.lagBytes);
  }

  /** An alarm: replicas apply the same entries, so one of them was damaged. */
  diverged(at: { readonly collection: string; readonly shard: number; readonly node: number }): void {
    this.metrics.count("flotilla_replica_divergences_total", 1, at);
  }

  /** Asks, before each scrape, what is only known when asked. */
  watch(parts: {
    readonly cluster: Cluster;
    readonly writeBytes: () => number;
    /** The groups open here, by what they are called outside; the catalogue's own is `catalogue`, shard 0. */
    readonly groups: () => Promise<readonly NamedGroup[]>;
    readonly threads: () => readonly { readonly thread: string; readonly inFlight: number }[];
  }): void {
    const { cluster, writeBytes, groups, threads } = parts;
    this.metrics.beforeScrape(async () => {
      const { metrics } = this;
      metrics.set("flotilla_consensus_turn_delay_ms", this.#late.value);
      metrics.set("flotilla_write_bytes_in_flight", writeBytes());
      for (const { thread, inFlight } of threads())
        metrics.set("flotilla_calls_in_flight", inFlight, { thread });
      metrics.set("flotilla_ready", cluster.node().ready ? 1 : 0);
      const collections = cluster.collections();
      metrics.set("flotilla_collections", collections.length);
      for (const name of SHARD_GAUGES) metrics.reset(name);
      for (const group of await groups()) this.#group(group);
      const signal = ofManyShards(AbortSignal.timeout(SCRAPE_MS));
      await Promise.all(
        collections.map(async ({ name }) => {
          const shards = await cluster.shards(name, { signal }).catch(() => []);
          for (const shard of shards) this.#shard(name, shard);
        }),
      );
    });
  }

  /** What stands before requests: the audit log, the quotas, the certificate. */
  watchAccess({
    audit,
    tls,
    quotas,
  }: {
    readonly audit: {
      readonly failure: Error | null;
      readonly waiting: number;
      readonly lost: number;
    } | null;
    readonly tls: { readonly value: { readonly notAfterMs: number } } | null;
    readonly quotas: { readonly problem: string | null };
  }): void {
    const { metrics } = this;
    metrics.beforeScrape(() => {
      metrics.set("flotilla_audit_writable", audit === null || audit.failure === null ? 1 : 0);
      metrics.set("flotilla_audit_waiting_lines", audit?.waiting ?? 0);
      metrics.set("flotilla_audit_lost_lines", audit?.lost ?? 0);
      metrics.set("flotilla_quota_exceeded", quotas.problem === null ? 0 : 1);
      metrics.set("flotilla_tls_not_after_seconds", (tls?.value.notAfterMs ?? 0) / 1000);
      return Promise.resolve();
    });
  }

  /** Reads that wait for engine threads of this node. */
  watchReads(
    threads: () => Iterable<
      readonly [thread: number, queue: { readonly waiting: number; readonly overloaded: boolean }]
    >,
  ): void {
    const { metrics } = this;
    metrics.beforeScrape(() => {
      for (const [at, { waiting, overloaded }] of threads()) {
        metrics.set("flotilla_reads_waiting", waiting, { thread: `engine-${at}` });
        metrics.set("flotilla_reads_overloaded", overloaded ? 1 : 0, { thread: `engine-${at}` });
      }
      return Promise.resolve();
    });
  }

  #group({ collection, shard, status }: NamedGroup): void {
    const { metrics } = this;
    const at = { collection, shard };
    const role = status.learner ? "learner" : status.role;
    metrics.set("flotilla_group_role", 1, { ...at, role });
    metrics.set("flotilla_group_stopped", status.state === "stopped" ? 1 : 0, at);
    metrics.set("flotilla_group_term", status.term, at);
    metrics.set("flotilla_group_leader", status.leader ?? 0, at);
    metrics.set("flotilla_group_commit_index", status.commit, at);
    metrics.set("flotilla_group_applied_index", status.applied, at);
    metrics.set("flotilla_group_lag_entries", status.applyLagEntries, at);
    metrics.set("flotilla_group_log_bytes", status.logBytes, at);
    for (const { node, match, state } of status.peers) {
      metrics.set("flotilla_peer_match_index", match, { ...at, peer: node });
      metrics.set("flotilla_peer_state", 1, { ...at, peer: node, state });
    }
  }

  #shard(collection: string, { shard, applied, engine }: ShardStatus): void {
    if (engine === null) return;
    const { metrics } = this;
    const at = { collection, shard };
    metrics.set("flotilla_shard_points", engine.points, at);
    metrics.set("flotilla_shard_indexed_points", engine.indexed, at);
    metrics.set("flotilla_shard_tail_points", engine.tail, at);
    metrics.set("flotilla_shard_tombstones", engine.tombstones, at);
    metrics.set("flotilla_shard_index_lag", applied - engine.durableIndex, at);
    metrics.set("flotilla_shard_graph_saves_total", engine.graphSaves, at);
    metrics.set("flotilla_shard_graph_save_failures_total", engine.graphSaveFailures, at);
    metrics.set("flotilla_shard_rebuilds_total", engine.rebuilds, at);
    metrics.set("flotilla_shard_memory_bytes", engine.bytes.graph, { ...at, part: "graph" });
    metrics.set("flotilla_shard_memory_bytes", engine.bytes.tail, { ...at, part: "tail" });
    metrics.set("flotilla_shard_memory_bytes", engine.bytes.tables, { ...at, part: "tables" });
    metrics.set("flotilla_shard_memory_bytes_per_point", engine.bytes.bytesPerPoint, at);
    metrics.set("flotilla_shard_disk_bytes", engine.diskBytes, at);
  }
}

/** A scrape does not wait for a shard that is busy for longer. */
const SCRAPE_MS = 2_000;
const SHARD_GAUGES = [
  "flotilla_group_role",
  "flotilla_group_stopped",
  "flotilla_group_term",
  "flotilla_group_leader",
  "flotilla_group_commit_index",
  "flotilla_group_applied_index",
  "flotilla_group_lag_entries",
  "flotilla_group_log_bytes",
  "flotilla_peer_match_index",
  "flotilla_peer_state",
  "flotilla_shard_points",
  "flotilla_shard_indexed_points",
  "flotilla_shard_tail_points",
  "flotilla_shard_tombstones",
  "flotilla_shard_index_lag",
  "flotilla_shard_graph_saves_total",
  "flotilla_shard_graph_save_failures_total",
  "flotilla_shard_rebuilds_total",
  "flotilla_shard_memory_bytes",
  "flotilla_shard_memory_bytes_per_point",
  "flotilla_shard_disk_bytes",
] as const;
