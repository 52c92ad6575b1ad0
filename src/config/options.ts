/**
 * Every option of a node, once: its name, unit, default, bounds and why it is what it is. Flags, environment, YAML,
 * error messages and the README's table are all read from here.
 */

import { HOST_DEFAULTS } from "../../shards/index.ts";
import { LIMITS, type LimitName, type Limits } from "../api/limits.ts";
import { HTTP_OPTIONS, type HttpOptionName, type HttpOptions } from "../http/options.ts";

/** What every row says, whatever its value. `reason`: why this default, why this bound. */
interface RowBase {
  /** Without it the flag is the name with dashes: `limits.body_bytes` is `--limits-body-bytes`. */
  readonly flag?: string;
  readonly about: string;
  readonly reason: string;
}
export interface NumberRow extends RowBase {
  readonly kind: "number";
  /** `bytes` and `ms` may be given with a suffix (32MiB, 2s), `ratio` with %; any other is what is counted. */
  readonly unit: string;
  /** null: chosen at start, as `about` says. */
  readonly default: number | null;
  readonly min: number;
  readonly max: number;
}
export interface TextRow extends RowBase {
  /** `address`: HOST:PORT, port 0 takes a free one. `secret`: never printed. */
  readonly kind: "text" | "address" | "secret";
  readonly default: string | null;
}
export interface SwitchRow extends RowBase {
  readonly kind: "switch";
  readonly default: boolean;
}
export interface ChoiceRow extends RowBase {
  readonly kind: "choice";
  readonly choices: readonly string[];
  readonly default: string;
}
export type OptionRow = NumberRow | TextRow | SwitchRow | ChoiceRow;

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const count = { kind: "number", unit: "" } as const;
const bytes = { kind: "number", unit: "bytes" } as const;
const ms = { kind: "number", unit: "ms" } as const;
const ratio = { kind: "number", unit: "ratio" } as const;

