/** Every metric of a node in one table; `/metrics`, its documentation and the code that feeds it read it from here. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

interface MetricRow {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

const counter = (help: string, ...labels: string[]): MetricRow & { readonly kind: "counter" } => ({
  kind: "counter",
  help,
  labels,
});
const gauge = (help: string, ...labels: string[]): MetricRow & { readonly kind: "gauge" } => ({
  kind: "gauge",
  help,
  labels,
});
const histogram = (
  help: string,
  buckets: readonly number[],
  ...labels: string[]
): MetricRow & { readonly kind: "histogram" } => ({ kind: "histogram", help, buckets, labels });

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];
const MILLISECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000, 10_000];

export const METRICS = {
  flotilla_http_request_seconds: histogram(
    "Time from the first byte of a request to the last of its answer.",
    SECONDS,
    "route",
    "method",
    "status",
  ),
  flotilla_calls_in_flight: gauge("Calls to another thread without an answer yet.", "thread"),
  flotilla_calls_waiting: gauge("Calls that reached a thread and wait for its turn.", "thread"),
  flotilla_write_bytes_in_flight: gauge("Bytes of writes without an outcome yet."),
  flotilla_proposals_queued: gauge("Most inputs that waited for one turn of the consensus thread."),
  flotilla_log_write_ms: histogram("One transaction of the log, with its fsync.", MILLISECONDS),
  flotilla_log_entries_total: counter("Entries written to the log."),
  flotilla_log_bytes_total: counter("Bytes of entries written to the log."),
  flotilla_log_compactions_total: counter("Times the beginning of a group's log was dropped."),
  flotilla_commit_ms: histogram("From a proposal to its commit.", MILLISECONDS),
  flotilla_apply_ms: histogram("One batch of committed entries through a state machine.", MILLISECONDS),
  flotilla_apply_lag_entries: gauge("Most entries of a group that were committed and not applied."),
  flotilla_apply_lag_bytes: gauge("Most bytes of a group that were committed and not applied."),
  flotilla_consensus_turn_delay_ms: gauge(
    "Longest a turn of the consensus thread came late, of the last 10 s.",
  ),
  flotilla_consensus_turn_late_ms: histogram(
    "How late the ticks of the consensus thread came.",
    MILLISECONDS,
  ),
  flotilla_consensus_turn_ms: histogram("What one turn of the consensus thread took.", MILLISECONDS),
  flotilla_event_loop_delay_ms: gauge(
    "How late a thread's turns came in the last second.",
    "thread",
    "quantile",
  ),
  flotilla_thread_heap_bytes: gauge("JavaScript heap in use.", "thread"),
  flotilla_collections: gauge("Collections in the catalogue."),
  flotilla_shard_points: gauge("Live points.", "collection", "shard"),
  flotilla_shard_indexed_points: gauge("Points in the graph.", "collection", "shard"),
  flotilla_shard_tail_points: gauge("Applied points that are not in the graph yet.", "collection", "shard"),
  flotilla_shard_tombstones: gauge("Deleted points that are still in the graph.", "collection", "shard"),
  flotilla_shard_index_lag: gauge(
    "Applied entries that are not durable in the engine yet.",
    "collection",
    "shard",
  ),
  flotilla_shard_graph_saves_total: gauge("Graphs saved since the start.", "collection", "shard"),
  flotilla_shard_graph_save_failures_total: gauge(
    "Saves that failed since the start.",
    "collection",
    "shard",
  ),
  flotilla_shard_rebuilds_total: gauge("Graphs built anew since the start.", "collection", "shard"),
  flotilla_shard_memory_bytes: gauge("Memory by part: graph, tail, tables.", "collection", "shard", "part"),
  flotilla_shard_memory_bytes_per_point: gauge("Memory of a live point.", "collection", "shard"),
  flotilla_shard_disk_bytes: gauge("Files of the shard.", "collection", "shard"),
  flotilla_elections_total: counter("Elections this node stood in, over all groups."),
  flotilla_proposals_total: counter("Proposals of this node, by how they ended.", "outcome"),
  flotilla_messages_dropped_total: counter(
    "Messages between nodes that were dropped or refused, by why.",
    "why",
  ),
  flotilla_group_role: gauge("1 for the role this node has in the group.", "collection", "shard", "role"),
  flotilla_replica_divergences_total: counter(
    "On the catalogue's leader: times a replica was found to hold something else than the others.",
    "collection",
    "shard",
    "node",
  ),
  flotilla_group_stopped: gauge(
    "1 when the group takes no part on this node after a failure.",
    "collection",
    "shard",
  ),
  flotilla_group_term: gauge("Term of the group.", "collection", "shard"),
  flotilla_group_leader: gauge("Node that leads the group; 0: nobody known.", "collection", "shard"),
  flotilla_group_commit_index: gauge("Highest committed log index.", "collection", "shard"),
  flotilla_group_applied_index: gauge("Highest applied log index.", "collection", "shard"),
  flotilla_group_lag_entries: gauge("Committed entries not applied here.", "collection", "shard"),
  flotilla_group_log_bytes: gauge("Bytes of the group's log.", "collection", "shard"),
  flotilla_peer_match_index: gauge(
    "On the leader: highest log index known to be on the peer's disk.",
    "collection",
    "shard",
    "peer",
  ),
  flotilla_peer_state: gauge(
    "On the leader: 1 for how the peer is sent entries (probe, replicate, snapshot).",
    "collection",
    "shard",
    "peer",
    "state",
  ),
  flotilla_snapshot_bytes: gauge(
    "Bytes of the snapshot under way, or of the last one.",
    "group",
    "direction",
    "part",
  ),
  flotilla_requests_shed_total: counter(
    "Requests answered 503 for load: too many in work (inflight), the front is behind (late), reads wait (queue).",
    "reason",
  ),
  flotilla_reads_waiting: gauge("Reads that an engine thread was asked for and has not answered.", "thread"),
  flotilla_reads_overloaded: gauge("1 while reads for the engine thread are refused in part.", "thread"),
  flotilla_audit_writable: gauge("1 while the audit log can be written, or none is kept."),
  flotilla_audit_waiting_lines: gauge("Audit lines that wait for the disk."),
  flotilla_audit_lost_lines: gauge("Audit lines dropped since the start, as too many waited."),
  flotilla_quota_exceeded: gauge("1 while what adds data is refused for want of disk or memory."),
  flotilla_tls_not_after_seconds: gauge("When the certificate ends, in seconds since 1970; 0: none is used."),
  flotilla_ready: gauge("1 when every shard of this node serves."),
} as const satisfies Record<string, MetricRow>;

type Name = keyof typeof METRICS;
type Named<Kind extends MetricRow["kind"]> = {
  [N in Name]: (typeof METRICS)[N]["kind"] extends Kind ? N : never;
}[Name];
type Labels = Readonly<Record<string, string | number>>;

/** The node's registry. Names are checked by the compiler, labels by prom-client. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<Name, Counter>();
  readonly #gauges = new Map<Name, Gauge>();
  readonly #histograms = new Map<Name, Histogram>();
  readonly #refresh = new Set<() => Promise<void>>();
  #scrape: Promise<string> | null = null;

  constructor() {
    const registers = [this.#registry];
    for (const [name, row] of Object.entries(METRICS) as [Name, MetricRow][]) {
      const settings = { name, help: row.help, labelNames: [...row.labels], registers };
      if (row.kind === "counter") this.#counters.set(name, new Counter(settings));
      else if (row.kind === "gauge") this.#gauges.set(name, new Gauge(settings));
      else this.#histograms.set(name, new Histogram({ ...settings, buckets: [...(row.buckets ?? [])] }));
    }
    collectDefaultMetrics({ register: this.#registry });
  }

  count(name: Named<"counter">, by = 1, labels: Labels = {}): void {
    this.#counters.get(name)?.inc(labels, by);
  }
  set(name: Named<"gauge">, value: number, labels: Labels = {}): void {
    this.#gauges.get(name)?.set(labels, value);
  }
  /** Forgets every combination of labels: before the values of what exists now are set. */
  reset(name: Named<"gauge">): void {
    this.#gauges.get(name)?.reset();
  }
  observe(name: Named<"histogram">, value: number, labels: Labels = {}): void {
    this.#histograms.get(name)?.observe(labels, value);
  }

  /** Called before each scrape, to set what is only known when asked. */
  beforeScrape(refresh: () => Promise<void>): void {
    this.#refresh.add(refresh);
  }
  /** The text of `/metrics`. Scrapes at the same time are one: the second would reset what the first has set. */
  text(): Promise<string> {
    this.#scrape ??= this.#refreshed().finally(() => (this.#scrape = null));
    return this.#scrape;
  }

  async #refreshed(): Promise<string> {
    await Promise.all([...this.#refresh].map((refresh) => refresh()));
    return await this.#registry.metrics();
  }
}
