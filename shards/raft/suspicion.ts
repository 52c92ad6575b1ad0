/** Acting on evidence that the leader is dead: a pre-vote after a short drawn delay (adr/0004). */
import { standForElection } from "./election.ts";
import { NOBODY } from "./types.ts";
import type { CoreState } from "./state.ts";

/** Something became known about a connection: is it the leader's, and is it enough? */
export function considerEvidence(core: CoreState): void {
  const { evidence, leader, settings } = core;
  if (!settings.deathEvidence || core.role !== "follower" || leader === NOBODY) return;
  if (evidence.suspect === leader || !evidence.holdsAgainst(leader)) return;
  core.out.event({ kind: "leaderPresumedDead", leader, term: core.term });
  // Learners hold evidence too, and answer by it, but do not stand.
  evidence.plan(leader, drawDelay(core));
}

/** True when this tick started a campaign. */
export function tickEvidence(core: CoreState): boolean {
  const { evidence } = core;
  const { suspect } = evidence;
  if (suspect === null || !evidence.tick() || !evidence.holdsAgainst(suspect)) return false;
  if (!core.isPromotable() || core.role === "candidate") return false;
  standForElection(core, false);
  // Others may find their evidence a little later, or another candidate may have split the vote.
  evidence.plan(suspect, drawDelay(core));
  return true;
}

/** From 1 tick to a fifth of the shortest election timeout: enough for the first to win before the others stand. */
function drawDelay(core: CoreState): number {
  return 1 + core.settings.random(Math.max(2, Math.ceil(core.settings.electionTicks / 5)));
}
