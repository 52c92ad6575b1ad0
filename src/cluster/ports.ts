/** What routing needs of the node's other threads; the composition root connects them, tests bring small real ones. */
import type { GroupStatus, ProposalOutcome, ReadOutcome } from "../../shards/index.ts";
import type {
  EngineStats,
  PayloadSelector,
  PointId,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
  StoredPoint,
} from "./types.ts";

export interface WaitFor {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The consensus thread. Throws only when the thread is gone or its queue is full (`code: "OVERLOADED"`). */
export interface Consensus {
  /** `data` is given away. Ends with an outcome also when the signal aborts. */
  propose(
    group: number,
    data: Uint8Array,
    options: WaitFor & { readonly wait: "applied" | "committed" },
  ): Promise<ProposalOutcome>;
  readIndex(group: number, options: WaitFor): Promise<ReadOutcome>;
  waitApplied(group: number, index: number, options: WaitFor): Promise<ReadOutcome>;
  status(group: number): Promise<GroupStatus | null>;
}

/** How points are to be shown. */
export interface Shape {
  readonly withPayload: PayloadSelector;
  readonly withVector: boolean;
}

/** The engine threads, by the group whose points are asked for. Throws the signal's reason when it aborts. */
export interface Engines {
  search(
    group: number,
    queries: readonly SearchQuery[],
    signal: AbortSignal,
  ): Promise<readonly (readonly ScoredPoint[])[]>;
  retrieve(
    group: number,
    ids: readonly PointId[],
    shape: Shape,
    signal: AbortSignal,
  ): Promise<readonly StoredPoint[]>;
  scroll(
    group: number,
    page: Shape & { readonly from: PointId | null; readonly limit: number },
    signal: AbortSignal,
  ): Promise<ScrollPage>;
  count(group: number, signal: AbortSignal): Promise<number>;
  stats(group: number, signal: AbortSignal): Promise<EngineStats>;
}
