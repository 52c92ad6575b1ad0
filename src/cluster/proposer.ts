/**
 * One entry into a group's log, wherever its leader is. Whatever happens on the way (no leader, a broken connection, a
 * leader that loses its office), the entry is proposed again until the deadline: its bytes carry (origin, sequence), so
 * that a second proposal of one that went through after all changes nothing. Only when the deadline ends while one
 * proposal's fate is open is the outcome unknown.
 */
import type { ProposalOutcome } from "../../shards/index.ts";
import { ApiError } from "../api/errors.ts";
import type { Leaders } from "./leaders.ts";
import type { Caller } from "./node-calls/contract.ts";
import { NodeCallError } from "./node-calls/errors.ts";
import { asApiError, fateOf, lateWithout, unled, type EntryFate, type Place } from "./outcomes.ts";
import type { Consensus, Peers } from "./ports.ts";
import type { Roles } from "./roles.ts";
import type { Timers } from "./timers.ts";

export interface ProposerOptions {
  readonly nodeId: number;
  /** Longest wait for one proposal's outcome; the request's own signal usually ends it before. */
  readonly timeoutMs: number;
  /** Longest wait for somebody to lead, before the client hears that nobody does. */
  readonly leaderMs: number;
}

export interface ProposerParts {
  readonly consensus: Consensus;
  readonly peers: Peers;
  readonly roles: Roles;
  readonly leaders: Leaders;
  readonly timers: Timers;
  /** The replica on this node has applied an entry. */
  readonly appliedHere?: (group: number, index: number) => void;
}

export interface ProposeEntry {
  readonly wait: "applied" | "committed";
  readonly signal: AbortSignal;
  /** null: the node itself. */
  readonly caller: Caller;
  /** Whether it adds data, which quotas refuse. */
  readonly adds: boolean;
}

export interface Proposed {
  readonly index: number;
  /** What the state machine said; null when only its commitment was waited for. */
  readonly result: unknown;
  /** An earlier try may have put the entry in: that it was there before says nothing about the client. */
  readonly repeated: boolean;
}

/** After the deadline, what the leader's node knows by then still counts when it comes within this time. */
const GRACE_MS = 250;

/** What is known of tries whose fate is open. */
interface Doubt {
  readonly term: number | null;
  readonly index: number | null;
}

const NOWHERE: Doubt = { term: null, index: null };

type Try = EntryFate & { readonly doubt?: Doubt };

export class Proposer {
  readonly #options: ProposerOptions;
  readonly #parts: ProposerParts;

