/**
 * Membership as a pure function: a configuration and a list of steps give the next configuration, or the reason why
 * not (Raft §6; §4.3 of the dissertation). Which members' progress appears and disappears follows from the result.
 */
import { invariant } from "./invariant.ts";
import type { ConfChangeStep } from "./conf-change.ts";
import type { ConfState, NodeId } from "./types.ts";

export type ChangeResult =
  { readonly kind: "changed"; readonly conf: ConfState } | { readonly kind: "refused"; readonly why: string };

export const EMPTY_CONF: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

export function isJoint(conf: ConfState): boolean {
  return conf.votersOutgoing.length > 0;
}

/** Steps that change at most one voter: old and new majorities overlap, so they need no joint phase. */
export function simpleChange(conf: ConfState, steps: readonly ConfChangeStep[]): ChangeResult {
  if (isJoint(conf)) return refused("can't apply simple config change in joint config");
  const draft = new Draft(conf);
  draft.apply(steps);
  if (draft.incoming.size === 0) return refused("removed all voters");
  if (draft.votersChangedFrom(conf.voters) > 1)
    return refused("more than one voter changed without entering joint config");
  return changed(draft);
}

/** The old voters become the outgoing half; from now on both halves have to agree. */
export function enterJoint(
  conf: ConfState,
  autoLeave: boolean,
  steps: readonly ConfChangeStep[],
): ChangeResult {
  if (isJoint(conf)) return refused("config is already joint");
  if (conf.voters.length === 0) return refused("can't make a zero-voter config joint");
  const draft = new Draft(conf);
  draft.outgoing = new Set(conf.voters);
  draft.autoLeave = autoLeave;
  draft.apply(steps);
  if (draft.incoming.size === 0) return refused("removed all voters");
  return changed(draft);
}

/** The outgoing half is dropped; voters that were demoted become learners now. */
export function leaveJoint(conf: ConfState): ChangeResult {
  if (!isJoint(conf)) return refused("can't leave a non-joint config");
  const draft = new Draft(conf);
  for (const id of draft.learnersNext) draft.learners.add(id);
  draft.learnersNext.clear();
  draft.outgoing.clear();
  draft.autoLeave = false;
  return changed(draft);
}

/**
 * Always: a learner is no voter, who is to become a learner still votes in the outgoing half, and a configuration
 * that is not joint carries nothing of one.
 */
export function checkConfState(conf: ConfState): void {
  const why = whyBroken(conf);
  invariant(why === null, () => `a configuration is in order: ${why}`);
}

/** What is wrong with a configuration, from wherever it comes; null when nothing is. */
export function whyBroken(conf: ConfState): string | null {
  for (const list of [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext])
    for (let i = 1; i < list.length; i++)
      if ((list[i - 1] as NodeId) >= (list[i] as NodeId)) return `${list.join()} is not sorted`;
  for (const id of conf.learners)
    if (conf.voters.includes(id) || conf.votersOutgoing.includes(id)) return `learner ${id} is a voter too`;
  for (const id of conf.learnersNext)
    if (!conf.votersOutgoing.includes(id) || conf.voters.includes(id) || conf.learners.includes(id))
      return `${id}, a learner to be, does not vote in the outgoing half alone`;
  if (isJoint(conf)) return conf.voters.length > 0 ? null : "one half of a joint configuration is empty";
  return conf.learnersNext.length === 0 && !conf.autoLeave
    ? null
    : "it is not joint, but waits for learners or leaves by itself";
}

/** Everybody the configuration names, sorted, each once. */
export function membersOf(conf: ConfState): readonly NodeId[] {
  return sorted(new Set([...conf.voters, ...conf.votersOutgoing, ...conf.learners, ...conf.learnersNext]));
}

class Draft {
  incoming: Set<NodeId>;
  outgoing: Set<NodeId>;
  learners: Set<NodeId>;
  learnersNext: Set<NodeId>;
  autoLeave: boolean;

  constructor(conf: ConfState) {
    this.incoming = new Set(conf.voters);
    this.outgoing = new Set(conf.votersOutgoing);
    this.learners = new Set(conf.learners);
    this.learnersNext = new Set(conf.learnersNext);
    this.autoLeave = conf.autoLeave;
  }

  /** Each step is idempotent. Node 0 is nobody: it stands for a change that was replaced by nothing. */
  apply(steps: readonly ConfChangeStep[]): void {
    for (const { kind, node } of steps) {
      if (node === 0) continue;
      switch (kind) {
        case "addVoter":
          this.#drop(node);
          this.incoming.add(node);
          break;
        case "addLearner":
          if (this.learners.has(node)) break;
          this.#drop(node);
          // Who still votes in the outgoing half becomes a learner only when that half is dropped.
          if (this.outgoing.has(node)) this.learnersNext.add(node);
          else this.learners.add(node);
          break;
        case "remove":
          this.#drop(node);
          break;
        case "update":
          break;
      }
    }
  }

  votersChangedFrom(old: readonly NodeId[]): number {
    const before = new Set(old);
    let changes = 0;
    for (const id of this.incoming) if (!before.has(id)) changes++;
    for (const id of before) if (!this.incoming.has(id)) changes++;
    return changes;
  }

  #drop(node: NodeId): void {
    this.incoming.delete(node);
    this.learners.delete(node);
    this.learnersNext.delete(node);
  }
}

function changed(draft: Draft): ChangeResult {
  const conf: ConfState = {
    voters: sorted(draft.incoming),
    votersOutgoing: sorted(draft.outgoing),
    learners: sorted(draft.learners),
    learnersNext: sorted(draft.learnersNext),
    autoLeave: draft.autoLeave,
  };
  checkConfState(conf);
  return { kind: "changed", conf };
}

function refused(why: string): ChangeResult {
  return { kind: "refused", why };
}

function sorted(ids: Set<NodeId>): NodeId[] {
  return [...ids].sort((a, b) => a - b);
}
