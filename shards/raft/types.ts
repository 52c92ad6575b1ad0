/**
 * The vocabulary of consensus. Numbers that mean different things have different types; each constructor refuses
 * what is not a safe integer in range, so wire and disk values are checked exactly once, where they come in.
 */
import { invariant } from "./invariant.ts";

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** A leader's reign, 0 before the first election. */
export type Term = Branded<"Term">;
/** A position in a group's log; the first entry has index 1, 0 means "before the first". */
export type LogIndex = Branded<"LogIndex">;
/** A member of the cluster, from 1; never reused. 0 means "nobody" and is written {@link NOBODY}. */
export type NodeId = Branded<"NodeId">;

function wholeNumber(name: string, value: number): number {
  invariant(
    Number.isSafeInteger(value) && value >= 0,
    () => `a ${name} is a whole number from 0 to 2^53-1, not ${value}`,
  );
  return value;
}

export function Term(value: number): Term {
  return wholeNumber("term", value) as Term;
}
export function LogIndex(value: number): LogIndex {
  return wholeNumber("log index", value) as LogIndex;
}
export function NodeId(value: number): NodeId {
  return wholeNumber("node id", value) as NodeId;
}

export const NOBODY = NodeId(0);

/**
 * `normal` carries the state machine's bytes (empty: a new leader's no-op). The two membership kinds carry an encoded
 * change: `confChange` a single step, `confChangeV2` a list of steps with a transition (joint consensus, §6).
 */
export type EntryKind = "normal" | "confChange" | "confChangeV2";

export interface Entry {
  readonly term: Term;
  readonly index: LogIndex;
  readonly kind: EntryKind;
  /** Owned by the log: never written to after it was handed in. */
  readonly data: Uint8Array;
}

/** What a node promised and must remember across a crash; changes with the entries in one transaction. */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId;
  readonly commit: LogIndex;
}

/** A configuration as it is stored: joint while `votersOutgoing` is not empty. Lists are sorted. */
export interface ConfState {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly learnersNext: readonly NodeId[];
  readonly autoLeave: boolean;
}

/** The log's beginning: everything up to `index` lives in the state machine; `conf` is the membership there. */
export interface SnapshotMeta {
  readonly index: LogIndex;
  readonly term: Term;
  readonly conf: ConfState;
}
