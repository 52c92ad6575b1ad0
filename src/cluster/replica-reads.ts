/**
 * A question to one shard, answered by one of its replicas: the one here when it will do, else the next that is
 * reachable. A replica that fails, is not fresh in time or cannot be reached is passed over for another one, within
 * the request's deadline.
 */
import { ApiError, type ErrorCode } from "../api/errors.ts";
import type { Leaders } from "./leaders.ts";
import type { LocalReplica } from "./local-replica.ts";
import type { FreshRead, ReadAnswer } from "./node-calls/contract.ts";
import { NodeCallError } from "./node-calls/errors.ts";
import type { NodeCallOptions } from "./node-calls/link.ts";
import { asApiError, lateWithout, noLeader, unled, type Place } from "./outcomes.ts";
import type { Timers } from "./timers.ts";
import type { ReadOptions } from "./types.ts";

export interface ReplicaReadsOptions {
  readonly nodeId: number;
  /** Bounds a try whose request has no end of its own. */
  readonly timeoutMs: number;
  /** A try's share of the deadline while there are other replicas to ask; doubled with each round. */
  readonly tryMs: number;
  /** Longest search for a replica that answers, before the client hears why none does. */
  readonly leaderMs: number;
}

export interface ReplicaReadsParts {
  readonly local: LocalReplica;
  readonly leaders: Leaders;
  readonly replicasOf: (group: number) => readonly number[];
  readonly timers: Timers;
}

/** How to ask this node's engine, and another node. */
export interface Question<T> {
  readonly here: (place: Place, signal: AbortSignal) => Promise<T>;
  readonly there: (
    node: number,
    place: Place,
    fresh: FreshRead,
    options: NodeCallOptions,
  ) => Promise<ReadAnswer<T>>;
}

/** Says nothing about what another replica would answer. */
const PASSING: readonly ErrorCode[] = [
  "NOT_READY",
  "NO_LEADER",
  "SHARD_FAILED",
  "OUT_OF_SPACE",
  "OVERLOADED",
  "DEADLINE_EXCEEDED",
];

export class ReplicaReads {
  readonly #options: ReplicaReadsOptions;
  readonly #parts: ReplicaReadsParts;

  constructor(options: ReplicaReadsOptions, parts: ReplicaReadsParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** Throws ApiError, or the signal's reason. */
  async ask<T>(place: Place, options: ReadOptions, question: Question<T>): Promise<T> {
    const { leaders, timers } = this.#parts;
    const { group } = place;
    const { signal } = options;
    const fresh = freshRead(place, options);
    const startedMs = timers.nowMs();
    for (let round = 0; ; round++) {
      const tried = new Set<number>();
      // Made only when it is thrown: most reads are answered by the first replica.
      let last: unknown = null;
      for (;;) {
        signal.throwIfAborted();
        const node = this.#next(fresh, tried, round);
        if (node === null) break;
        tried.add(node);
        try {
          const answer = await this.#try(node, place, fresh, question, {
            signal,
            timeoutMs: this.#shareMs(fresh, tried, round),
          });
          if (answer.kind === "answer") {
            if (fresh.level === "leader") leaders.learned(group, node);
            return answer.answer;
          }
          if (answer.leader !== node) leaders.mistaken(group, node);
          leaders.learned(group, answer.leader);
          last = null;
        } catch (error) {
          if (signal.aborted) throw late(place, fresh, signal.reason);
          if (!isPassing(error)) throw error;
          leaders.mistaken(group, node);
          last = error;
        }
      }
      const isOver = leaders.isAlone(group) || timers.nowMs() - startedMs >= this.#options.leaderMs;
      if (isOver) throw unanswered(place, fresh, last);
      try {
        await leaders.pause(group, round, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
        const what = needsLeader(fresh) ? "leader" : "replica";
        throw lateWithout(what, error, place, last instanceof Error ? last : null);
      }
    }
  }

