/** The vocabulary of the engine: what a point is, what can be written, what can be asked. */

/** An unsigned integer up to 2^53 - 1, or a string of 1 to 512 bytes (a UUID is lower-cased before it gets here). */
export type PointId = number | string;

export type Distance = "Cosine" | "Dot" | "Euclid";
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
export type Payload = { readonly [key: string]: JsonValue };

/** What is fixed about a shard's vectors for its whole life. */
export interface VectorSpec {
  /** 1 to 65,536. */
  readonly dimension: number;
  readonly distance: Distance;
  /** Graph links per point, 2 to 200. */
  readonly m: number;
  /** Candidates held while a point is linked in, 4 to 4,096. */
  readonly efConstruct: number;
}

export interface PointWrite {
  readonly id: PointId;
  /** Length = dimension, every element finite. Cosine vectors are stored as they came; scores use their direction. */
  readonly vector: Float32Array;
  readonly payload: Payload | null;
}

/**
 * One write operation. An entry of the log carries a list of them and is applied as a whole or not at all.
 * `ifVersion`: each named point must have exactly this version (0: must not exist), or the operation is rejected.
 * Operations on ids that do not exist skip these ids, except where stated.
 */
export type WriteOp =
  | { readonly kind: "upsert"; readonly points: readonly PointWrite[]; readonly ifVersion?: number }
  /** Replaces vectors of existing points, keeping payloads; rejected (POINT_NOT_FOUND) when one does not exist. */
  | {
      readonly kind: "updateVectors";
      readonly points: readonly { readonly id: PointId; readonly vector: Float32Array }[];
      readonly ifVersion?: number;
    }
  | { readonly kind: "delete"; readonly ids: readonly PointId[]; readonly ifVersion?: number }
  /** Merges top-level keys into the payload, or into the object at `key` (a path like `a.b`). */
  | {
      readonly kind: "setPayload";
      readonly ids: readonly PointId[];
      readonly payload: Payload;
      readonly key?: string;
      readonly ifVersion?: number;
    }
  | {
      readonly kind: "overwritePayload";
      readonly ids: readonly PointId[];
      readonly payload: Payload;
      readonly ifVersion?: number;
    }
  | {
      readonly kind: "deletePayload";
      readonly ids: readonly PointId[];
      readonly keys: readonly string[];
      readonly ifVersion?: number;
    }
  | { readonly kind: "clearPayload"; readonly ids: readonly PointId[]; readonly ifVersion?: number };

export type RejectionCode =
  "VERSION_CONFLICT" | "POINT_NOT_FOUND" | "WRONG_DIMENSION" | "BAD_VECTOR" | "BAD_ENTRY" | "LIMIT_EXCEEDED";

/**
 * What applying one entry did: deterministic, the same on every replica and every replay. `version` is the entry's
 * log index, and the new version of every point it touched. A duplicate is answered with the first one's outcome.
 */
export type WriteOutcome =
  | {
      readonly kind: "applied";
      readonly version: number;
      readonly touched: number;
      readonly duplicate: boolean;
    }
  | {
      readonly kind: "rejected";
      readonly code: RejectionCode;
      readonly message: string;
      /** Position of the operation in the entry. */
      readonly operation: number;
      readonly duplicate: boolean;
    };

/** Which payload fields an answer carries. Paths are top-level keys or dotted paths. */
export type PayloadSelector =
  | { readonly kind: "none" }
  | { readonly kind: "all" }
  | { readonly kind: "include"; readonly keys: readonly string[] }
  | { readonly kind: "exclude"; readonly keys: readonly string[] };

export interface SearchQuery {
  readonly vector: Float32Array;
  /** Hits wanted, after `offset` better ones were skipped. */
  readonly limit: number;
  readonly offset: number;
  /** Candidates held during the graph walk; null: the default max(limit + offset, 100). */
  readonly ef: number | null;
  /** Score every live point instead of walking the graph. */
  readonly exact: boolean;
  /** Similarities below (Cosine, Dot) or distances above it (Euclid) are left out. */
  readonly scoreThreshold: number | null;
  readonly withPayload: PayloadSelector;
  readonly withVector: boolean;
  /** Left out of the answer: the point whose own vector is asked for. */
  readonly excludeId?: PointId;
}

export interface StoredPoint {
  readonly id: PointId;
  readonly version: number;
  readonly payload: Payload | null;
  /** Present when asked for. */
  readonly vector?: Float32Array;
}

/** Hits come best first; equal scores by id: numbers before strings, numbers by value, strings by code point (`compareIds`). */
export interface ScoredPoint extends StoredPoint {
  /** Cosine similarity, inner product, or Euclidean distance (not squared). */
  readonly score: number;
}

export interface ScrollPage {
  readonly points: readonly StoredPoint[];
  /** Where the next page begins; null at the end. */
  readonly next: PointId | null;
}

/** The state hash after one entry was applied. */
export interface HashMark {
  readonly index: number;
  readonly stateHash: string;
}

/** Numbers an operator reads about one shard; bytes are estimates of what each part holds in memory. */
export interface EngineStats {
  readonly points: number;
  readonly indexed: number;
  readonly tail: number;
  readonly tombstones: number;
  readonly appliedIndex: number;
  readonly durableIndex: number;
  /** 32 lower-case hex digits over ids, versions, vectors and payloads, independent of order and history. */
  readonly stateHash: string;
  /** The same at indexes that all replicas pass, oldest first: what they are compared by. */
  readonly hashMarks: readonly HashMark[];
  readonly graphSaves: number;
  readonly graphSaveFailures: number;
  readonly rebuilds: number;
  /** Present while the graph is being rebuilt from the point store. */
  readonly rebuilding: { readonly done: number; readonly total: number; readonly reason: string } | null;
  readonly bytes: {
    readonly graph: number;
    readonly tail: number;
    readonly tables: number;
    readonly bytesPerPoint: number;
  };
  readonly diskBytes: number;
  /** Set when a storage fault stopped this shard. */
  readonly failure: string | null;
}
