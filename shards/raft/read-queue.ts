/**
 * Linearizable reads on their way (§6.4 of the dissertation). The leader notes its commit index, proves with a round of
 * heartbeats that it still leads, and only then answers. Rounds are numbered and named by term, never reused: an old
 * acknowledgement cannot confirm a new read (raft.md, never 8).
 */
import type { LogIndex, NodeId, Term } from "./types.ts";

export interface WaitingRead {
  /** Who asked; this member itself, or a follower. */
  readonly from: NodeId;
  readonly token: string;
}

const NONE: readonly string[] = [];

interface Round {
  readonly number: number;
  readonly index: LogIndex;
  readonly reads: WaitingRead[];
  readonly acks: Set<NodeId>;
  /** Tick of this reign at which its heartbeats left: a lease counts from sending (raft.md, never 9). */
  readonly sentAtTick: number;
}

export class ReadQueue {
  /** Reads that wait for the first commit of this term. */
  #early: WaitingRead[] = [];
  /** Reads that wait for the next round of heartbeats. */
  #unsent: WaitingRead[] = [];
  #rounds: Round[] = [];
  #lastRound = 0;
  /** A follower's: own name of each forwarded read, and the token it was asked with. */
  #forwarded = new Map<string, string>();
  /** Forwarded before the last turn; given up at the next one, or lost messages would fill the queue for good. */
  #forwardedEarlier = new Map<string, string>();
  #ticksToTurn = 0;
  #forwardedCount = 0;
  /** A leader's ticks since its reign began. */
  ticks = 0;
  /** Until this tick no other leader can have been elected; 0 without a lease. */
  leaseUntil = 0;
  /** A transfer was started in this reign: its target may be elected within the lease, so there is none. */
  leaseVoid = false;

  get size(): number {
    return this.#early.length + this.#unsent.length + this.#forwardedSize() + this.inRounds();
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  waitForFirstCommit(read: WaitingRead): void {
    this.#early.push(read);
  }

  takeEarly(): readonly WaitingRead[] {
    const early = this.#early;
    this.#early = [];
    return early;
  }

  add(read: WaitingRead): void {
    this.#unsent.push(read);
  }

  /** Starts a round with all that wait; a round without reads still measures a lease. */
  startRound(term: Term, index: LogIndex): string {
    const number = ++this.#lastRound;
    this.#rounds.push({ number, index, reads: this.#unsent, acks: new Set(), sentAtTick: this.ticks });
    this.#unsent = [];
    return `${term}.${number}`;
  }

  /** The newest round, for a heartbeat that repeats it; empty when none is open. */
  currentToken(term: Term): string {
    return this.#rounds.length === 0 ? "" : `${term}.${this.#lastRound}`;
  }

  /** One member has answered a round, and so every older one. Null for a token that was never given out. */
  acknowledge(term: Term, token: string, from: NodeId): boolean {
    const number = roundOf(term, token);
    if (number === null || number > this.#lastRound) return false;
    for (const round of this.#rounds) if (round.number <= number) round.acks.add(from);
    return true;
  }

  /** Removes and answers the rounds that a quorum has answered, with everything older. */
  takeConfirmed(isQuorum: (acks: ReadonlySet<NodeId>) => boolean): readonly Round[] {
    for (let last = this.#rounds.length - 1; last >= 0; last--)
      if (isQuorum((this.#rounds[last] as Round).acks)) return this.#rounds.splice(0, last + 1);
    return [];
  }

  /** Names a read that is passed on to the leader; `nonce` keeps the names of two runs of a node apart. */
  forward(token: string, nonce: number): string {
    const name = `${nonce}.${++this.#forwardedCount}`;
    this.#forwarded.set(name, token);
    return name;
  }

  /** The token of a forwarded read that was answered; undefined when it was not asked for, or answered before. */
  settle(name: string): string | undefined {
    for (const asked of [this.#forwarded, this.#forwardedEarlier]) {
      const token = asked.get(name);
      if (asked.delete(name)) return token;
    }
    return undefined;
  }

  /** A follower's tick: returns forwarded reads that had no answer for one to two times `patience` ticks. */
  giveUp(patience: number): readonly string[] {
    if (this.#forwardedSize() === 0 || ++this.#ticksToTurn < patience) return NONE;
    this.#ticksToTurn = 0;
    const late = [...this.#forwardedEarlier.values()];
    this.#forwardedEarlier = this.#forwarded;
    this.#forwarded = new Map();
    return late;
  }

  #forwardedSize(): number {
    return this.#forwarded.size + this.#forwardedEarlier.size;
  }

  /** A reign or its following ends: nobody will confirm these. Returns the own reads among them. */
  drop(self: NodeId): readonly string[] {
    const own = [...this.#early, ...this.#unsent, ...this.#rounds.flatMap((round) => round.reads)]
      .filter((read) => read.from === self)
      .map((read) => read.token);
    own.push(...this.#forwardedEarlier.values(), ...this.#forwarded.values());
    this.#early = [];
    this.#unsent = [];
    this.#rounds = [];
    this.#forwarded.clear();
    this.#forwardedEarlier.clear();
    this.ticks = 0;
    this.leaseUntil = 0;
    this.leaseVoid = false;
    return own;
  }

  inRounds(): number {
    let reads = 0;
    for (const round of this.#rounds) reads += round.reads.length;
    return reads;
  }

  /** In lease mode every heartbeat opens a round: old unanswered ones are of no use once newer ones are out. */
  forgetEmptyRoundsBefore(tick: number): void {
    if (this.#rounds.length > 0)
      this.#rounds = this.#rounds.filter((round) => round.reads.length > 0 || round.sentAtTick >= tick);
  }
}

function roundOf(term: Term, token: string): number | null {
  const dot = token.indexOf(".");
  if (dot < 0 || token.slice(0, dot) !== String(term)) return null;
  const number = Number(token.slice(dot + 1));
  return Number.isSafeInteger(number) && number > 0 ? number : null;
}
