/** Changing role. Each of these is the only place where its role, and what goes with it, is taken on. */
import { invariant } from "./invariant.ts";
import { nextTerm, ZERO } from "./index-math.ts";
import type { CoreState } from "./state.ts";
import type { Role } from "./events.ts";
import { NOBODY, type NodeId, type Term } from "./types.ts";

/**
 * Follows `leader`, or nobody yet. The vote is kept unless the term advances. `keepTimer`: the message that advanced
 * the term is not from a leader, so it does not postpone this member's own election (raft.md, never 16).
 */
export function becomeFollower(
  core: CoreState,
  term: Term,
  leader: NodeId,
  options: { readonly keepTimer?: boolean } = {},
): void {
  const keepTimer = options.keepTimer === true && core.role !== "leader";
  const elapsed = core.electionElapsed;
  beginReign(core, term);
  if (keepTimer) core.electionElapsed = elapsed;
  setRole(core, "follower");
  setLeader(core, leader);
}

/** Asks whether it could win, without changing term or vote: nobody is disturbed by asking. */
export function becomePreCandidate(core: CoreState): void {
  invariant(core.role !== "leader", () => `a leader (term ${core.term}) does not ask for pre-votes`);
  core.tracker.resetVotes();
  dropReads(core, "an election began");
  setRole(core, "preCandidate");
  setLeader(core, NOBODY);
}

export function becomeCandidate(core: CoreState): void {
  invariant(core.role !== "leader", () => `a leader (term ${core.term}) does not stand for election`);
  beginReign(core, nextTerm(core.term));
  castVote(core, core.id);
  setRole(core, "candidate");
  setLeader(core, NOBODY);
}

/** Next = last + 1 and match = 0 for everybody else (figure 2, volatile state on leaders). */
export function takeOffice(core: CoreState): void {
  invariant(core.role === "candidate", () => `only a candidate becomes leader, not a ${core.role}`);
  beginReign(core, core.term);
  setRole(core, "leader");
  setLeader(core, core.id);
  const self = core.tracker.get(core.id);
  invariant(self !== undefined, () => `a new leader (${core.id}) is a member of its configuration`);
  self.becomeReplicate();
  self.recentlyActive = true;
  // Entries of earlier terms may hold a change that is not applied yet: none may be proposed before that is sure.
  core.pendingConfIndex = core.log.lastIndex();
}

/** One vote per term (§5.2): it is given once, and taken back only by a later term (raft.md, never 1). */
export function castVote(core: CoreState, candidate: NodeId): void {
  invariant(
    core.vote === NOBODY || core.vote === candidate,
    () => `one vote in term ${core.term}: for ${core.vote}, not for ${candidate}`,
  );
  core.vote = candidate;
}

export function setLeader(core: CoreState, leader: NodeId): void {
  if (core.leader === leader) return;
  core.leader = leader;
  core.out.event({ kind: "leaderChanged", leader, term: core.term });
}

/** A new election timeout is drawn for every reign, or equal ones would collide again and again (§5.2). */
export function drawElectionTimeout(core: CoreState): void {
  const ticks = core.settings.electionTicks;
  core.electionTimeout = ticks + core.settings.random(ticks);
}

export function dropReads(core: CoreState, why: string): void {
  for (const token of core.reads.drop(core.id)) core.out.event({ kind: "readDropped", token, why });
}

function setRole(core: CoreState, role: Role): void {
  if (core.role === role) return;
  core.role = role;
  core.out.event({ kind: "roleChanged", role, term: core.term });
}

function beginReign(core: CoreState, term: Term): void {
  invariant(term >= core.term, () => `a term never goes back: ${term} after ${core.term}`);
  if (term > core.term) {
    core.term = term;
    core.vote = NOBODY;
  }
  core.electionElapsed = 0;
  core.heartbeatElapsed = 0;
  drawElectionTimeout(core);
  core.transferTarget = NOBODY;
  core.pendingConfIndex = ZERO;
  core.uncommittedBytes = 0;
  core.tracker.resetVotes();
  core.tracker.restart(core.id, core.log.lastIndex());
  dropReads(core, "the leader changed");
}
