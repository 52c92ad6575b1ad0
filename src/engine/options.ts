/** Every limit and policy of the engine: what may differ between nodes, and what may not. */
export interface EngineOptions {
  /** A slice of background work ends after this many ms, so that nothing waits longer for the thread. */
  readonly sliceMs: number;
  /** The same while searches come in: a search waits for at most one slice. */
  readonly busySliceMs: number;
  /**
   * The most of the thread's time that background work takes while searches come in, or writes and the tail is not three
   * quarters full; above 0 to 1.
   */
  readonly busyShare: number;
  /** The same in a burst of writes, when keeping up would take more than a quarter: whoever wrote waits, the graph can. */
  readonly burstShare: number;
  /** How long after a search or a write more of them are expected, ms. */
  readonly busyForMs: number;
  /** Points that may wait for the graph; each costs every search its share of a scan. Past it writes wait. */
  readonly tailPointsMax: number;
  /** The same while searches come in and the tail can be drained: a search beside an import pays for few. */
  readonly busyTailPointsMax: number;
  /** {@link tailPointsMax} in bytes. */
  readonly tailBytesMax: number;
  /** A page cache of the point store, bytes. */
  readonly cacheBytes: number;
  /** The write-ahead file of the point store is moved into it past this size, bytes. */
  readonly walBytes: number;
  /** What is applied is committed to the point store so long after, ms: what a crash makes the log hand in again. */
  readonly commitAfterMs: number;
  /** Past so many entries or bytes it is committed as soon as whoever waits for them has the answers. */
  readonly commitEntries: number;
  readonly commitBytes: number;
  /** Share of tombstones in the graph at which it is rebuilt, 0 to 1. */
  readonly rebuildShare: number;
  /** Below so many tombstones a rebuild is not worth its trouble. */
  readonly rebuildMin: number;
  /** The graph is saved when so many points changed since the last save ... */
  readonly saveChangesMin: number;
  /** ... and they are this share of all. */
  readonly saveShare: number;
  /** With the tail empty, any change is saved after so long, ms. */
  readonly saveIdleMs: number;
  /** A shard that nobody used for so long gives back its file and buffers until the next use, ms. */
  readonly restAfterMs: number;
  /** Largest limit + offset of a search. */
  readonly hitsMax: number;
  /** Largest ef of a search. */
  readonly efMax: number;
  /** Most queries of one call. */
  readonly batchMax: number;
  /** Most ids of one retrieve, and largest page of a scroll. */
  readonly pageMax: number;
  /** Payloads, vectors and points of one answer, bytes: it is copied between threads and written in one piece. */
  readonly answerBytesMax: number;
}

export const ENGINE_DEFAULTS: EngineOptions = {
  sliceMs: 5,
  busySliceMs: 1,
  busyShare: 0.5,
  burstShare: 0.02,
  busyForMs: 50,
  tailPointsMax: 50_000,
  busyTailPointsMax: 1_000,
  tailBytesMax: 64 * 2 ** 20,
  cacheBytes: 16 * 2 ** 20,
  walBytes: 32 * 2 ** 20,
  commitAfterMs: 100,
  commitEntries: 64,
  commitBytes: 256 * 2 ** 10,
  rebuildShare: 0.2,
  rebuildMin: 1_000,
  saveChangesMin: 20_000,
  saveShare: 0.25,
  saveIdleMs: 60_000,
  restAfterMs: 5_000,
  hitsMax: 16_384,
  efMax: 16_384,
  batchMax: 1_024,
  pageMax: 16_384,
  answerBytesMax: 64 * 2 ** 20,
};

/**
 * Limits that decide what applying an entry does. They are part of the state machine: a change is a change of
 * format, since replicas that disagree on one would diverge.
 */
export const STATE_LIMITS = {
  /** Above it, distances of large vectors would overflow float32 into infinity or NaN: |v|^2 at most. */
  squaredNormMax: 2 ** 125,
  dimensionMax: 65_536,
  idBytesMax: 512,
  idMax: Number.MAX_SAFE_INTEGER,
  operationsPerEntry: 10_000,
  pointsPerEntry: 100_000,
  /** Canonical JSON of one point's payload, bytes. */
  payloadBytesMax: 1 << 20,
  payloadDepthMax: 64,
  originBytesMax: 256,
  /** An (origin, sequence) is remembered for so many log indexes. */
  rememberedEntries: 100_000,
} as const;