  constructor(options: ProposerOptions, parts: ProposerParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** `data` is kept as it is. Throws ApiError, or the signal's reason while nothing was proposed. */
  async propose(place: Place, data: Uint8Array, options: ProposeEntry): Promise<Proposed> {
    const { leaders, timers } = this.#parts;
    const startedMs = timers.nowMs();
    const { signal } = options;
    let doubt: Doubt | null = null;
    let last: ApiError | null = null;
    const late = (): unknown => (doubt === null ? signal.reason : unknownOutcome(place, doubt));
    for (let round = 0; ; round++) {
      const tried = new Set<number>();
      for (;;) {
        if (signal.aborted) throw late();
        const node = leaders.next(place.group, tried, round);
        if (node === null) break;
        tried.add(node);
        const end = await this.#try(node, place, data, options);
        doubt = end.doubt ?? doubt;
        if (end.kind === "done") {
          leaders.learned(place.group, node);
          return { index: end.index, result: end.outcome, repeated: doubt !== null };
        }
        if (end.kind === "failed") {
          if (signal.aborted && end.error.code === "DEADLINE_EXCEEDED") throw late();
          const said = doubt === null || end.error.code === "OUTCOME_UNKNOWN";
          throw said ? end.error : unknownOutcome(place, doubt ?? NOWHERE, end.error);
        }
        last = end.why ?? last;
        // Who refused does not lead; a refusal that names who does is followed at once.
        if (end.leader !== node) leaders.mistaken(place.group, node);
        leaders.learned(place.group, end.leader);
      }
      if (timers.nowMs() - startedMs >= this.#options.leaderMs) {
        const why = unled(place, last);
        throw doubt === null ? why : unknownOutcome(place, doubt, why);
      }
      try {
        await leaders.pause(place.group, round, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
        throw doubt === null ? lateWithout("leader", signal.reason, place, last) : late();
      }
    }
  }

  async #try(node: number, place: Place, data: Uint8Array, options: ProposeEntry): Promise<Try> {
    try {
      return node === this.#options.nodeId
        ? await this.#here(place, data, options)
        : await this.#there(node, place, data, options);
    } catch (error) {
      if (error instanceof NodeCallError) return this.#failedCall(error, options.signal);
      if (error instanceof Error && "code" in error && error.code === "THREAD_GONE") {
        const why = new ApiError("NOT_READY", `the node is ending: ${error.message}`, {}, { cause: error });
        return { kind: "failed", error: why, doubt: NOWHERE };
      }
      const known = asApiError(error);
      if (known instanceof ApiError) return { kind: "failed", error: known };
      throw error;
    }
  }

  async #here(place: Place, data: Uint8Array, { wait, signal }: ProposeEntry): Promise<Try> {
    const { timeoutMs } = this.#options;
    const { stopped } = this.#parts.roles.of(place.group);
    // As another node would be answered: its log may run still, but what it would say of the entry is in doubt.
    if (stopped !== null) return this.#judged({ kind: "stopped", why: stopped.why }, place);
    // Proposing gives the bytes away; they may be needed again.
    const outcome = await this.#parts.consensus.propose(place.group, new Uint8Array(data), {
      wait,
      timeoutMs,
      signal,
    });
    if (outcome.kind === "applied") this.#parts.appliedHere?.(place.group, outcome.index);
    return this.#judged(outcome, place);
  }

  async #there(node: number, place: Place, data: Uint8Array, options: ProposeEntry): Promise<Try> {
    const { peers, leaders } = this.#parts;
    const { timeoutMs } = this.#options;
    const { wait, signal, caller, adds } = options;
    const { group } = place;
    const moved = new AbortController();
    const call = peers.call(
      node,
      "propose",
      { group, data, wait, timeoutMs, caller, adds },
      { timeoutMs, signal: AbortSignal.any([signal, moved.signal]), graceMs: GRACE_MS },
    );
    const end = await leaders.whileLeading(group, node, call);
    if (end !== "replaced") return this.#judged(end, place);
    call.catch(() => undefined);
    moved.abort();
    return { kind: "again", leader: null, why: null, doubt: NOWHERE };
  }

  #judged(outcome: ProposalOutcome, place: Place): Try {
    const { roles } = this.#parts;
    if (outcome.kind === "unknown") {
      const doubt = { term: outcome.term, index: outcome.index };
      const late = outcome.why === "deadline" || outcome.why === "aborted";
      const fate = fateOf(outcome, place, roles);
      return late ? { ...fate, doubt } : { kind: "again", leader: null, why: null, doubt };
    }
    const fate = fateOf(outcome, place, roles);
    // A replica that takes no part says nothing about the others.
    if (outcome.kind !== "stopped" || fate.kind !== "failed" || this.#parts.leaders.isAlone(place.group)) {
      return fate;
    }
    return { kind: "again", leader: null, why: fate.error };
  }

  #failedCall(error: NodeCallError, signal: AbortSignal): Try {
    const doubt = error.sent ? { doubt: NOWHERE } : {};
    const known = asApiError(error);
    const why = known instanceof ApiError ? known : new ApiError("INTERNAL", error.message);
    switch (error.code) {
      case "UNREACHABLE":
      case "NOT_READY":
      case "THREAD_GONE":
      case "CLOSED":
        return { kind: "again", leader: null, why, ...doubt };
      case "ABORTED":
      case "DEADLINE":
        return {
          kind: "failed",
          error: new ApiError("DEADLINE_EXCEEDED", why.message, {}, { cause: error }),
          ...(signal.aborted || error.sent ? doubt : {}),
        };
      case "OVERLOADED":
      case "TOO_LARGE":
        return { kind: "failed", error: why };
      default:
        return { kind: "failed", error: why, ...doubt };
    }
  }
}

function unknownOutcome(place: Place, doubt: Doubt, cause?: Error): ApiError {
  const where = doubt.index === null ? "" : ` at index ${doubt.index}`;
  const why = cause === undefined ? "" : ` (${cause.message})`;
  return new ApiError(
    "OUTCOME_UNKNOWN",
    `Timeout error: the write was proposed to shard ${place.shard}${where} and may still happen${why}`,
    { unknown: [{ shard: place.shard, ...doubt }] },
    { cause },
  );
}
