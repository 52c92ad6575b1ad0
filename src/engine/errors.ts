/** How the engine fails: what a caller must branch on is a value (`WriteOutcome`), everything else is thrown here. */
export type EngineErrorCode =
  /** The shard's SQLite file cannot be trusted; the message names it. Restore this replica from its peers. */
  | "STORE_CORRUPT"
  /** Reading or writing the point store failed. In apply this stops the shard. */
  | "STORE_IO"
  /** The disk is full. In apply this stops the shard. */
  | "STORE_FULL"
  /** Written by another version of the format, or for vectors of another shape. */
  | "STORE_VERSION"
  /** All 2^32 labels are used up; they are renumbered when the shard is opened again. */
  | "LABELS_EXHAUSTED"
  /** An earlier storage fault stopped this shard: nothing may follow it. */
  | "SHARD_STOPPED"
  /** The shard was closed. */
  | "CLOSED"
  /** A query that may not reach native code: length, element or limit; the message says what would be right. */
  | "BAD_QUERY"
  /** What was asked for is more than one answer may hold; nothing was changed. */
  | "TOO_LARGE"
  /** The native index refused a call that was checked before. */
  | "GRAPH_FAILED"
  /** A snapshot's files are not what its manifest says; nothing was changed. */
  | "SNAPSHOT_CORRUPT";

/** An operational failure of the engine; `cause` is what the layer below said. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly code: EngineErrorCode;
  constructor(code: EngineErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Thrown when the engine itself is wrong; nobody catches it except the supervisor, which stops the shard. */
export class EngineInvariant extends Error {
  override readonly name = "EngineInvariant";
}

/** States what always holds; the thunk keeps numbers off the hot path. */
export function invariant(holds: boolean, claim: string | (() => string)): asserts holds {
  if (!holds) throw new EngineInvariant(typeof claim === "string" ? claim : claim());
}

/** Ends a switch over a union: the compiler names the case that was forgotten. */
export function unreachable(value: never): never {
  throw new EngineInvariant(`no such case: ${JSON.stringify(value)}`);
}

export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
