import { ApiError } from "../api/errors.ts";
import type { FreshRead, ReadAnswer } from "./node-calls/contract.ts";
import { asApiError, checkRead, stoppedError, type Place } from "./outcomes.ts";
import type { Consensus, LocalShards, WaitFor } from "./ports.ts";
import type { Roles } from "./roles.ts";

export interface LocalReplicaParts {
  readonly consensus: Pick<Consensus, "readIndex" | "waitApplied">;
  readonly shards: LocalShards;
  readonly roles: Roles;
}

type Stale = Extract<ReadAnswer<never>, { kind: "notLeader" }>;

/** Founders of a group begin at this index, one that is placed later with nothing. */
const ANYTHING = 1;

/** The replicas on this node as questions reach them, from here or from another node: fresh enough first, then asked. */
export class LocalReplica {
  readonly #parts: LocalReplicaParts;
  /** The highest index each replica is known to have applied, by its life: a session that has seen no more need not ask. */
  readonly #applied = new WeakMap<object, number>();

  constructor(parts: LocalReplicaParts) {
    this.#parts = parts;
  }

  /** An applied write tells how far its shard is. */
  sawApplied(group: number, index: number): void {
    const life = this.#parts.roles.life(group);
    if (life !== null && index > this.#appliedOf(group)) this.#applied.set(life, index);
  }

  /** It is open and takes part. */
  serves(group: number): boolean {
    const { shards, roles } = this.#parts;
    return shards.isOpen(group) && roles.of(group).stopped === null;
  }

  /** `wait` bounds how long the replica may take to become as fresh as wanted. Throws ApiError. */
  async answer<T>(
    place: Place,
    fresh: Pick<FreshRead, "level" | "atLeast">,
    wait: WaitFor,
    ask: () => Promise<T>,
  ): Promise<ReadAnswer<T>> {
    this.#checkOpen(place);
    try {
      const stale = await this.#fresh(place, fresh, wait);
      return stale ?? { kind: "answer", answer: await ask() };
    } catch (error) {
      throw asApiError(error);
    }
  }

  async #fresh(
    place: Place,
    { level, atLeast }: Pick<FreshRead, "level" | "atLeast">,
    wait: WaitFor,
  ): Promise<Stale | null> {
    const { consensus, roles } = this.#parts;
    switch (level) {
      case "eventual":
        // Whatever it holds will do; one that was placed here and has received nothing yet holds no answer at all.
        return await this.#from(ANYTHING, place, { ...wait, timeoutMs: 0 });
      case "leader": {
        if (roles.leads(place.group)) return null;
        const { stopped, leader } = roles.of(place.group);
        if (stopped !== null) throw stoppedError(place, roles, "it stopped");
        return { kind: "notLeader", leader };
      }
      case "session":
        return await this.#from(Math.max(atLeast ?? 0, ANYTHING), place, wait);
      case "linearizable":
        return checkRead(await consensus.readIndex(place.group, wait), place, roles);
    }
  }

  /** At least what was applied at `index`. */
  async #from(index: number, place: Place, wait: WaitFor): Promise<Stale | null> {
    const { consensus, roles } = this.#parts;
    const { group } = place;
    if (index <= this.#appliedOf(group)) return null;
    const life = roles.life(group);
    const behind = checkRead(await consensus.waitApplied(group, index, wait), place, roles);
    if (behind === null && life === roles.life(group)) this.sawApplied(group, index);
    return behind;
  }

  /** One that was closed and came back, perhaps without its points, may not have got there again. */
  #appliedOf(group: number): number {
    const life = this.#parts.roles.life(group);
    return life === null ? 0 : (this.#applied.get(life) ?? 0);
  }

  #checkOpen(place: Place): void {
    const { shards, roles } = this.#parts;
    const { stopped } = roles.of(place.group);
    // Its engine may be able to answer still; what it would say is not to be relied on.
    if (shards.isOpen(place.group) && stopped !== null) throw stoppedError(place, roles, stopped.why);
    if (shards.isOpen(place.group)) return;
    const error = shards.error(place.group);
    if (error === null) throw stoppedError(place, roles, "it is opening, or no longer on this node");
    throw new ApiError("SHARD_FAILED", `shard ${place.shard} failed to open: ${error.message}`, {
      shard: place.shard,
    });
  }
}
