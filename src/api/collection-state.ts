/** The state of a collection as one line: from the statuses of its replicas to what its clients want to know. */
import type { EngineStats, ShardStatus } from "./types.ts";

export interface CollectionState {
  /** ready: all is well. busy: something is being opened or indexed. failed: a shard has failed. */
  readonly state: "ready" | "busy" | "failed";
  /** Of the first shard that has failed. */
  readonly failure: string | null;
  readonly points: number;
  readonly indexed: number;
}

export function collectionState(statuses: readonly ShardStatus[]): CollectionState {
  const shards = leading(statuses);
  const failures = shards.map(failureOf).filter((failure) => failure !== null);
  const sum = (part: (engine: EngineStats) => number): number =>
    shards.reduce((total, { engine }) => total + (engine === null ? 0 : part(engine)), 0);
  return {
    state: failures.length > 0 ? "failed" : shards.some(({ engine }) => busy(engine)) ? "busy" : "ready",
    failure: failures[0] ?? null,
    points: sum(({ points }) => points),
    indexed: sum(({ indexed }) => indexed),
  };
}

/** One status per shard: the leader's where it is known here, else the first that has an engine. */
function leading(statuses: readonly ShardStatus[]): readonly ShardStatus[] {
  return [...byShard(statuses).values()].map((replicas) => {
    const best =
      replicas.find(({ role }) => role === "leader") ?? replicas.find(({ engine }) => engine !== null);
    return best ?? (replicas[0] as ShardStatus);
  });
}

function byShard(statuses: readonly ShardStatus[]): ReadonlyMap<number, readonly ShardStatus[]> {
  const shards = new Map<number, ShardStatus[]>();
  for (const status of statuses) {
    const known = shards.get(status.shard);
    if (known === undefined) shards.set(status.shard, [status]);
    else known.push(status);
  }
  return new Map([...shards].sort(([a], [b]) => a - b));
}

const failureOf = (status: ShardStatus): string | null => status.error ?? status.engine?.failure ?? null;

const busy = (engine: EngineStats | null): boolean =>
  engine === null || engine.tail > 0 || engine.rebuilding !== null;