// prettier-ignore
const OWN = {
  "node.data_dir": { kind: "text", flag: "--data-dir", default: "./flotilla-data", about: "Directory that holds everything this node keeps.", reason: "Beside where it was started, so that a first try needs no rights." },
  "node.id": { ...count, flag: "--node-id", default: null, min: 1, max: 65_535, about: "This node's id; unset: as in the data directory, else 1.", reason: "Written down at the first start; never reused, so it may not change afterwards." },

  "http.addr": { kind: "address", flag: "--http-addr", default: "127.0.0.1:6333", about: "Where REST is served.", reason: "Loopback, so that nothing is open to a network before a key is set; 6333 is what clients try first." },

  "grpc.addr": { kind: "address", flag: "--grpc-addr", default: null, about: "Where gRPC is served, to clients and to other nodes that send requests on; unset: the host of http.addr, its port + 1.", reason: "6334 beside the usual 6333; a port the system chose (0) stays one." },

  "routing.writes": { kind: "choice", choices: ["forward", "redirect"], default: "forward", about: "What a node does with writes that another one leads; `?redirect=true|false` decides for one request.", reason: "Clients drop their credentials on redirects to another host, and a batch may belong to several leaders." },

  "cluster.peer_addr": { kind: "address", flag: "--peer-addr", default: null, about: "Where other nodes replicate to; unset: the host of http.addr, its port + 2.", reason: "6335 beside the usual 6333; a port the system chose (0) stays one." },
  "cluster.advertise_http": { kind: "address", flag: "--advertise-http", default: null, about: "Where others reach this node's REST; unset: the address it is bound to.", reason: "Behind a translation of addresses the bound one means nothing to others." },
  "cluster.advertise_grpc": { kind: "address", flag: "--advertise-grpc", default: null, about: "The same for gRPC.", reason: "As above." },
  "cluster.advertise_peer": { kind: "address", flag: "--advertise-peer", default: null, about: "The same for replication.", reason: "As above." },
  "cluster.join": { kind: "text", flag: "--join", default: null, about: "Peer addresses of members to join, with commas between; only a first start looks at it.", reason: "Afterwards the node's own log knows the members better." },
  "cluster.bootstrap_expect": { ...count, flag: "--bootstrap-expect", default: 1, min: 1, max: 64, about: "New nodes, this one and those in cluster.join, that must see each other before one of them founds a cluster.", reason: "Lets the same command start all nodes; with cluster.join and 1 a node never founds one." },
  "cluster.secret": { kind: "secret", flag: "--cluster-secret", default: null, about: "What nodes prove to each other that they know.", reason: "Without it anybody who reaches the peer port can write; only loopback may do without." },
  "cluster.replace_after_ms": { ...ms, default: 600_000, min: 0, max: 604_800_000, about: "A node that is away for this long has its replicas placed elsewhere; 0: never.", reason: "Longer than a reboot; copying a shard costs more than waiting for one." },
  "cluster.control_ms": { ...ms, default: 300, min: 20, max: 60_000, about: "How often the catalogue's leader compares what is with what should be.", reason: "A voter is added within a second, at the price of a few messages." },
  "cluster.snapshot_bytes_per_s": { ...bytes, default: 256 * MiB, min: 64 * KiB, max: 64 * GiB, about: "Most that one node sends as snapshots per second.", reason: "Leaves the network and the disk to writes." },

  "auth.api_key": { kind: "secret", flag: "--api-key", default: null, about: "Key that may do everything.", reason: "No built-in key: one that everybody knows protects nothing." },
  "auth.alt_api_key": { kind: "secret", flag: "--alt-api-key", default: null, about: "A second key with the same rights.", reason: "Lets keys be rotated without a moment in which clients fail." },
  "auth.read_only_api_key": { kind: "secret", flag: "--read-only-api-key", default: null, about: "Key that may only read.", reason: "For dashboards and search front-ends." },
  "auth.insecure": { kind: "switch", flag: "--insecure", default: false, about: "Serve other machines without any key.", reason: "Said aloud or not at all." },
  "auth.jwt_public_key_file": { kind: "text", default: null, about: "PEM file with public keys (RSA, P-256, Ed25519) that tokens are verified with, beside HS256 by the keys above.", reason: "Who verifies needs no secret. Read again when it changes." },
  "auth.jwt_jwks_file": { kind: "text", default: null, about: "The same as a JSON Web Key Set, chosen by `kid`.", reason: "New and old keys side by side, so that they rotate without a restart." },
  "auth.jwt_leeway_ms": { ...ms, default: 5_000, min: 0, max: 600_000, about: "How far clocks may differ for `exp` and `nbf`.", reason: "More than clocks that are kept differ, little against the life of a token." },
  "auth.jwt_issuer": { kind: "text", default: null, about: "What `iss` must be; unset: anything.", reason: "Needed where one key signs for several issuers." },
  "auth.jwt_audience": { kind: "text", default: null, about: "What `aud` must name; unset: anything.", reason: "Needed where one issuer signs for several services: a token for another one is none for this." },
  "auth.rate_per_second": { ...count, default: 0, min: 0, max: 1_000_000, about: "Requests per second for each key or token subject, and for each address without a valid one; 0: any number.", reason: "Keeps one application from taking what all share; off, because only its operator knows what is much." },
  "auth.rate_burst": { ...count, default: 0, min: 0, max: 1_000_000, about: "Requests at once before that rate counts; 0: those of one second.", reason: "Applications come in bursts." },

  "audit.path": { kind: "text", default: null, about: "File that says who did what: one JSON line per change, refusal and failed login; unset: none is kept.", reason: "A place of its own, with its own rights and retention." },
  "audit.file_bytes": { ...bytes, default: 64 * MiB, min: 4 * KiB, max: 64 * GiB, about: "Size at which the file is set aside and a new one begun.", reason: "Some 200,000 lines." },
  "audit.files": { ...count, default: 10, min: 1, max: 1_000, about: "Files set aside that are kept.", reason: "Bounds the disk it takes." },
  "audit.refusals_per_second": { ...count, default: 100, min: 1, max: 1_000_000, about: "Refusals written per second; more are counted in one line.", reason: "Somebody guessing keys must not push the rest out of the files." },
  "audit.required": { kind: "switch", default: false, about: "Refuse changes while the file cannot be written.", reason: "Where what is not on record must not happen; elsewhere a full disk for it should not stop the service." },

  "tls.cert_file": { kind: "text", default: null, about: "PEM certificate of this node, with those between it and its authority; set: REST, gRPC and the peer port speak TLS 1.2 or newer only.", reason: "Keys and vectors are readable on the way otherwise. Read again when it changes." },
  "tls.key_file": { kind: "text", default: null, about: "PEM private key of that certificate.", reason: "Belongs to `tls.cert_file`." },
  "tls.ca_file": { kind: "text", default: null, about: "PEM authorities that certificates of others are checked against.", reason: "Only who is named here vouches for others." },
  "tls.verify_clients": { kind: "switch", default: false, about: "REST and gRPC take only clients with a certificate by `tls.ca_file`, and gRPC other nodes by `tls.peer_ca_file`.", reason: "A second lock beside the keys." },
  "tls.peer_ca_file": { kind: "text", default: null, about: "PEM authorities of this cluster's nodes; set: the peer port takes only who has a certificate by one of them (mutual TLS).", reason: "An authority of the nodes' own: a certificate of an application opens no peer port. Unset: `tls.ca_file`, else those that Node.js knows, vouch for the nodes that are dialled, and `cluster.secret` for those that dial." },

  "quota.disk_free_bytes": { ...bytes, default: 256 * MiB, min: 0, max: 2 ** 50, about: "Free disk under the data directory below which what would add data is refused.", reason: "Refusing in time beats a log that cannot be written: then nothing is taken back, deletes still work." },
  "quota.memory_bytes": { ...bytes, default: 0, min: 0, max: 2 ** 50, about: "Memory of the process above which what would add data is refused; 0: any.", reason: "Only its operator knows what the machine can give." },

  "engine.threads": { ...count, default: null, min: 1, max: 256, about: "Threads that hold shards; unset: one less than the cores, at least 1.", reason: "A core is left to requests and the log." },
  "engine.tail_points": { ...count, default: 50_000, min: 64, max: 10_000_000, about: "Points per shard that may wait for the graph before writes wait.", reason: "A burst is acknowledged at the log's pace until here; a search right after it scans as many points." },
  "engine.tail_points_busy": { ...count, default: 1_000, min: 64, max: 10_000_000, about: "The same while searches come in; of a longer tail that a burst left, writes are let in at half the pace at which it shrinks.", reason: "Every search scans the tail exactly: beside an import it pays about 0.3 ms for 1,000 points of 784 dimensions." },
  "engine.index_share_busy": { ...ratio, default: 0.5, min: 0.01, max: 1, about: "Share of an engine thread's time that indexing takes at most while searches come in, or writes and the tail is not three quarters full.", reason: "A search or a write finds the thread free more often than not; an import beside searches takes longer." },
  "engine.index_share_burst": { ...ratio, default: 0.02, min: 0.01, max: 1, about: "The same in a burst: when keeping up with writes would take more than a quarter of the thread.", reason: "Whoever wrote waits and the graph does not: a burst is acknowledged faster, and is in the graph later." },
  "engine.tail_bytes": { ...bytes, default: 64 * MiB, min: MiB, max: 64 * GiB, about: "`engine.tail_points` in bytes of vectors.", reason: "Long vectors fill memory long before they are many." },
  "engine.tombstone_ratio": { ...ratio, default: 0.2, min: 0.01, max: 0.9, about: "Share of deleted points in a graph at which it is rebuilt.", reason: "Deleted points stay in the way of every walk; beyond a fifth that costs more than rebuilding." },
  "engine.save_changes": { ...count, default: 50_000, min: 100, max: 1_000_000_000, about: "Graph changes after which the graph is saved.", reason: "What is not in a saved graph is inserted again at the next start." },
  "engine.save_idle_ms": { ...ms, default: 30_000, min: 100, max: 86_400_000, about: "A changed graph is saved when no write came for this long.", reason: "A quiet node restarts at once." },
  "engine.slice_ms": { ...ms, default: 5, min: 1, max: 100, about: "Longest piece of background work between two searches.", reason: "What a search may have to wait for the indexer." },

  "raft.tick_ms": { ...ms, default: HOST_DEFAULTS.tickMs, min: 5, max: 5_000, about: "One tick of consensus time.", reason: "Fine enough to act on a dead leader within tens of milliseconds." },
  "raft.heartbeat_ticks": { ...count, default: HOST_DEFAULTS.heartbeatTicks, min: 1, max: 100, about: "Ticks between two heartbeats of a leader.", reason: "Several chances before the shortest election timeout." },
  "raft.election_ticks": { ...count, default: HOST_DEFAULTS.electionTicks, min: 3, max: 1_000, about: "Ticks of silence, up to twice as many, before a follower stands for election.", reason: "Long against a full disk flush, short against patience; at least 3 times the heartbeat." },
  "raft.compact_bytes": { ...bytes, default: HOST_DEFAULTS.compactBytes, min: 64 * KiB, max: 64 * GiB, about: "Log per shard above which applied entries are dropped.", reason: "Disk, against what a lagging replica can be sent instead of a snapshot." },
  "raft.keep_bytes": { ...bytes, default: HOST_DEFAULTS.keepBytes, min: KiB, max: 64 * GiB, about: "What is left of the log then.", reason: "Replicas that were away for a moment catch up from it." },
  "raft.keep_age_ms": { ...ms, default: HOST_DEFAULTS.keepAgeTicks * HOST_DEFAULTS.tickMs, min: 0, max: 2_592_000_000, about: "Age at which applied entries are dropped however few they are, once they are durable in the shard and every active replica has them; 0: never.", reason: "Quiet shards hold no log for long; a replica that was away for less catches up from it." },
  "raft.queue_bytes": { ...bytes, default: HOST_DEFAULTS.proposalBytesMax, min: 16 * MiB, max: 16 * GiB, about: "Bytes per shard that were proposed and not yet applied before writes are refused.", reason: "Memory of a node under more writes than it can take." },
  "raft.queue_entries": { ...count, default: HOST_DEFAULTS.proposalsMax, min: 16, max: 10_000_000, about: "The same bound in entries.", reason: "Small writes run out of turns before they run out of bytes." },

  "queue.calls": { ...count, default: 16_384, min: 16, max: 1_000_000, about: "Unanswered calls between two threads before more are refused.", reason: "Far above what a node answers within a second." },
  "queue.write_bytes": { ...bytes, default: 256 * MiB, min: 4 * MiB, max: 64 * GiB, about: "Bytes of all writes in flight before more are refused.", reason: "Bounds what clients can make the node hold in memory." },

  "catalogue.open_ms": { ...ms, default: 60_000, min: 100, max: 3_600_000, about: "Longest a shard may take to come up before the creation of its collection fails.", reason: "Opening a shard takes milliseconds unless the disk is in trouble." },
  "shutdown.hand_over_ms": { ...ms, default: 2_000, min: 0, max: 600_000, about: "How long a node that was told to stop tries to hand its leaderships over.", reason: "A handover takes one round of messages; a follower that is far behind is not waited for." },
  "shutdown.drain_ms": { ...ms, default: 10_000, min: 0, max: 3_600_000, about: "How long requests in flight may finish after SIGTERM.", reason: "Less than the 30 s after which supervisors kill." },

  "limits.collections": { ...count, default: 1_000, min: 1, max: 100_000, about: "Collections of the cluster.", reason: "Each costs files, memory and ticks." },
  "limits.entry_bytes": { ...bytes, default: MiB, min: 4 * KiB, max: 16 * MiB, about: "Operations put into one log entry; a single larger one still goes as one.", reason: "Large enough to share one fsync, small enough not to hold up heartbeats." },

  "logging.level": { kind: "choice", choices: ["trace", "debug", "info", "warn", "error", "silent"], default: "info", about: "Least severe line that is written to standard error.", reason: "One line per event that an operator would want." },
  "logging.format": { kind: "choice", choices: ["auto", "json", "pretty"], default: "auto", about: "`auto`: pretty on a terminal, JSON elsewhere.", reason: "Read by people or by collectors." },
} as const satisfies Record<string, OptionRow>;

