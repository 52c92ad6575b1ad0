/**
 * Evidence that a leader's process is gone: its connection broke and a new one was refused (adr/0004). It only ever
 * brings a pre-vote forward and lets those who hold the same evidence answer it.
 */
import type { NodeId } from "./types.ts";

/** Refusals in a row after which only the ordinary timeout counts: whatever this is, haste does not help. */
const MAX_ATTEMPTS = 3;

export class Evidence {
  readonly #lost = new Set<NodeId>();
  readonly #refused = new Set<NodeId>();
  /** Ticks until this member campaigns on its evidence; 0: not planned. */
  #ticksLeft = 0;
  #attempts = 0;
  #suspect: NodeId | null = null;

  /** Both are needed: a broken connection alone may be the network, a refusal alone may be a start. */
  holdsAgainst(peer: NodeId): boolean {
    return this.#lost.has(peer) && this.#refused.has(peer);
  }

  lost(peer: NodeId): void {
    this.#lost.add(peer);
  }

  refused(peer: NodeId): void {
    this.#refused.add(peer);
  }

  /** It is alive after all. */
  disproved(peer: NodeId): void {
    if (this.#lost.size === 0 && this.#refused.size === 0) return;
    this.#lost.delete(peer);
    this.#refused.delete(peer);
    if (this.#suspect === peer) this.forget();
  }

  /** The leader that is presumed dead by this member, as long as nothing spoke against it. */
  get suspect(): NodeId | null {
    return this.#suspect;
  }

  plan(suspect: NodeId, ticks: number): void {
    if (this.#suspect !== suspect) this.#attempts = 0;
    this.#suspect = suspect;
    if (this.#attempts < MAX_ATTEMPTS) this.#ticksLeft = ticks;
  }

  /** No campaign is planned, and nobody suspected; what is known of connections stays. */
  forget(): void {
    this.#suspect = null;
    this.#ticksLeft = 0;
    this.#attempts = 0;
  }

  /** True when the planned moment has come. */
  tick(): boolean {
    if (this.#ticksLeft === 0) return false;
    this.#ticksLeft--;
    if (this.#ticksLeft > 0) return false;
    this.#attempts++;
    return true;
  }
}
