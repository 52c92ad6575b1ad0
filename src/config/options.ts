/**
 * Every option of a node, once: its name, unit, default, bounds and why it is what it is. Flags, environment, YAML,
 * error messages and the README's table are all read from here.
 */

/** What every row says, whatever its value. `reason`: why this default, why this bound. */
interface RowBase {
  /** Without it the flag is the name with dashes: `limits.body_bytes` is `--limits-body-bytes`. */
  readonly flag?: string;
  readonly about: string;
  readonly reason: string;
}
export interface NumberRow extends RowBase {
  readonly kind: "number";
  readonly unit: "bytes" | "ms" | "count" | "ratio";
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

const count = { kind: "number", unit: "count" } as const;
const bytes = { kind: "number", unit: "bytes" } as const;
const ms = { kind: "number", unit: "ms" } as const;
const ratio = { kind: "number", unit: "ratio" } as const;

// prettier-ignore
export const OPTIONS = {
  "node.data_dir": { kind: "text", flag: "--data-dir", default: "./flotilla-data", about: "Directory that holds everything this node keeps.", reason: "Beside where it was started, so that a first try needs no rights." },
  "node.id": { ...count, flag: "--node-id", default: null, min: 1, max: 65_535, about: "This node's id; unset: as in the data directory, else 1.", reason: "Written down at the first start; never reused, so it may not change afterwards." },

  "http.addr": { kind: "address", flag: "--http-addr", default: "127.0.0.1:6333", about: "Where REST is served.", reason: "Loopback, so that nothing is open to a network before a key is set; 6333 is what clients try first." },

  "auth.api_key": { kind: "secret", flag: "--api-key", default: null, about: "Key that may do everything.", reason: "No built-in key: one that everybody knows protects nothing." },
  "auth.alt_api_key": { kind: "secret", flag: "--alt-api-key", default: null, about: "A second key with the same rights.", reason: "Lets keys be rotated without a moment in which clients fail." },
  "auth.read_only_api_key": { kind: "secret", flag: "--read-only-api-key", default: null, about: "Key that may only read.", reason: "For dashboards and search front-ends." },
  "auth.insecure": { kind: "switch", flag: "--insecure", default: false, about: "Serve other machines without any key.", reason: "Said aloud or not at all." },

  "engine.threads": { ...count, default: null, min: 1, max: 256, about: "Threads that hold shards; unset: one less than the cores, at least 1.", reason: "A core is left to requests and the log." },
  "engine.tail_points": { ...count, default: 65_536, min: 64, max: 10_000_000, about: "Points per shard that may wait for the graph before writes wait.", reason: "The tail is scanned exactly by every search: it bounds what a write burst costs a search." },
  "engine.tail_bytes": { ...bytes, default: 256 * MiB, min: MiB, max: 64 * GiB, about: "The same bound in bytes of vectors.", reason: "Long vectors fill memory long before they are many." },
  "engine.tombstone_ratio": { ...ratio, default: 0.2, min: 0.01, max: 0.9, about: "Share of deleted points in a graph at which it is rebuilt.", reason: "Deleted points stay in the way of every walk; beyond a fifth that costs more than rebuilding." },
  "engine.save_changes": { ...count, default: 50_000, min: 100, max: 1_000_000_000, about: "Graph changes after which the graph is saved.", reason: "What is not in a saved graph is inserted again at the next start." },
  "engine.save_idle_ms": { ...ms, default: 30_000, min: 100, max: 86_400_000, about: "A changed graph is saved when no write came for this long.", reason: "A quiet node restarts at once." },
  "engine.slice_ms": { ...ms, default: 5, min: 1, max: 100, about: "Longest piece of background work between two searches.", reason: "What a search may have to wait for the indexer." },

  "raft.tick_ms": { ...ms, default: 50, min: 5, max: 5_000, about: "One tick of consensus time.", reason: "Heartbeats and elections count ticks." },
  "raft.heartbeat_ticks": { ...count, default: 2, min: 1, max: 100, about: "Ticks between two heartbeats of a leader.", reason: "Every 100 ms costs close to nothing." },
  "raft.election_ticks": { ...count, default: 10, min: 3, max: 1_000, about: "Ticks of silence before a follower stands for election.", reason: "Five lost heartbeats; at least three times `raft.heartbeat_ticks`." },
  "raft.compact_bytes": { ...bytes, default: 64 * MiB, min: 64 * KiB, max: 64 * GiB, about: "Log per shard above which applied entries are dropped.", reason: "What a lagging replica can still be sent instead of a snapshot, against disk." },
  "raft.queue_bytes": { ...bytes, default: 64 * MiB, min: 2 * MiB, max: 16 * GiB, about: "Proposed and not yet applied bytes per shard before writes are refused.", reason: "Memory of a node under more writes than it can take." },
  "raft.queue_entries": { ...count, default: 16_384, min: 16, max: 10_000_000, about: "Proposed and not yet applied entries per shard before writes are refused.", reason: "Small writes run out of turns before they run out of bytes." },

  "queue.calls": { ...count, default: 16_384, min: 16, max: 1_000_000, about: "Unanswered calls between two threads before more are refused.", reason: "Far above what a node answers within a second." },
  "queue.write_bytes": { ...bytes, default: 256 * MiB, min: 4 * MiB, max: 64 * GiB, about: "Bytes of all writes in flight before more are refused.", reason: "Bounds what clients can make the node hold in memory." },

  "deadline.read_ms": { ...ms, default: 30_000, min: 10, max: 3_600_000, about: "Longest a read may take when the request does not say.", reason: "Longer than any healthy search, shorter than a client's patience." },
  "deadline.write_ms": { ...ms, default: 60_000, min: 10, max: 3_600_000, about: "Longest a write may take when the request does not say.", reason: "A bulk write waits while the tail is full." },
  "deadline.start_ms": { ...ms, default: 60_000, min: 100, max: 3_600_000, about: "Longest a collection may take to come up before its creation fails.", reason: "Opening a shard takes milliseconds unless the disk is in trouble." },
  "shutdown.drain_ms": { ...ms, default: 10_000, min: 0, max: 3_600_000, about: "How long requests in flight may finish after SIGTERM.", reason: "Less than the 30 s after which supervisors kill." },

  "limits.body_bytes": { ...bytes, default: 32 * MiB, min: KiB, max: GiB, about: "One request body.", reason: "What a batch of 10,000 points of 784 dimensions takes in JSON." },
  "limits.batch_points": { ...count, default: 100_000, min: 1, max: 10_000_000, about: "Points or ids in one request.", reason: "Short vectors reach this before the body limit." },
  "limits.batch_queries": { ...count, default: 1_000, min: 1, max: 100_000, about: "Searches in one batch request.", reason: "One request may not keep a shard busy for seconds." },
  "limits.dimension": { ...count, default: 65_536, min: 1, max: 65_536, about: "Dimensions of a vector.", reason: "The bound is what the engine can hold." },
  "limits.payload_bytes": { ...bytes, default: MiB, min: 16, max: 64 * MiB, about: "Payload of one point, as JSON.", reason: "A payload travels in a log entry; documents belong elsewhere." },
  "limits.k": { ...count, default: 10_000, min: 1, max: 1_000_000, about: "Hits of one search, `limit` + `offset`.", reason: "The walk through the graph holds as many candidates." },
  "limits.ef": { ...count, default: 10_000, min: 1, max: 1_000_000, about: "`hnsw_ef` of one search.", reason: "Above it an exact search is faster." },
  "limits.page_points": { ...count, default: 10_000, min: 1, max: 1_000_000, about: "Points of one scroll page.", reason: "A page is held in memory as a whole." },
  "limits.name_bytes": { ...bytes, default: 255, min: 1, max: 255, about: "Name of a collection, in UTF-8.", reason: "What file systems and tools take as one name." },
  "limits.id_bytes": { ...bytes, default: 512, min: 36, max: 512, about: "Text id of a point, in UTF-8.", reason: "Longer than any URL path segment in use; at least a UUID." },
  "limits.metadata_bytes": { ...bytes, default: 64 * KiB, min: 2, max: MiB, about: "Metadata of a collection, as JSON.", reason: "The catalogue is held in memory by every node." },
  "limits.collections": { ...count, default: 1_000, min: 1, max: 100_000, about: "Collections of the cluster.", reason: "Each costs files, memory and ticks." },
  "limits.shards": { ...count, default: 64, min: 1, max: 1_024, about: "Shards of one collection.", reason: "Every search asks every shard." },
  "limits.entry_bytes": { ...bytes, default: MiB, min: 4 * KiB, max: 16 * MiB, about: "Operations put into one log entry; a single larger one still goes as one.", reason: "Large enough to share one fsync, small enough not to hold up heartbeats." },

  "logging.level": { kind: "choice", choices: ["trace", "debug", "info", "warn", "error", "silent"], default: "info", about: "Least severe line that is written to standard error.", reason: "One line per event that an operator would want." },
  "logging.format": { kind: "choice", choices: ["auto", "json", "pretty"], default: "auto", about: "`auto`: pretty on a terminal, JSON elsewhere.", reason: "Read by people or by collectors." },
} as const satisfies Record<string, OptionRow>;

export type OptionName = keyof typeof OPTIONS;
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
type Section = OptionName extends `${infer S}.${string}` ? S : never;

/** All options with their values: `limits.body_bytes` is `config.limits.bodyBytes`. */
export type Config = {
  readonly [S in Section]: {
    readonly [N in OptionName as N extends `${S}.${infer Key}` ? Camel<Key> : never]: ValueOf<
      (typeof OPTIONS)[N]
    >;
  };
};

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
