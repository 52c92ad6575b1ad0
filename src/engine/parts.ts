import type { ExactTail } from "./tail.ts";
import type { HnswGraph } from "./hnsw.ts";
import type { LivePoints } from "./labels.ts";
import type { PointStore } from "./point-store.ts";
import type { EngineClock, SliceScheduler } from "./scheduler.ts";
import type { EngineEvent } from "./surface.ts";
import type { EngineOptions } from "./options.ts";
import type { VectorSpec } from "./types.ts";

/** What the workers of one open shard share. All of it belongs to one thread. */
export interface ShardParts {
  readonly spec: VectorSpec;
  readonly options: EngineOptions;
  readonly scheduler: SliceScheduler;
  readonly clock: EngineClock;
  readonly emit: (event: EngineEvent) => void;
  readonly store: PointStore;
  readonly live: LivePoints;
  readonly tail: ExactTail;
  readonly graphs: Graphs;
}

/** A graph that is being filled from the point store, in order of labels. */
export interface Fill {
  readonly graph: HnswGraph;
  /** Labels up to here come from the store; later ones by the tail. */
  readonly until: number;
  readonly total: number;
  readonly reason: string;
  readonly startedMs: number;
  /** The last label taken from the store. */
  cursor: number;
  done: number;
}

/**
 * Which graphs answer. While `fill.graph` is a new graph, both are asked: `main` still knows every point that was
 * indexed before, the new one gets all that leave the tail. While it is `main` itself (no saved graph to start
 * from), searches are exact until it is complete.
 */
export interface Graphs {
  main: HnswGraph;
  fill: Fill | null;
  /** When a search came last; slices are shorter for a while. */
  lastSearchMs: number;
}

export const isComplete = (graphs: Graphs): boolean => graphs.fill?.graph !== graphs.main;