/** Front-end rows live beside the code that enforces them; here they get their place in the one table. */
interface FrontEndRow {
  readonly option: string;
  readonly unit: string;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly reason: string;
}

function rowsOf<S extends string, K extends string>(
  section: S,
  rows: Readonly<Record<K, FrontEndRow>>,
): Record<`${S}.${Snake<K>}`, NumberRow> {
  const named = Object.values<FrontEndRow>(rows).map(
    ({ option, unit, fallback, min, max, reason }): [string, NumberRow] => [
      `${section}.${option}`,
      { kind: "number", unit, default: fallback, min, max, about: "", reason },
    ],
  );
  return Object.fromEntries(named) as Record<`${S}.${Snake<K>}`, NumberRow>;
}

type Snake<S extends string> = S extends `${infer Head}${infer Tail}`
  ? Head extends Lowercase<Head>
    ? `${Head}${Snake<Tail>}`
    : `_${Lowercase<Head>}${Snake<Tail>}`
  : S;

export type OptionName = keyof typeof OWN | `limits.${Snake<LimitName>}` | `http.${Snake<HttpOptionName>}`;

/** By name; sections together, in the order of the README. */
export const OPTIONS: Readonly<Record<OptionName, OptionRow>> = {
  ...OWN,
  ...rowsOf("http", HTTP_OPTIONS),
  ...rowsOf("limits", LIMITS),
};

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[];