  #next(fresh: FreshRead, tried: ReadonlySet<number>, round: number): number | null {
    const { leaders, local, replicasOf } = this.#parts;
    const { group, level } = fresh;
    // Alone, this node has nobody to learn from: it says at once what is the matter.
    if (level === "leader") return leaders.next(group, tried, leaders.isAlone(group) ? 1 : round);
    const left = replicasOf(group).filter((node) => !tried.has(node));
    const { nodeId } = this.#options;
    if (left.includes(nodeId) && local.serves(group)) return nodeId;
    const leader = leaders.of(group);
    // The leader is never behind; any other replica may first have to catch up.
    if (level !== "eventual" && leader !== null && left.includes(leader)) return leader;
    const elsewhere = leaders.reachableFirst(left.filter((node) => node !== nodeId));
    return elsewhere[0] ?? left[0] ?? null;
  }

  #shareMs({ group, level }: FreshRead, tried: ReadonlySet<number>, round: number): number {
    const { timeoutMs, tryMs } = this.#options;
    // Nobody can answer in the leader's place: after the others were asked who leads, it is waited for. That it hangs
    // shows in its connection, and that it was replaced in what the replica here hears.
    if (level === "leader" && round > 0) return timeoutMs;
    const others = this.#parts.replicasOf(group).some((node) => !tried.has(node));
    return others ? Math.min(timeoutMs, tryMs * 2 ** Math.min(round, 10)) : timeoutMs;
  }

  async #try<T>(
    node: number,
    place: Place,
    fresh: FreshRead,
    question: Question<T>,
    wait: NodeCallOptions,
  ): Promise<ReadAnswer<T>> {
    const { local, leaders } = this.#parts;
    if (node === this.#options.nodeId) {
      return await local.answer(place, fresh, wait, () => question.here(place, wait.signal));
    }
    if (fresh.level !== "leader") return await question.there(node, place, fresh, wait);
    const moved = new AbortController();
    const signal = AbortSignal.any([wait.signal, moved.signal]);
    const call = question.there(node, place, fresh, { ...wait, signal });
    const end = await leaders.whileLeading(place.group, node, call);
    if (end !== "replaced") return end;
    call.catch(() => undefined);
    moved.abort();
    return { kind: "notLeader", leader: null };
  }
}

/** A session that joined the answers of several writes may name a shard more than once: it has seen all of them. */
export function freshRead(place: Place, { consistency, caller = null }: ReadOptions): FreshRead {
  const atLeast =
    consistency.level === "session"
      ? consistency.atLeast.reduce(
          (most, { shard, index }) => (shard === place.shard ? Math.max(most, index) : most),
          0,
        )
      : null;
  return { group: place.group, level: consistency.level, atLeast, caller };
}

/** Why nobody answered for so long; `last`: what the last try ended with, null: nobody to try. */
function unanswered(place: Place, fresh: FreshRead, last: unknown): unknown {
  const why = asApiError(last);
  if (why === null) return noLeader(place);
  return why instanceof ApiError && needsLeader(fresh) ? unled(place, why) : why;
}

function needsLeader({ level }: FreshRead): boolean {
  return level === "leader" || level === "linearizable";
}

/** An index that comes from another collection may never be reached: the client has to hear what was waited for. */
function late({ shard }: Place, { atLeast }: FreshRead, reason: unknown): unknown {
  if (atLeast === null || !(reason instanceof ApiError) || reason.code !== "DEADLINE_EXCEEDED") return reason;
  return new ApiError(
    "DEADLINE_EXCEEDED",
    `${reason.message}: shard ${shard} was not known to have applied index ${atLeast}, which the session has seen`,
    reason.details,
    { cause: reason },
  );
}

function isPassing(error: unknown): boolean {
  if (error instanceof NodeCallError) return error.code !== "TOO_LARGE";
  return error instanceof ApiError && PASSING.includes(error.code);
}
