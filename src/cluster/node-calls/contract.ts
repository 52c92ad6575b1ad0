/** What the fronts of two nodes ask of each other. Everything here is plain data that msgpackr carries. */
import type { GroupStatus, MembershipStep, ProposalOutcome, ReadOutcome } from "../../../shards/index.ts";
import type { Principal } from "../../auth/permit.ts";
import type {
  EngineStats,
  NodeStatus,
  PayloadSelector,
  PointId,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
  StoredPoint,
} from "../types.ts";

/**
 * Who wants it, as the node that authenticated them found out; the one that is asked checks the rights again. null: the
 * asking node itself, which may keep house but neither sees nor changes what belongs to a collection.
 */
export type Caller = Principal | null;

/** A question to one replica, which first makes sure that it is as fresh as wanted. */
export interface FreshRead {
  readonly group: number;
  readonly level: "eventual" | "session" | "leader" | "linearizable";
  /** The log index that a session has seen; null with the other levels. */
  readonly atLeast: number | null;
  readonly caller: Caller;
}

/** A replica that may not answer by itself says who leads, if it knows. */
export type ReadAnswer<T> =
  | { readonly kind: "answer"; readonly answer: T }
  | { readonly kind: "notLeader"; readonly leader: number | null };

/** One group on one node; `status` is null when it is not open there, `error` says why or what is wrong with it. */
export interface GroupReport {
  readonly group: number;
  readonly status: GroupStatus | null;
  /** null for the catalogue's group, and while the engine cannot answer. */
  readonly engine: EngineStats | null;
  readonly error: string | null;
}

export type TransferOutcome = { readonly kind: "done" } | { readonly kind: "refused"; readonly why: string };

interface ReadShape {
  readonly withPayload: PayloadSelector;
  readonly withVector: boolean;
}

/**
 * The methods. A node that is asked does the thing itself or says why not; it never asks a third one, so that a
 * request makes one hop at most. Failures are thrown: an `ApiError` arrives as one.
 */
export type NodeCallsContract = {
  /** `data` is one log entry; `adds`: it adds data, which the quotas of the node that leads may refuse. */
  readonly propose: {
    readonly request: {
      readonly group: number;
      readonly data: Uint8Array;
      readonly wait: "applied" | "committed";
      readonly timeoutMs: number;
      readonly caller: Caller;
      readonly adds: boolean;
    };
    readonly reply: ProposalOutcome;
  };
  readonly search: {
    readonly request: FreshRead & { readonly queries: readonly SearchQuery[] };
    readonly reply: ReadAnswer<readonly (readonly ScoredPoint[])[]>;
  };
  readonly retrieve: {
    readonly request: FreshRead & ReadShape & { readonly ids: readonly PointId[] };
    readonly reply: ReadAnswer<readonly StoredPoint[]>;
  };
  readonly scroll: {
    readonly request: FreshRead & ReadShape & { readonly from: PointId | null; readonly limit: number };
    readonly reply: ReadAnswer<ScrollPage>;
  };
  readonly count: { readonly request: FreshRead; readonly reply: ReadAnswer<number> };
  readonly readIndex: {
    readonly request: { readonly group: number; readonly timeoutMs: number };
    readonly reply: ReadOutcome;
  };
  readonly groups: {
    readonly request: Readonly<Record<never, never>>;
    readonly reply: { readonly node: number; readonly groups: readonly GroupReport[] };
  };
  readonly changeMembership: {
    readonly request: {
      readonly group: number;
      readonly steps: readonly MembershipStep[];
      readonly timeoutMs: number;
      readonly caller: Caller;
    };
    readonly reply: ProposalOutcome;
  };
  readonly transfer: {
    readonly request: {
      readonly group: number;
      readonly to: number;
      readonly timeoutMs: number;
      readonly caller: Caller;
    };
    readonly reply: TransferOutcome;
  };
  /** Closes the replica on that node and opens it again; answers when it takes part. */
  readonly restart: {
    readonly request: { readonly group: number; readonly caller: Caller };
    readonly reply: { readonly kind: "done" };
  };
  /** Takes the replica on that node out of service: its log goes on, but it answers nobody and is not written through. */
  readonly withdraw: {
    readonly request: { readonly group: number; readonly why: string };
    readonly reply: { readonly kind: "done" };
  };
  readonly node: { readonly request: Readonly<Record<never, never>>; readonly reply: NodeStatus };
};

export type NodeMethod = keyof NodeCallsContract;
export type RequestOf<M extends NodeMethod> = NodeCallsContract[M]["request"];
export type ReplyOf<M extends NodeMethod> = NodeCallsContract[M]["reply"];

export interface NodeCallContext {
  /** Aborts when the caller gave up, its deadline passed, or its connection broke. */
  readonly signal: AbortSignal;
  /** The node that asks, as the handshake proved. */
  readonly from: number;
}

export type NodeCallHandlers = {
  readonly [M in NodeMethod]: (request: RequestOf<M>, context: NodeCallContext) => Promise<ReplyOf<M>>;
};
