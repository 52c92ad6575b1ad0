/**
 * What a driver needs to know to let a group rest, and how its timers stand when it goes on (adr/0012). The core itself
 * never rests: it only is not ticked.
 */
import { isJoint } from "./changer.ts";
import { NOBODY, type LogIndex, type NodeId, type Term } from "./types.ts";
import type { CoreState } from "./state.ts";

/** A leader with nothing left to do for anybody: every member holds all of its log, and all of that is applied. */
export function isSettledLeader(core: CoreState): boolean {
  const { log, tracker } = core;
  if (core.role !== "leader" || core.transferTarget !== NOBODY || core.reads.size > 0) return false;
  const last = log.lastIndex();
  if (log.committed !== last || log.applied !== last) return false;
  if (tracker.get(core.id) === undefined || isJoint(tracker.conf)) return false;
  for (const peer of tracker.members) {
    if (peer.match !== last) return false;
    if (peer.id !== core.id && (peer.state !== "replicate" || peer.inflights.count > 0)) return false;
  }
  return true;
}

/** Every member answered since this leader last counted its quorum. */
export function isEverybodyActive(core: CoreState): boolean {
  for (const peer of core.tracker.members) if (peer.id !== core.id && !peer.recentlyActive) return false;
  return true;
}

/** A leader's wish to rest: false, and nothing changed, unless this follower is exactly where that leader is. */
export function followIntoRest(core: CoreState, from: NodeId, term: Term, lastIndex: LogIndex): boolean {
  const { log } = core;
  if (core.role !== "follower" || core.term !== term || core.leader !== from || core.reads.size > 0)
    return false;
  if (log.hasPendingSnapshot() || log.lastIndex() !== lastIndex) return false;
  if (log.committed !== lastIndex || log.applied !== lastIndex) return false;
  // It is a sign of life from the leader of this term, as a heartbeat is.
  core.electionElapsed = 0;
  core.evidence.disproved(from);
  core.evidence.forget();
  return true;
}

/**
 * Goes on after a rest. A leader tells its followers at its next tick and counts its quorum anew; for a follower it is
 * `silentTicks` since its leader gave a sign of life, as if it had been ticked all the time.
 */
export function resumeAfterRest(core: CoreState, silentTicks: number): void {
  if (core.role !== "leader") {
    core.electionElapsed = silentTicks;
    return;
  }
  core.electionElapsed = 0;
  core.heartbeatElapsed = core.settings.heartbeatTicks;
  for (const peer of core.tracker.members) if (peer.id !== core.id) peer.checkAgain();
}
