import { ApiError } from "../api/errors.ts";
import type { CatalogueCollection } from "../catalog/types.ts";
import type { Leaders } from "./leaders.ts";
import { NodeCallError } from "./node-calls/errors.ts";
import { asApiError, type Place } from "./outcomes.ts";
import type { Consensus, LocalShards, Peers } from "./ports.ts";

export interface WritableParts {
  readonly consensus: Pick<Consensus, "readIndex">;
  readonly peers: Peers;
  readonly leaders: Leaders;
  readonly replicasOf: (group: number) => readonly number[];
  readonly shards: LocalShards;
}

/** Waits until a new collection's shards can take writes: each has a leader that a majority confirms. */
export class Writable {
  readonly #options: { readonly nodeId: number; readonly tryMs: number };
  readonly #parts: WritableParts;

  constructor(options: { readonly nodeId: number; readonly tryMs: number }, parts: WritableParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** SHARD_FAILED: one does not open here. OUTCOME_UNKNOWN: the deadline came first; the collection exists. */
  async wait(collection: CatalogueCollection, signal: AbortSignal): Promise<void> {
    try {
      await Promise.all(collection.shards.map((place) => this.#shard(collection.name, place, signal)));
    } catch (cause) {
      if (!signal.aborted) throw cause;
      throw new ApiError(
        "OUTCOME_UNKNOWN",
        `Timeout error: collection \`${collection.name}\` was created, but its shards are not open yet`,
        { unknown: [] },
        { cause },
      );
    }
  }

  async #shard(name: string, place: Place, signal: AbortSignal): Promise<void> {
    const { leaders, replicasOf, shards } = this.#parts;
    const { group, shard } = place;
    for (let round = 0; ; round++) {
      const replicas = replicasOf(group);
      // It was dropped again meanwhile: it was made all the same, and there is nothing left to wait for.
      if (replicas.length === 0) return;
      for (const node of leaders.reachableFirst(replicas)) {
        const error = shards.error(group);
        if (error !== null) {
          throw new ApiError(
            "SHARD_FAILED",
            `Service internal error: collection \`${name}\` was created, but a shard does not open: ${error.message}`,
            { shard },
            { cause: error },
          );
        }
        signal.throwIfAborted();
        if (await this.#isLed(node, group, signal)) return;
      }
      await leaders.pause(group, round, signal);
    }
  }

  async #isLed(node: number, group: number, signal: AbortSignal): Promise<boolean> {
    const { consensus, peers, shards } = this.#parts;
    const { nodeId, tryMs: timeoutMs } = this.#options;
    if (node === nodeId && !shards.isOpen(group)) return false;
    try {
      const outcome =
        node === nodeId
          ? await consensus.readIndex(group, { timeoutMs, signal })
          : await peers.call(node, "readIndex", { group, timeoutMs }, { timeoutMs, signal });
      if (outcome.kind === "notLeader") this.#parts.leaders.learned(group, outcome.leader);
      return outcome.kind === "ready";
    } catch (error) {
      // Not yet: it is asked again until the deadline.
      if (error instanceof NodeCallError || asApiError(error) instanceof ApiError) return false;
      throw error;
    }
  }
}
