import type { LogIndex, NodeId } from "./ports.ts";
import type { ReadOutcome } from "./surface.ts";
import type { GaveUp, Patience } from "./waiting.ts";

interface Read {
  readonly patience: Patience;
  readonly settle: (outcome: ReadOutcome) => void;
  ended: boolean;
}

interface Asked {
  readonly reads: readonly Read[];
  readonly retryAt: number;
}

export interface ReadParts {
  readonly max: number;
  readonly retryTicks: number;
  /** Begins every token, so that none is used twice, also across restarts (raft.md, never 8). */
  readonly nonce: string;
}

/**
 * Reads on their way: those that came in one turn are confirmed together under one token, and are answered once their
 * index is applied here.
 */
export class Reads {
  readonly #parts: ReadParts;
  #fresh: Read[] = [];
  readonly #asked = new Map<string, Asked>();
  #confirmed: { readonly read: Read; readonly index: LogIndex }[] = [];
  #count = 0;
  #tokens = 0;
  #nextDeadline = Infinity;

  constructor(parts: ReadParts) {
    this.#parts = parts;
  }

  get count(): number {
    return this.#count;
  }

  /** A read of everything acknowledged before this call. */
  linearizable(patience: Patience): Promise<ReadOutcome> {
    return this.#add(patience, (read) => this.#fresh.push(read));
  }

  /** A read of at least what was applied at `index`. */
  from(index: LogIndex, applied: LogIndex, patience: Patience): Promise<ReadOutcome> {
    if (applied >= index) return Promise.resolve({ kind: "ready", index: applied });
    return this.#add(patience, (read) => this.#confirmed.push({ read, index }));
  }

  /** A token to confirm all reads that came since the last one; null when there are none. */
  ask(now: number): string | null {
    if (this.#fresh.length === 0) return null;
    const token = `${this.#parts.nonce}.${++this.#tokens}`;
    const retryAt = now + this.#parts.retryTicks;
    this.#asked.set(token, { reads: this.#fresh, retryAt });
    this.#nextDeadline = Math.min(this.#nextDeadline, retryAt);
    this.#fresh = [];
    return token;
  }

  confirmed(token: string, index: LogIndex): void {
    for (const read of this.#asked.get(token)?.reads ?? [])
      if (!read.ended) this.#confirmed.push({ read, index });
    this.#asked.delete(token);
  }

  dropped(token: string, leader: NodeId | null): void {
    for (const read of this.#asked.get(token)?.reads ?? []) this.#end(read, { kind: "notLeader", leader });
    this.#asked.delete(token);
  }

  applied(index: LogIndex): void {
    if (this.#confirmed.length === 0) return;
    const later = this.#confirmed.filter((waiting) => waiting.index > index);
    const ready = this.#confirmed.filter((waiting) => waiting.index <= index);
    this.#confirmed = later;
    for (const { read } of ready) this.#end(read, { kind: "ready", index });
  }

  /** True when some reads are to be asked for again. */
  tick(now: number): boolean {
    if (now < this.#nextDeadline) return false;
    this.#nextDeadline = Infinity;
    for (const [token, asked] of [...this.#asked]) {
      if (now < asked.retryAt) continue;
      this.#asked.delete(token);
      this.#fresh.push(...asked.reads.filter((read) => !read.ended));
    }
    for (const read of this.#all())
      if (now >= read.patience.deadline) this.#giveUp(read, "deadline");
      else this.#nextDeadline = Math.min(this.#nextDeadline, read.patience.deadline);
    for (const { retryAt } of this.#asked.values())
      this.#nextDeadline = Math.min(this.#nextDeadline, retryAt);
    return this.#fresh.length > 0;
  }

  stop(why: string): void {
    for (const read of this.#all()) this.#end(read, { kind: "stopped", why });
    this.#fresh = [];
    this.#confirmed = [];
    this.#asked.clear();
  }

  #all(): Read[] {
    return [
      ...this.#fresh,
      ...[...this.#asked.values()].flatMap((asked) => asked.reads),
      ...this.#confirmed.map((waiting) => waiting.read),
    ].filter((read) => !read.ended);
  }

  #add(patience: Patience, keep: (read: Read) => void): Promise<ReadOutcome> {
    if (this.#count >= this.#parts.max) return Promise.resolve({ kind: "dropped", why: "overloaded" });
    if (patience.aborted) return Promise.resolve({ kind: "dropped", why: "aborted" });
    return new Promise((settle) => {
      const read: Read = { patience, settle, ended: false };
      this.#count++;
      this.#nextDeadline = Math.min(this.#nextDeadline, patience.deadline);
      patience.whenAborted(() => this.#giveUp(read, "aborted"));
      keep(read);
    });
  }

  #giveUp(read: Read, why: GaveUp): void {
    this.#fresh = this.#fresh.filter((other) => other !== read);
    this.#confirmed = this.#confirmed.filter((waiting) => waiting.read !== read);
    this.#end(read, { kind: "dropped", why });
  }

  #end(read: Read, outcome: ReadOutcome): void {
    if (read.ended) return;
    read.ended = true;
    this.#count--;
    read.patience.done();
    read.settle(outcome);
  }
}
