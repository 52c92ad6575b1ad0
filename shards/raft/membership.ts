/** Membership takes effect when its entry is applied, on every member by itself (Raft §6; etcd's reading of it). */
import { adopt } from "./follower.ts";
import { abandonTransfer } from "./transfer.ts";
import { after } from "./index-math.ts";
import { becomeFollower } from "./roles.ts";
import { broadcastAppend, maybeCommit, probeEverybody } from "./replication.ts";
import { decodeConfChange, entersJoint, isConfChange, wantsToLeave, type ConfChange } from "./conf-change.ts";
import { enterJoint, isJoint, leaveJoint, simpleChange, type ChangeResult } from "./changer.ts";
import { invariant } from "./invariant.ts";
import { releaseEarlyReads } from "./read-index.ts";
import { NOBODY, type ConfState, type LogIndex } from "./types.ts";
import type { LogView } from "./log-view.ts";
import type { CoreState } from "./state.ts";

export function changeConf(conf: ConfState, change: ConfChange): ChangeResult {
  if (wantsToLeave(change)) return leaveJoint(conf);
  const joint = entersJoint(change);
  return joint === "no"
    ? simpleChange(conf, change.steps)
    : enterJoint(conf, joint === "leaveByItself", change.steps);
}

/**
 * Why a leader must not let this change into its log now; null when it may. `at` is where it would lie.
 * One at a time: overlapping changes could make disjoint majorities (raft.md, never 10 and 11).
 */
export function whyChangeRefused(core: CoreState, change: ConfChange): string | null {
  if (core.settings.disableConfChangeValidation) return null;
  const { conf } = core.tracker;
  const { applied } = core.log;
  if (core.pendingConfIndex > applied)
    return `a change may be waiting at index ${core.pendingConfIndex}, applied is ${applied}`;
  if (isJoint(conf) && !wantsToLeave(change)) return "must transition out of joint config first";
  if (!isJoint(conf) && wantsToLeave(change)) return "not in joint state; refusing empty conf change";
  const result = changeConf(conf, change);
  return result.kind === "refused" ? result.why : null;
}

/**
 * Called when the entry is applied. The change was checked before it entered the log, so it has to fit. One that was
 * still on its way to the state machine when a snapshot took over is part of the snapshot's configuration already.
 */
export function applyConfChange(core: CoreState, change: ConfChange, index: LogIndex): ConfState {
  if (core.log.hasPendingSnapshot()) return core.tracker.conf;
  const result = changeConf(core.tracker.conf, change);
  invariant(result.kind === "changed", () => `a logged change fits: ${reason(result)}`);
  switchTo(core, result.conf, index);
  return result.conf;
}

function reason(result: ChangeResult): string {
  return result.kind === "refused" ? result.why : "it does";
}

function switchTo(core: CoreState, conf: ConfState, index: LogIndex): void {
  const { tracker } = core;
  tracker.reconfigure(conf, core.log.lastIndex());
  core.out.event({ kind: "configurationApplied", conf, index });
  if (core.role !== "leader") return;
  if (!tracker.isVoter(core.id)) {
    // Until here it led without counting itself (§4.2.2 of the dissertation).
    if (!core.settings.stepDownOnRemoval) return;
    core.out.event({ kind: "steppedDown", term: core.term, why: "a membership change removed it" });
    becomeFollower(core, core.term, NOBODY);
    return;
  }
  // The new quorum may hold more than the old one did.
  if (maybeCommit(core)) {
    releaseEarlyReads(core);
    broadcastAppend(core);
  } else probeEverybody(core);
  if (core.transferTarget !== NOBODY && !tracker.isVoter(core.transferTarget)) abandonTransfer(core);
}

/**
 * The configuration in force at `applied`: the one at the snapshot boundary, and every change applied since
 * (raft.md, never 14).
 */
export function restoreConfiguration(core: CoreState, view: LogView): void {
  const { log } = core;
  adopt(core, view.initialState().conf);
  for (const entry of view.membershipEntries(log.firstIndex(), after(log.applied))) {
    if (!isConfChange(entry.kind)) continue;
    const change = decodeConfChange(entry);
    invariant(change !== null, () => `the change at ${entry.index} can be read`);
    const result = changeConf(core.tracker.conf, change);
    // One that was refused when it was applied is refused again: the driver skipped it as we do.
    if (result.kind === "changed") adopt(core, result.conf);
  }
}
