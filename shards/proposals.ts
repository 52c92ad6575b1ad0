import type { Entry, NodeId, Term } from "./ports.ts";
import type { ConfChange } from "./raft/conf-change.ts";
import { LogIndex } from "./raft/types.ts";
import { invariant } from "./raft/invariant.ts";
import type { ProposalOutcome, UnknownReason } from "./surface.ts";
import type { GaveUp, Patience } from "./waiting.ts";

/** What is proposed. */
export type Proposed =
  | { readonly kind: "data"; readonly data: Uint8Array; readonly wait: "applied" | "committed" }
  | { readonly kind: "membership"; readonly change: ConfChange; readonly data: Uint8Array };

export interface Pending {
  readonly proposed: Proposed;
  readonly startedMs: number;
  readonly patience: Patience;
  readonly settle: (outcome: ProposalOutcome) => void;
  /** Where it lies in the log; null before it was proposed. */
  at: { readonly term: Term; readonly index: LogIndex } | null;
  committed: boolean;
  ended: boolean;
}

export interface ProposalParts {
  readonly countMax: number;
  readonly bytesMax: number;
  readonly nowMs: () => number;
  /** Told how each one ended, and when it was committed. */
  readonly onEnd: (outcome: ProposalOutcome, ms: number) => void;
  readonly onCommit: (ms: number) => void;
}

/**
 * Proposals of this node that have no outcome yet: first those that wait to be proposed, in order, then those in the
 * log by index. What ends one is what the log shows at its index; only a lack of patience ends it in doubt.
 *
 * An index may hold several: after leadership was lost and won again the same index is filled a second time, and the
 * first proposal is not certainly lost until something was committed there.
 */
export class Proposals {
  readonly #parts: ProposalParts;
  #waiting: Pending[] = [];
  readonly #outstanding = new Map<LogIndex, Pending[]>();
  #count = 0;
  #bytes = 0;
  #nextDeadline = Infinity;
  /** After this tick nothing of an earlier leadership is waited for. */
  #settleBy = Infinity;
  /** Of the last applied entry. */
  #appliedTerm = 0;

  constructor(parts: ProposalParts) {
    this.#parts = parts;
  }

