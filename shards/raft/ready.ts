import type { Message } from "./message.ts";
import type { CoreEvent } from "./events.ts";
import type { Entry, HardState, LogIndex, SnapshotMeta, Term } from "./types.ts";

/**
 * Work the core hands out when asked; order that matters is in the names.
 *
 * In asynchronous storage mode (production) several may be outstanding: writes are carried out in the order they were
 * handed out, and each is reported once with `persisted(receipt)`. In synchronous mode the driver does everything in
 * this order and calls `advance()` before it asks again.
 */
export interface Ready {
  /** May leave at once: what promises nothing about this node's disk (a leader's appends and heartbeats). */
  readonly send: readonly Message[];
  /** To be made durable in one transaction; null when there is nothing. */
  readonly persist: Persist | null;
  /** Leaves only when this and every earlier `persist` is durable: votes, acknowledgements (raft.md, never 2). */
  readonly thenSend: readonly Message[];
  /**
   * Committed and, here, durable: to be applied in order, each exactly once, after this and every earlier `persist` is
   * durable (the commit index they rest on is in one of them; raft.md, never 15).
   */
  readonly thenApply: readonly Entry[];
  /** Read requests whose index was confirmed; to be answered when that index is applied (§6.4 of the dissertation). */
  readonly reads: readonly ConfirmedRead[];
  readonly events: readonly CoreEvent[];
}

/** Without snapshot, entries and hard state it writes nothing, but still marks a place in the order of writes. */
export interface Persist {
  /** Replaces the log before `entries` are written. */
  readonly snapshot: SnapshotMeta | null;
  /** Contiguous; replace what the log holds from the first one's index on. */
  readonly entries: readonly Entry[];
  readonly hardState: HardState | null;
  readonly receipt: PersistReceipt;
}

/** Names what became durable; the term keeps a late report from vouching for entries replaced since (the ABA race). */
export interface PersistReceipt {
  readonly term: Term;
  /** 0 when no entry is vouched for. */
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** 0 when no snapshot was installed. */
  readonly snapshotIndex: LogIndex;
  /** What this node answers itself once that is durable: its own vote, its own acknowledgement. Opaque to the driver. */
  readonly ownAnswers: readonly Message[];
}

export interface ConfirmedRead {
  /** As given to `readIndex`. A read that can no longer be confirmed is a `readDropped` event instead. */
  readonly token: string;
  readonly index: LogIndex;
}
