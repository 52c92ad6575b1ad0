/**
 * What a leader knows about one member's log.
 *
 *     probe ──ack──▶ replicate        one append at a time ──▶ a window of them
 *       ▲ ▲─refused/unreachable─┘
 *       └──done/failed── snapshot ◀── its next entry was compacted away
 *
 * Always: match < next. Entries up to match are durable there; next is what to send next, sent optimistically while
 * replicating.
 */
import { Inflights } from "./inflights.ts";
import { after, before, higher, lower, plus, ZERO } from "./index-math.ts";
import { violated } from "./invariant.ts";
import type { LogIndex, NodeId } from "./types.ts";

export type ProgressState = "probe" | "replicate" | "snapshot";

export interface ProgressLimits {
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
}

export class Progress {
  readonly id: NodeId;
  readonly inflights: Inflights;
  state: ProgressState = "probe";
  match: LogIndex = ZERO;
  next: LogIndex;
  /** While in snapshot: the index of the snapshot that was sent; 0 otherwise. */
  pendingSnapshot: LogIndex = ZERO;
  /** Tick of this reign at which a snapshot last left for it; null when none did, or it failed. */
  snapshotSentAt: number | null = null;
  /** Heard from since the last check of the quorum. */
  recentlyActive = true;
  /** The same as it was at that check: who looks right after one would take everybody for gone. */
  #wasActive = false;
  /** Nothing more until an answer or the next heartbeat's answer. */
  paused = false;
  /** The highest commit index sent, so that a peer is not told the same twice. */
  #sentCommit: LogIndex = ZERO;

  constructor(id: NodeId, next: LogIndex, limits: ProgressLimits) {
    this.id = id;
    this.next = next;
    this.inflights = new Inflights(limits.maxInflightMessages, limits.maxInflightBytes);
  }

  /** A new reign begins: nothing is known but that its log may agree up to `next - 1`. */
  restart(match: LogIndex, next: LogIndex): void {
    this.#enter("probe");
    this.match = match;
    this.next = next;
    this.recentlyActive = false;
    this.#wasActive = false;
    this.snapshotSentAt = null;
    this.#sentCommit = ZERO;
  }

  /** Heard from within the last election timeout, or two. */
  get isActive(): boolean {
    return this.recentlyActive || this.#wasActive;
  }

  /** From now on it has to be heard from again. */
  checkAgain(): void {
    this.#wasActive = this.recentlyActive;
    this.recentlyActive = false;
  }

  isPaused(): boolean {
    return this.state === "snapshot" || this.paused;
  }

  becomeProbe(): void {
    // A snapshot that arrived is as good as entries up to its index; one that failed left pendingSnapshot at 0.
    const from = this.state === "snapshot" ? higher(this.match, this.pendingSnapshot) : this.match;
    this.#enter("probe");
    this.#rewind(after(from));
  }

  becomeReplicate(): void {
    this.#enter("replicate");
    this.next = after(this.match);
  }

  becomeSnapshot(index: LogIndex): void {
    this.#enter("snapshot");
    this.pendingSnapshot = index;
    this.next = after(index);
    this.#sentCommit = index;
  }

  /** Records an append that was sent. */
  sent(entries: number, bytes: number): void {
    if (this.state === "snapshot")
      violated(`no append leaves for ${this.id} while its snapshot ${this.pendingSnapshot} is on the way`);
    if (this.state === "replicate") {
      if (entries > 0) {
        this.next = plus(this.next, entries);
        this.inflights.add(before(this.next), bytes);
      }
      this.paused = this.inflights.isFull();
    } else if (entries > 0) this.paused = true;
  }

  sentCommit(commit: LogIndex): void {
    this.#sentCommit = commit;
  }

  /** Whether telling it this commit index would tell it something. */
  needsCommit(commit: LogIndex): boolean {
    return commit > this.#sentCommit && this.#sentCommit < before(this.next);
  }

  /** The peer has everything up to `match`; false for an old or repeated answer. */
  acknowledge(match: LogIndex): boolean {
    if (match <= this.match) return false;
    this.match = match;
    this.next = higher(this.next, after(match));
    this.paused = false;
    return true;
  }

  /** The peer refused an append after `rejected`; `hint` is the last index where it may agree. False when stale. */
  refuse(rejected: LogIndex, hint: LogIndex): boolean {
    if (this.state === "replicate") {
      // Everything up to match is known to be there: a refusal below it was overtaken by a later answer.
      if (rejected <= this.match) return false;
      this.#rewind(after(this.match));
      return true;
    }
    // A probe is one append: a refusal of any other is an old one.
    if (before(this.next) !== rejected) return false;
    this.#rewind(higher(lower(rejected, after(hint)), after(this.match)));
    this.paused = false;
    return true;
  }

  #rewind(next: LogIndex): void {
    this.next = next;
    this.#sentCommit = lower(this.#sentCommit, before(next));
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.paused = false;
    this.pendingSnapshot = ZERO;
    this.inflights.reset();
  }
}
