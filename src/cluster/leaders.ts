/** Who leads which group: told by the consensus thread for groups held here, learned from answers for the others. */
import { ApiError } from "../api/errors.ts";
import type { Peers } from "./ports.ts";
import type { Roles } from "./roles.ts";
import type { Timers } from "./timers.ts";

/** Groups whose leader is remembered: some bytes each. */
const HINTS_MAX = 100_000;

/** While nobody leads: short after the first failure, since an election takes some hundred milliseconds. */
const PAUSE_MS = { first: 20, longest: 200 } as const;

export interface LeadersParts {
  readonly roles: Roles;
  readonly peers: Pick<Peers, "stateOf">;
  /** Nodes that a replica is placed on. */
  readonly replicasOf: (group: number) => readonly number[];
  readonly timers: Timers;
}

export class Leaders {
  readonly #nodeId: number;
  readonly #parts: LeadersParts;
  readonly #hints = new Map<number, number>();

  constructor(options: { readonly nodeId: number }, parts: LeadersParts) {
    this.#nodeId = options.nodeId;
    this.#parts = parts;
  }

  /** As far as is known here. */
  of(group: number): number | null {
    return this.#parts.roles.of(group).leader ?? this.#hints.get(group) ?? null;
  }

  /** Another node said who leads; null: it does not know. */
  learned(group: number, leader: number | null): void {
    if (leader === null) return;
    this.#hints.delete(group);
    this.#hints.set(group, leader);
    if (this.#hints.size <= HINTS_MAX) return;
    const [oldest] = this.#hints.keys();
    if (oldest !== undefined) this.#hints.delete(oldest);
  }
  /** It did not answer, or does not lead. */
  mistaken(group: number, node: number): void {
    if (this.#hints.get(group) === node) this.#hints.delete(group);
  }

  /**
   * Whom to try next in this round of tries; null: nobody is left, and a pause is due. A node that holds the group
   * hears of elections at once and so asks only the leader it knows, at first; others find it by asking around.
   */
  next(group: number, tried: ReadonlySet<number>, round: number): number | null {
    const { roles, replicasOf } = this.#parts;
    const told = roles.of(group).leader;
    if (told !== null && !tried.has(told)) return told;
    const hint = this.#hints.get(group);
    if (hint !== undefined && !tried.has(hint)) return hint;
    const waits = round === 0 && roles.knows(group) && roles.of(group).stopped === null;
    if (waits) return null;
    return this.reachableFirst(replicasOf(group).filter((node) => !tried.has(node)))[0] ?? null;
  }

  /**
   * What the node answers, or `replaced` as soon as the replica here hears that another one leads: a leader that hangs
   * answers nothing, and its successor is known long before any deadline. Without a replica here it just waits.
   */
  async whileLeading<T>(group: number, node: number, work: Promise<T>): Promise<T | "replaced"> {
    const { roles } = this.#parts;
    let stop: () => void = () => undefined;
    const replaced = new Promise<"replaced">((resolve) => {
      stop = roles.watch(group, () => {
        const { leader } = roles.of(group);
        if (leader !== null && leader !== node) resolve("replaced");
      });
    });
    try {
      return await Promise.race([work, replaced]);
    } finally {
      stop();
    }
  }

  /** Only this node has a replica. */
  isAlone(group: number): boolean {
    return this.#parts.replicasOf(group).every((node) => node === this.#nodeId);
  }

  /** This node first, then those with an open stream, then the others; in turn, so that load spreads. */
  reachableFirst(nodes: readonly number[]): readonly number[] {
    const rank = (node: number): number => {
      if (node === this.#nodeId) return 0;
      const state = this.#parts.peers.stateOf(node);
      return state === "open" ? 1 : state === "dialling" ? 2 : 3;
    };
    this.#turn = (this.#turn + 1) % 1_000_003;
    const from = nodes.length === 0 ? 0 : this.#turn % nodes.length;
    return [...nodes.slice(from), ...nodes.slice(0, from)].sort((a, b) => rank(a) - rank(b));
  }
  #turn = 0;

  /**
   * Resolves when something is told of the group, or after a while that grows with the round. Throws the signal's reason,
   * and COLLECTION_NOT_FOUND when nobody is to hold the group any more: it was dropped while it was waited for.
   */
  async pause(group: number, round: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { replicasOf, roles, timers } = this.#parts;
    if (replicasOf(group).length === 0)
      throw new ApiError("COLLECTION_NOT_FOUND", "Not found: the collection was dropped meanwhile");
    const ms = Math.min(PAUSE_MS.longest, PAUSE_MS.first * 2 ** Math.min(round, 10));
    let stop: () => void = () => undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => reject(signal.reason as Error);
        const stopTimer = timers.after(ms, resolve);
        const stopWatching = roles.watch(group, resolve);
        signal.addEventListener("abort", onAbort, { once: true });
        stop = () => {
          stopTimer();
          stopWatching();
          signal.removeEventListener("abort", onAbort);
        };
      });
    } finally {
      stop();
    }
  }
}
