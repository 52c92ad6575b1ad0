/** Standing for election, and answering those who do (Raft §5.2, §5.4.1; pre-vote: §9.6 of the dissertation). */
import { after, lower, nextTerm } from "./index-math.ts";
import { appendOwn, broadcastAppend } from "./replication.ts";
import { becomeCandidate, becomeFollower, becomePreCandidate, castVote, takeOffice } from "./roles.ts";
import { invariant } from "./invariant.ts";
import { isConfChange } from "./conf-change.ts";
import { NOBODY, type LogIndex } from "./types.ts";
import type { CoreState } from "./state.ts";
import type { Message } from "./message.ts";

export type VoteRequest = Extract<Message, { kind: "voteRequest" | "preVoteRequest" }>;
export type VoteResponse = Extract<Message, { kind: "voteResponse" | "preVoteResponse" }>;

/** The timeout passed, the driver asked, or the leader did (`transfer`, which skips the pre-vote). */
export function standForElection(core: CoreState, transfer: boolean): void {
  const why = whyNotCandidate(core);
  if (why === null) campaign(core, core.settings.preVote && !transfer ? "preVote" : "vote", transfer);
  else if (core.role !== "leader") core.out.event({ kind: "campaignRefused", why });
}

/** Why this member must not campaign now; null when it may. */
function whyNotCandidate(core: CoreState): string | null {
  if (core.role === "leader") return "it is the leader already";
  if (!core.isPromotable()) return "it is no voter of its configuration, or a snapshot is being installed";
  const change = firstUnappliedChange(core);
  // Its own configuration is about to change: it would count the wrong majority (raft.md, never 11).
  return change === null ? null : `the membership change at ${change} is committed but not applied`;
}

/** Entries read at once while looking for a change. */
const SCAN_BYTES = 256 * 1024;

function firstUnappliedChange(core: CoreState): LogIndex | null {
  const { log } = core;
  const end = after(log.committed);
  for (let low = after(log.applied); low < end;) {
    const entries = log.range(low, end, SCAN_BYTES);
    invariant(typeof entries !== "string", () => `unapplied entry ${low} is still in the log`);
    for (const entry of entries) if (isConfChange(entry.kind)) return entry.index;
    low = lower((low + entries.length) as LogIndex, end);
  }
  return null;
}

function campaign(core: CoreState, round: "preVote" | "vote", transfer: boolean): void {
  if (round === "preVote") becomePreCandidate(core);
  else becomeCandidate(core);
  const term = round === "preVote" ? nextTerm(core.term) : core.term;
  const suspect = core.evidence.suspect;
  const deadLeader = suspect !== null && core.evidence.holdsAgainst(suspect) ? suspect : NOBODY;
  const from = core.id;
  for (const to of core.tracker.voters()) {
    if (to === from) {
      // The own vote counts when it is durable, like everybody's (raft.md, never 2).
      core.out.whenDurable({ kind: `${round}Response`, from, to, term, granted: true });
      continue;
    }
    core.out.now({
      kind: `${round}Request`,
      from,
      to,
      term,
      lastIndex: core.log.lastIndex(),
      lastTerm: core.log.lastTerm(),
      transfer,
      deadLeader,
    });
  }
}

/**
 * Whether a (pre-)vote request of a later term is to be ignored: a leader is known and was heard from within the
 * shortest election timeout. The leader's own wish (transfer) overrides it, and so does evidence against that very
 * leader that both sides hold (adr/0004).
 */
export function isShielded(core: CoreState, request: VoteRequest): boolean {
  if (request.transfer || !core.settings.checkQuorum) return false;
  // Before it stopped, this member may have been part of a quorum that a leader's lease still counts on.
  if (core.quietTicks > 0) return true;
  if (core.leader === NOBODY) return false;
  if (core.electionElapsed >= core.settings.electionTicks) return false;
  const bothKnowItDead =
    core.settings.deathEvidence &&
    core.leader !== core.id &&
    request.deadLeader === core.leader &&
    core.evidence.holdsAgainst(core.leader);
  return !bothKnowItDead;
}

/** At most one vote per term, and only for a log that holds everything committed (§5.2, §5.4.1). */
export function answerVoteRequest(core: CoreState, request: VoteRequest): void {
  const isPreVote = request.kind === "preVoteRequest";
  const kind = isPreVote ? "preVoteResponse" : "voteResponse";
  const mayVote =
    core.vote === request.from ||
    (core.vote === NOBODY && core.leader === NOBODY) ||
    (isPreVote && request.term > core.term);
  const upToDate = core.log.isUpToDate(request.lastIndex, request.lastTerm);
  const answer = { kind, from: core.id, to: request.from } as const;
  if (mayVote && upToDate) {
    core.out.whenDurable({ ...answer, term: request.term, granted: true });
    if (isPreVote) return;
    core.electionElapsed = 0;
    castVote(core, request.from);
    return;
  }
  core.out.whenDurable({ ...answer, term: core.term, granted: false });
  core.out.event({
    kind: "voteRefused",
    candidate: request.from,
    term: request.term,
    why: upToDate
      ? `voted for ${core.vote} or follows ${core.leader} in term ${core.term}`
      : `its log ends at ${request.lastTerm}/${request.lastIndex}, ours at ${core.log.lastTerm()}/${core.log.lastIndex()}`,
  });
}

export function countVote(core: CoreState, response: VoteResponse): void {
  const result = core.tracker.recordVote(response.from, response.granted);
  if (result === "lost") becomeFollower(core, core.term, NOBODY);
  else if (result === "won" && core.role === "preCandidate") campaign(core, "vote", false);
  else if (result === "won") lead(core);
}

/** An empty entry of the own term comes first: committing it commits, and reveals, everything before it (§8). */
function lead(core: CoreState): void {
  takeOffice(core);
  const fits = appendOwn(core, [{ kind: "normal", data: new Uint8Array(0) }]);
  invariant(fits, "an empty entry fits in any limit");
  core.evidence.forget();
  broadcastAppend(core);
}
