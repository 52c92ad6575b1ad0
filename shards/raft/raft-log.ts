/**
 * The log as the core sees it: what is durable (read through {@link LogView}), followed by the tail in memory, or a
 * received snapshot that is about to replace both.
 *
 *     firstIndex - 1 <= applied <= applying <= committed <= lastIndex
 *
 * Always: that order, and nothing at or below `committed` is ever truncated (Raft §5.3, §5.4).
 */
import { after, before, higher, lower, NO_TERM, plus } from "./index-math.ts";
import { invariant, violated } from "./invariant.ts";
import { ApplyWindow } from "./apply-window.ts";
import { LogTail } from "./log-tail.ts";
import { entriesBytes, entryBytes } from "./sizes.ts";
import type { LogView } from "./log-view.ts";
import type { Entry, LogIndex, SnapshotMeta, Term } from "./types.ts";

export type TermAt = Term | "compacted" | "unavailable";

export class RaftLog {
  readonly #view: LogView;
  readonly #tail: LogTail;
  /** Pacing of what is handed to the state machine. */
  readonly window: ApplyWindow;
  #snapshot: SnapshotMeta | null = null;
  #snapshotHandedOut = false;
  #committed: LogIndex;

  constructor(view: LogView, maxApplyBytes: number) {
    this.#view = view;
    const first = view.firstIndex();
    const last = view.lastIndex();
    invariant(first >= 1 && last >= first - 1, () => `a log from ${first} to ${last} is in order`);
    this.#tail = new LogTail(after(last));
    this.#committed = before(first);
    this.window = new ApplyWindow(before(first), maxApplyBytes);
  }

  get committed(): LogIndex {
    return this.#committed;
  }
  get applied(): LogIndex {
    return this.window.applied;
  }

  firstIndex(): LogIndex {
    return this.#snapshot === null ? this.#view.firstIndex() : after(this.#snapshot.index);
  }