type ValueOf<Row extends OptionRow> = Row extends { kind: "number"; default: null }
  ? number | null
  : Row extends { kind: "number" }
    ? number
    : Row extends { kind: "switch" }
      ? boolean
      : Row extends { kind: "choice"; choices: readonly (infer Choice)[] }
        ? Choice
        : Row extends { default: null }
          ? string | null
          : string;
type Camel<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : S;
type OwnName = keyof typeof OWN;
type Section = OwnName extends `${infer S}.${string}` ? S : never;

/** All options with their values: `limits.body_bytes` is `config.limits.bodyBytes`. */
export type Config = {
  readonly [S in Section]: {
    readonly [N in OwnName as N extends `${S}.${infer Key}` ? Camel<Key> : never]: ValueOf<(typeof OWN)[N]>;
  };
} & { readonly http: HttpOptions; readonly limits: Limits };

export type OptionValue = string | number | boolean | null;

/** `limits.body_bytes` as `--limits-body-bytes`, unless the row names a shorter flag. */
export function flagOf(name: OptionName): string {
  const row: OptionRow = OPTIONS[name];
  return row.flag ?? `--${name.replace(/[._]/g, "-")}`;
}

/** `limits.body_bytes` as `FLOTILLA__LIMITS__BODY_BYTES`. */
export function environmentName(name: OptionName): string {
  return `FLOTILLA__${name.replace(".", "__").toUpperCase()}`;
}

/** Puts values under their sections, in camel case. */
export function configOf(values: ReadonlyMap<OptionName, OptionValue>): Config {
  const sections: Record<string, Record<string, OptionValue>> = {};
  for (const name of OPTION_NAMES) {
    const [section = "", key = ""] = name.split(".");
    const camel = key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    (sections[section] ??= {})[camel] = values.get(name) ?? OPTIONS[name].default;
  }
  // The table's rows and this loop are the type's definition: there is no narrower proof to give the compiler.
  return sections as Config;
}
