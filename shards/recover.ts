/**
 * The way back when a majority is lost for good: this node's log becomes the truth, and this node the only voter. It is
 * done offline and by an operator's word only, because it may acknowledge what was never committed, and because a
 * majority that returns afterwards would go on as if nothing had happened: two truths.
 */
import type { Entry, GroupId, LogStore, NodeId } from "./ports.ts";
import { isJoint, membershipOf } from "./membership.ts";
import { confChange, encodeConfChange, LEAVE_JOINT, type ConfChange } from "./raft/conf-change.ts";
import { changeConf } from "./raft/membership.ts";
import { invariant } from "./raft/invariant.ts";
import { LogIndex, Term } from "./raft/types.ts";
import type { ConfState } from "./raft/types.ts";

export interface Recovery {
  readonly group: GroupId;
  /** `alone`: it decides alone already. `stranger`: it is no member and has nothing to say. */
  readonly kind: "recovered" | "alone" | "stranger";
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
  readonly last: LogIndex;
  /** Entries at the end of the log that nobody knows to be committed: they will count as committed. */
  readonly uncertain: number;
}

/** What would be done to every group, and, unless `dryRun`, does it: one transaction for all of them. */
export async function recoverGroups(
  log: LogStore,
  node: NodeId,
  { dryRun }: { readonly dryRun: boolean },
): Promise<readonly Recovery[]> {
  const plans = log.groups().map((group) => planOf(log, group, node));
  const writes = plans.flatMap(({ write }) => write ?? []);
  if (!dryRun && writes.length > 0) await log.write(writes);
  return plans.map(({ recovery }) => recovery);
}

function planOf(log: LogStore, id: GroupId, node: NodeId) {
  const group = log.open(id);
  const hardState = group.hardState();
  const last = group.lastIndex();
  const conf = membershipOf(group, last).latest;
  const members = [...conf.voters, ...conf.votersOutgoing, ...conf.learners, ...conf.learnersNext];
  const isAlone =
    conf.voters.length === 1 && conf.voters[0] === node && !isJoint(conf) && members.length === 1;
  const kind = !members.includes(node) ? "stranger" : isAlone ? "alone" : "recovered";
  const recovery: Recovery = {
    group: id,
    kind,
    voters: conf.voters,
    learners: conf.learners,
    last,
    uncertain: last - Math.max(hardState.commit, group.boundary().index),
  };
  if (kind !== "recovered") return { recovery, write: null };
  // A term nobody was elected in: what the others may still say of older ones is of no account.
  const term = Term(hardState.term + 1);
  const entries = stepsTo(node, conf).map((change, at): Entry => ({
    term,
    index: LogIndex(last + 1 + at),
    kind: "confChangeV2",
    data: encodeConfChange(change),
  }));
  const commit = LogIndex(last + entries.length);
  return { recovery, write: { group: id, entries, hardState: { term, vote: node, commit } } };
}

/** Through a joint configuration, as any change of several members, and out of it at once. */
function stepsTo(node: NodeId, conf: ConfState): readonly ConfChange[] {
  const steps: ConfChange[] = [];
  let now = conf;
  const take = (change: ConfChange): void => {
    const result = changeConf(now, change);
    invariant(result.kind === "changed", "the way to a single voter fits the configuration it starts from");
    steps.push(change);
    now = result.conf;
  };
  if (isJoint(now)) take(LEAVE_JOINT);
  const others = [...now.voters, ...now.learners].filter((member) => member !== node);
  take(
    confChange(
      [{ kind: "addVoter", node }, ...others.map((member) => ({ kind: "remove" as const, node: member }))],
      { transition: "explicit" },
    ),
  );
  take(LEAVE_JOINT);
  return steps;
}