  lastIndex(): LogIndex {
    return before(this.#tail.end);
  }

  lastTerm(): Term {
    return this.knownTerm(this.lastIndex());
  }

  term(index: LogIndex): TermAt {
    const held = this.#tail.term(index);
    if (held !== undefined) return held;
    if (this.#snapshot !== null) {
      if (index === this.#snapshot.index) return this.#snapshot.term;
      return index < this.#snapshot.index ? "compacted" : "unavailable";
    }
    return index > this.lastIndex() ? "unavailable" : this.#view.term(index);
  }

  /** The term of an entry that is certainly there; anything else would be guessing (raft.md, never 3). */
  knownTerm(index: LogIndex): Term {
    const term = this.term(index);
    return typeof term === "number" ? term : violated(`the term of entry ${index} is known, not ${term}`);
  }

  matches(index: LogIndex, term: Term): boolean {
    return this.term(index) === term;
  }

  /** Raft §5.4.1: the later last term wins, then the longer log. */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    const own = this.lastTerm();
    return lastTerm > own || (lastTerm === own && lastIndex >= this.lastIndex());
  }

  /** From `low` to the end, at least one when there is one, then as many as fit; `"compacted"` when the log begins later. */
  entriesFrom(low: LogIndex, maxBytes: number): readonly Entry[] | "compacted" {
    return low > this.lastIndex() ? [] : this.range(low, this.#tail.end, maxBytes);
  }

  range(low: LogIndex, high: LogIndex, maxBytes: number): readonly Entry[] | "compacted" {
    if (low < this.firstIndex()) return "compacted";
    if (low >= this.#tail.first) return this.#tail.sliceWithin(low, high, maxBytes);
    const older = this.#view.entries(low, lower(high, this.#tail.first), maxBytes);
    if (older === "compacted") return older;
    const got = older === "unavailable" ? 0 : older.length;
    invariant(
      older !== "unavailable" && got > 0 && (older[0] as Entry).index === low,
      () => `the log holds entries from ${low} on; reading up to ${high} gave ${got}`,
    );
    const joint = plus(low, got);
    if (joint >= high || joint < this.#tail.first) return older;
    const room = maxBytes - entriesBytes(older);
    const newer = this.#tail.sliceWithin(joint, high, room);
    return entryBytes(newer[0] as Entry) > room ? older : [...older, ...newer];
  }

  /** Appends behind the last entry; never over a committed one (raft.md, never 6). */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    if (first.index <= this.#committed)
      violated(`entry ${first.index} replaces nothing that is committed, up to ${this.#committed}`);
    this.#tail.truncateAndAppend(entries);
  }

  /** The first of `entries` that is missing or differs here; null when all of them are there. */
  firstNew(entries: readonly Entry[]): number | null {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      if (!this.matches(entry.index, entry.term)) return i;
    }
    return null;
  }

  /**
   * The last index at or below `index` whose term is not above `term`: a log that holds `term` there cannot agree
   * with ours any later. Skips a whole term per round trip (Raft §5.3, end). Terms only grow along a log, so it is
   * searched by halves. Term 0: nothing of the log that is left qualifies.
   */
  lastNotAfter(index: LogIndex, term: Term): { readonly index: LogIndex; readonly term: Term } {
    let low = before(this.firstIndex());
    if (index < low) return { index, term: NO_TERM };
    if (this.knownTerm(low) > term) return { index: before(low), term: NO_TERM };
    let high = index;
    while (low < high) {
      const middle = (high - ((high - low) >> 1)) as LogIndex;
      if (this.knownTerm(middle) <= term) low = middle;
      else high = before(middle);
    }
    return { index: low, term: this.knownTerm(low) };
  }

  commitTo(index: LogIndex): boolean {
    if (index <= this.#committed) return false;
    if (index > this.lastIndex())
      violated(
        `commit ${index} lies within the log, which ends at ${this.lastIndex()}; did it lose entries?`,
      );
    this.#committed = index;
    return true;
  }

  // ------------------------------------------------------------------------------------------ work for the driver

  hasUnstable(): boolean {
    return this.#tail.hasUnstable();
  }

  hasNextUnstable(): boolean {
    return this.#tail.hasNext();
  }

  nextUnstable(): readonly Entry[] {
    return this.#tail.next();
  }

  nextSnapshot(): SnapshotMeta | null {
    return this.#snapshotHandedOut ? null : this.#snapshot;
  }

  hasPendingSnapshot(): boolean {
    return this.#snapshot !== null;
  }

  acceptUnstable(): void {
    this.#tail.accept();
    this.#snapshotHandedOut = this.#snapshot !== null;
  }

  stableTo(index: LogIndex, term: Term): void {
    this.#tail.stableTo(index, term);
  }

  /** The received snapshot is installed: the log's durable part begins after it. */
  snapshotInstalled(index: LogIndex): void {
    if (this.#snapshot?.index !== index) return;
    this.#snapshot = null;
    this.#snapshotHandedOut = false;
  }

  /** What may be handed to the state machine now; without `allowUnstable` only what is durable here. */
  nextCommitted(allowUnstable: boolean): readonly Entry[] {
    const last = this.#appliable(allowUnstable);
    const low = after(this.window.applying);
    if (this.#snapshot !== null || this.window.isPaused() || low > last) return [];
    const entries = this.range(low, after(last), this.window.room());
    return typeof entries === "string"
      ? violated(
          `entry ${low} was not compacted before it was applied (the log begins at ${this.firstIndex()})`,
        )
      : entries;
  }

  hasNextCommitted(allowUnstable: boolean): boolean {
    return (
      this.#snapshot === null &&
      !this.window.isPaused() &&
      this.window.applying < this.#appliable(allowUnstable)
    );
  }

  acceptApplying(entries: readonly Entry[], allowUnstable: boolean): void {
    this.window.handedOut(entries, this.#appliable(allowUnstable));
  }

  /** The state machine is at `index`; payload bytes of what it finished are returned. */
  appliedTo(index: LogIndex): number {
    if (index > this.#committed)
      violated(`applied ${index} is committed, which goes up to ${this.#committed}`);
    const bytes = this.window.appliedTo(index);
    this.#tail.trim(this.window.applied);
    return bytes;
  }

  /** Everything is replaced by a snapshot newer than what is committed (raft.md, never 12). */
  restore(meta: SnapshotMeta): void {
    invariant(
      meta.index > this.#committed,
      () => `a snapshot at ${meta.index} is newer than commit ${this.#committed}`,
    );
    this.#committed = meta.index;
    this.#tail.restore(meta.index);
    this.#snapshot = meta;
    this.#snapshotHandedOut = false;
  }

  snapshotToSend(): SnapshotMeta | "temporarilyUnavailable" {
    return this.#snapshot ?? this.#view.snapshot();
  }

  /** From a restart: commit as it was persisted, and what the state machine says it has. */
  resume(commit: LogIndex, applied: LogIndex): void {
    const first = this.firstIndex();
    const last = this.lastIndex();
    const at = higher(commit, before(first));
    invariant(at <= last, () => `persisted commit ${commit} lies within the log, ${first} to ${last}`);
    invariant(
      applied <= at,
      () =>
        `applied ${applied} was committed and that was persisted first; commit is ${at} (raft.md, never 15)`,
    );
    invariant(
      applied >= first - 1,
      () => `the state machine has what the log no longer holds: applied ${applied}, log from ${first}`,
    );
    this.#committed = at;
    this.window.startAt(applied);
  }

  #appliable(allowUnstable: boolean): LogIndex {
    return allowUnstable ? this.#committed : lower(this.#committed, plus(this.#tail.unstable, -1));
  }
}