  get count(): number {
    return this.#count;
  }
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Refused at once when too many, or too many bytes, have no outcome yet. */
  add(proposed: Proposed, patience: Patience): Promise<ProposalOutcome> {
    const bytes = proposed.data.length;
    if (
      this.#count >= this.#parts.countMax ||
      (this.#count > 0 && this.#bytes + bytes > this.#parts.bytesMax)
    )
      return this.#refuse({ kind: "dropped", why: "overloaded" });
    if (patience.aborted) return this.#refuse({ kind: "dropped", why: "aborted" });
    return new Promise((settle) => {
      const pending: Pending = {
        proposed,
        startedMs: this.#parts.nowMs(),
        patience,
        settle,
        at: null,
        committed: false,
        ended: false,
      };
      this.#count++;
      this.#bytes += bytes;
      this.#nextDeadline = Math.min(this.#nextDeadline, patience.deadline);
      this.#waiting.push(pending);
      patience.whenAborted(() => this.#giveUp(pending, "aborted"));
    });
  }

  /** The next ones in order that fit in `maxBytes` (at least one), all data or one membership change. */
  next(maxBytes: number): readonly Pending[] {
    const batch: Pending[] = [];
    let bytes = 0;
    for (const pending of this.#waiting) {
      bytes += pending.proposed.data.length;
      const alone = pending.proposed.kind === "membership";
      if (batch.length > 0 && (bytes > maxBytes || alone)) break;
      batch.push(pending);
      if (alone) break;
    }
    return batch;
  }

  /** Whether those that wait have so many bytes together, or something is among them that nothing may delay. */
  fills(bytes: number): boolean {
    let sum = 0;
    for (const { proposed } of this.#waiting) {
      sum += proposed.data.length;
      if (sum >= bytes || proposed.kind === "membership") return true;
    }
    return false;
  }

  /** The first ones of {@link next} entered the log, contiguous from `first` on. */
  entered(batch: readonly Pending[], first: LogIndex, term: Term): void {
    this.#waiting.splice(0, batch.length);
    batch.forEach((pending, offset) => {
      const index = LogIndex(first + offset);
      pending.at = { term, index };
      const there = this.#outstanding.get(index);
      if (there === undefined) this.#outstanding.set(index, [pending]);
      else there.push(pending);
    });
  }

  /** The first ones of {@link next} will never enter the log. */
  refused(batch: readonly Pending[], outcome: ProposalOutcome): void {
    this.#waiting.splice(0, batch.length);
    for (const pending of batch) this.#end(pending, outcome);
  }

  refuseWaiting(outcome: ProposalOutcome): void {
    if (this.#waiting.length > 0) this.refused([...this.#waiting], outcome);
  }

  committed(entry: Pick<Entry, "term" | "index">): void {
    for (const pending of this.#outstanding.get(entry.index) ?? []) {
      if (pending.at?.term !== entry.term || pending.committed) continue;
      pending.committed = true;
      this.#parts.onCommit(this.#parts.nowMs() - pending.startedMs);
      if (pending.proposed.kind === "data" && pending.proposed.wait === "committed")
        this.#end(pending, { kind: "committed", ...pending.at });
    }
  }

  /** What stands at this index for good, and what applying it gave. */
  applied(entry: Pick<Entry, "term" | "index" | "kind">, result: unknown): void {
    if (entry.term > this.#appliedTerm) this.#overtaken(entry);
    const there = this.#outstanding.get(entry.index);
    if (there === undefined) return;
    for (const pending of [...there]) {
      const { at, proposed } = pending;
      invariant(at !== null, "what is outstanding has a place in the log");
      if (at.term !== entry.term) this.#end(pending, { kind: "overwritten", ...at });
      // The core puts an empty entry in place of a membership change that does not fit.
      else if (proposed.kind === "membership" && entry.kind === "normal")
        this.#end(pending, { kind: "dropped", why: "refusedByCore" });
      else this.#end(pending, { kind: "applied", ...at, result });
    }
  }

  /**
   * Terms never fall along a log: behind this entry there is no room for one of an earlier term, though it may take long
   * until something else stands there.
   */
  #overtaken({ term, index }: Pick<Entry, "term" | "index">): void {
    this.#appliedTerm = term;
    for (const pending of [...this.#outstanding.values()].flat())
      if (pending.at !== null && pending.at.index > index && pending.at.term < term)
        this.#end(pending, { kind: "overwritten", ...pending.at });
  }

  /** A snapshot covers everything up to `index`: what stood there will not be seen here. */
  skippedTo(index: LogIndex): void {
    for (const [at, list] of [...this.#outstanding])
      if (at <= index) for (const pending of [...list]) this.#doubt(pending, "snapshotInstalled");
  }

  leadershipLost(leader: NodeId | null, settleBy: number): void {
    this.refuseWaiting({ kind: "notLeader", leader });
    this.#settleBy = settleBy;
    this.#nextDeadline = Math.min(this.#nextDeadline, settleBy);
  }

  leadershipWon(): void {
    this.#settleBy = Infinity;
  }

  tick(now: number): void {
    if (now < this.#nextDeadline) return;
    this.#nextDeadline = Infinity;
    for (const pending of [...this.#waiting, ...[...this.#outstanding.values()].flat()]) {
      if (now >= pending.patience.deadline) this.#giveUp(pending, "deadline");
      else if (pending.at !== null && now >= this.#settleBy) this.#doubt(pending, "leadershipLost");
      else this.#nextDeadline = Math.min(this.#nextDeadline, pending.patience.deadline, this.#settleBy);
    }
  }

  stop(why: string): void {
    this.refuseWaiting({ kind: "stopped", why });
    for (const pending of [...this.#outstanding.values()].flat()) this.#doubt(pending, "stopped");
  }

  #giveUp(pending: Pending, why: GaveUp): void {
    if (pending.at !== null) return this.#doubt(pending, why);
    const place = this.#waiting.indexOf(pending);
    if (place >= 0) this.#waiting.splice(place, 1);
    this.#end(pending, { kind: "dropped", why });
  }

  #doubt(pending: Pending, why: UnknownReason): void {
    if (pending.at === null || pending.ended) return;
    this.#end(pending, { kind: "unknown", ...pending.at, why });
  }

  #end(pending: Pending, outcome: ProposalOutcome): void {
    if (pending.ended) return;
    pending.ended = true;
    pending.patience.done();
    this.#count--;
    this.#bytes -= pending.proposed.data.length;
    if (pending.at !== null) {
      const rest = (this.#outstanding.get(pending.at.index) ?? []).filter((other) => other !== pending);
      if (rest.length === 0) this.#outstanding.delete(pending.at.index);
      else this.#outstanding.set(pending.at.index, rest);
    }
    this.#parts.onEnd(outcome, this.#parts.nowMs() - pending.startedMs);
    pending.settle(outcome);
  }

  #refuse(outcome: ProposalOutcome): Promise<ProposalOutcome> {
    this.#parts.onEnd(outcome, 0);
    return Promise.resolve(outcome);
  }
}
