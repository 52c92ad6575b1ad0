/** What routing needs of the node's other threads; the composition root connects them, tests bring small real ones. */
import type { GroupStatus, MembershipStep, ProposalOutcome, ReadOutcome } from "../../shards/index.ts";
import type { NodeMethod, ReplyOf, RequestOf } from "./node-calls/contract.ts";
import type { NodeCallOptions } from "./node-calls/link.ts";
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
  /** Of every group that is open here, the catalogue's included. */
  statuses(): Promise<readonly GroupStatus[]>;
  changeMembership(
    group: number,
    steps: readonly MembershipStep[],
    options: WaitFor,
  ): Promise<ProposalOutcome>;
  /** Why leadership is not being handed over, or null: it is begun. */
  transfer(group: number, to: number): Promise<string | null>;
}

/** The shards that this node holds. */
export interface LocalShards {
  isOpen(group: number): boolean;
  /** Why it failed to open. */
  error(group: number): Error | null;
}

/** The other nodes; `NodeCallsClient` is one. */
export interface Peers {
  /** Whether a call would be sent now; `dialling`: it would wait. */
  stateOf(node: number): "dialling" | "open" | "down";
  /** Throws NodeCallError, or the ApiError that the other node threw. */
  call<M extends NodeMethod>(
    node: number,
    method: M,
    request: RequestOf<M>,
    options: NodeCallOptions,
  ): Promise<ReplyOf<M>>;
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
