/** What the planner looks at, and what it decides. */
import type { CatalogueCollection, CatalogueNode } from "./types.ts";

/** A group as its leader tells it. */
export interface GroupView {
  readonly group: number;
  /** null: nobody who answered leads it, and then the rest is not known. */
  readonly leader: number | null;
  readonly term: number;
  readonly commit: number;
  readonly conf: {
    readonly voters: readonly number[];
    readonly learners: readonly number[];
    readonly joint: boolean;
  } | null;
  readonly peers: readonly {
    readonly node: number;
    readonly match: number;
    readonly state: "probe" | "replicate" | "snapshot";
    readonly active: boolean;
  }[];
  /** Nodes that answered and hold it open. */
  readonly open: readonly number[];
  /** Replicas whose content is not what the leader's is at the same index: they are replaced. */
  readonly diverged: readonly number[];
}

export interface ClusterView {
  readonly nodes: readonly CatalogueNode[];
  readonly alive: ReadonlyMap<number, { readonly alive: boolean; readonly deadForMs: number }>;
  readonly collections: readonly CatalogueCollection[];
  readonly groups: ReadonlyMap<number, GroupView>;
  /** A node that is away for longer has its replicas placed elsewhere; 0: never. */
  readonly replaceAfterMs: number;
}

export interface MemberStep {
  readonly kind: "addLearner" | "addVoter" | "remove";
  readonly node: number;
}

/** `why` is for the operator's log. */
export type Decision =
  | { readonly kind: "place" | "drop"; readonly group: number; readonly node: number; readonly why: string }
  | {
      readonly kind: "member";
      readonly group: number;
      readonly leader: number;
      readonly steps: readonly MemberStep[];
      readonly why: string;
    }
  | {
      readonly kind: "transfer";
      readonly group: number;
      readonly leader: number;
      readonly to: number;
      readonly why: string;
    }
  | { readonly kind: "removeNode"; readonly node: number; readonly why: string };
