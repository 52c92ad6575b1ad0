/** What users of one shard's engine hold: `ShardEngine.open` in shard-engine.ts makes one. */
import type { EngineClock, SliceScheduler } from "./scheduler.ts";
import type { EngineOptions } from "./options.ts";
import type {
  EngineStats,
  PayloadSelector,
  PointId,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
  StoredPoint,
  VectorSpec,
  WriteOutcome,
} from "./types.ts";

export interface OpenShard {
  /** The shard's own directory; made when missing. Whoever opens it holds it alone. */
  readonly directory: string;
  readonly spec: VectorSpec;
  readonly options?: Partial<EngineOptions>;
  /** One for all shards of a thread. */
  readonly scheduler: SliceScheduler;
  readonly clock: EngineClock;
  /** Takes events as they happen; does not throw and does not call back into the engine. */
  readonly events?: (event: EngineEvent) => void;
}

/** What the engine tells about itself: one stream for logs, metrics and tests. */
export type EngineEvent =
  | {
      readonly kind: "opened";
      readonly points: number;
      readonly indexed: number;
      readonly appliedIndex: number;
      readonly durationMs: number;
    }
  /** The saved graph is not used; `why` says what is doubtful. It is rebuilt from the point store. */
  | { readonly kind: "graphDiscarded"; readonly why: string }
  | { readonly kind: "rebuildStarted"; readonly reason: string; readonly total: number }
  /** About every tenth of the way. */
  | { readonly kind: "rebuildProgress"; readonly done: number; readonly total: number }
  | { readonly kind: "rebuildFinished"; readonly points: number; readonly durationMs: number }
  | {
      readonly kind: "graphSaved";
      readonly points: number;
      readonly bytes: number;
      readonly durationMs: number;
    }
  | { readonly kind: "graphSaveFailed"; readonly error: Error }
  /** Writes wait for the indexer, or no longer do. */
  | { readonly kind: "backPressure"; readonly active: boolean; readonly tail: number }
  /** A storage fault stopped this shard; it answers SHARD_STOPPED until it is opened again. */
  | { readonly kind: "stopped"; readonly error: Error };

/** One entry of the shard's log, as the engine takes it. */
export interface EngineEntry {
  /** Contiguous with the entry before it. */
  readonly index: number;
  /** Bytes of `encodeEntry`; empty for entries that are not the state machine's. */
  readonly data: Uint8Array;
}

export interface ReadOptions {
  readonly withPayload: PayloadSelector;
  readonly withVector: boolean;
}

export interface SearchOptions {
  /** Stops at the next slice and throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Files of one consistent copy; whoever asked for it disposes of it. */
export interface EngineSnapshot extends AsyncDisposable {
  readonly index: number;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  /**
   * Where the files lie on this machine, when they do, on disk and verified: they may be linked from there, and changed
   * only by the link.
   */
  readonly directory?: string | undefined;
  /** Where the files can be read on this machine without asking; they are nobody's to link or to change. */
  readonly readableIn?: string | undefined;
  /** `length` bytes at `offset`, fewer only at the end of the file. */
  read(name: string, offset: number, length: number): Promise<Uint8Array>;
}

/** One shard: writes come in order of the log, reads see everything whose apply has resolved. */
export interface Engine extends AsyncDisposable {
  readonly spec: VectorSpec;
  /** The highest index applied; what it did is visible. After a crash of the process it may be a moment's less. */
  appliedIndex(): number;
  /** The highest index whose effects survive a crash of the machine. */
  durableIndex(): number;
  /**
   * Applies entries in order, one call at a time; `null` for entries without data and for those applied before whose
   * outcome is forgotten. Waits while the tail is at its limit. Throws EngineError after a storage fault.
   */
  applyEntries(entries: readonly EngineEntry[]): Promise<readonly (WriteOutcome | null)[]>;
  /** One list of hits per query. Throws BAD_QUERY before anything is searched, TOO_LARGE here and below. */
  search(
    queries: readonly SearchQuery[],
    options?: SearchOptions,
  ): Promise<readonly (readonly ScoredPoint[])[]>;
  /** Points that exist, in the order of `ids`. */
  retrieve(ids: readonly PointId[], options: ReadOptions): readonly StoredPoint[];
  /** A page in the order of `compareIds`, from `from` on (it included when it exists); null: from the beginning. */
  scroll(from: PointId | null, limit: number, options: ReadOptions): ScrollPage;
  count(): number;
  stats(): EngineStats;
  /** Resolves when everything applied so far survives a crash of the machine, with its index. */
  checkpoint(): Promise<number>;
  /** Saves the graph if it changed since it was saved; false when that failed or there is none to save. */
  saveGraph(): Promise<boolean>;
  /** Resolves when no point waits for the graph and no rebuild is under way. */
  idle(): Promise<void>;
  /** A consistent copy at one applied index, while reads and writes go on. */
  capture(): Promise<EngineSnapshot>;
  /** Replaces everything by a verified copy; all or nothing, also across a crash. Throws SNAPSHOT_CORRUPT. */
  restore(snapshot: Omit<EngineSnapshot, typeof Symbol.asyncDispose>): Promise<void>;
  /**
   * Waits for what is under way, makes everything durable, saves the graph when it changed. Throws what kept it from
   * that; it is closed all the same, and the log hands in again what is missing.
   */
  close(): Promise<void>;
}
