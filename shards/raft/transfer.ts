/** Handing leadership over (§3.10 of the dissertation): the target catches up, then is told to stand at once. */
import { leaveJointByItself, sendAppend } from "./replication.ts";
import { NOBODY, type NodeId } from "./types.ts";
import type { CoreState } from "./state.ts";

/** A leader's. Returns why nothing was started, or null. A second request for the same target changes nothing. */
export function startTransfer(core: CoreState, target: NodeId): string | null {
  const peer = core.tracker.get(target);
  if (peer === undefined) return `${target} is no member`;
  if (core.tracker.isLearner(target)) return `${target} is a learner`;
  if (!core.tracker.isVoter(target)) return `${target} is no voter`;
  if (core.transferTarget === target) return null;
  if (core.transferTarget !== NOBODY) abandonTransfer(core);
  if (target === core.id) {
    // What the abandoned transfer kept waiting goes on.
    leaveJointByItself(core);
    return `${target} leads already`;
  }
  // It has one election timeout, counted from now.
  core.electionElapsed = 0;
  core.transferTarget = target;
  // The target may be elected while followers still shield this leader: no lease holds any more in this reign.
  core.reads.leaseVoid = true;
  core.out.event({ kind: "transferStarted", target, term: core.term });
  if (peer.match === core.log.lastIndex()) tellToStand(core, target);
  else {
    peer.paused = false;
    sendAppend(core, peer, true);
  }
  return null;
}

export function tellToStand(core: CoreState, target: NodeId): void {
  core.out.now({ kind: "timeoutNow", from: core.id, to: target, term: core.term });
}

export function abandonTransfer(core: CoreState): void {
  if (core.transferTarget === NOBODY) return;
  core.out.event({ kind: "transferAbandoned", target: core.transferTarget });
  core.transferTarget = NOBODY;
}
