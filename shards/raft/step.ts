/** Where a message from a peer comes in: the rules about terms, then the role's own (Raft §5.1, figure 2). */
import { answerVoteRequest, countVote, isShielded, standForElection } from "./election.ts";
import { becomeFollower, setLeader } from "./roles.ts";
import { onAppend, onHeartbeat, onSnapshot, whyImpossible } from "./follower.ts";
import { onReadResponse } from "./read-index.ts";
import { stepLeader } from "./leader.ts";
import { NOBODY } from "./types.ts";
import { ZERO } from "./index-math.ts";
import type { CoreState } from "./state.ts";
import type { Message } from "./message.ts";

type FromLeader = Extract<Message, { kind: "append" | "heartbeat" | "snapshot" }>;

/** Never throws for what a peer sent; returns why the message was dropped, or null. */
export function stepMessage(core: CoreState, message: Message): string | null {
  if (message.to !== core.id) return `it is for ${message.to}, this is ${core.id}`;
  if (message.from === NOBODY) return "it is from nobody";
  // Who was removed may not even know it; its answers count nowhere, not even their term.
  if (isAnswer(message) && core.tracker.get(message.from) === undefined)
    return `${message.from} is no member`;
  if (message.term === 0) return stepTermless(core, message);
  if (message.term < core.term) return stepOld(core, message);
  if (isFromLeader(message)) {
    // Checked first, so that what is impossible changes nothing at all.
    const why =
      core.role === "leader" && message.term === core.term
        ? `two leaders in term ${core.term}: this one and ${message.from}`
        : whyImpossible(core, message);
    if (why !== null) return why;
  }
  if (message.term > core.term && !enterTerm(core, message)) return null;
  return stepCurrent(core, message);
}

/** Answers to itself, which the driver hands back when they are durable; a later term has made them void. */
export function stepOwn(core: CoreState, message: Message): void {
  if (message.kind === "preVoteResponse" ? core.term + 1 !== message.term : core.term !== message.term)
    return;
  stepCurrent(core, message);
}

function stepTermless(core: CoreState, message: Message): string | null {
  switch (message.kind) {
    case "propose":
    case "readIndex":
    case "transferLeader":
      return stepCurrent(core, message);
    default:
      return `a ${message.kind} carries a term`;
  }
}

/** False when a vote request is not even looked at. */
function enterTerm(core: CoreState, message: Message): boolean {
  switch (message.kind) {
    case "voteRequest":
    case "preVoteRequest":
      if (isShielded(core, message)) {
        core.out.event({
          kind: "voteRefused",
          candidate: message.from,
          term: message.term,
          why: `leader ${core.leader} was heard from ${core.electionElapsed} ticks ago`,
        });
        return false;
      }
      // A pre-vote asks about a term, it does not begin one.
      if (message.kind === "voteRequest") becomeFollower(core, message.term, NOBODY, { keepTimer: true });
      return true;
    case "preVoteResponse":
      // Granted, it carries the term this member asked for; refused, the one of who refused.
      if (!message.granted) becomeFollower(core, message.term, NOBODY, { keepTimer: true });
      return true;
    case "append":
    case "heartbeat":
    case "snapshot":
      becomeFollower(core, message.term, message.from);
      return true;
    default:
      becomeFollower(core, message.term, NOBODY, { keepTimer: true });
      return true;
  }
}

function stepOld(core: CoreState, message: Message): string | null {
  const { checkQuorum, preVote } = core.settings;
  const answer = { from: core.id, to: message.from, term: core.term } as const;
  if ((checkQuorum || preVote) && (message.kind === "heartbeat" || message.kind === "append")) {
    // This member sits at a higher term and ignores its leader; the leader would never learn of it otherwise.
    core.out.whenDurable({ ...answer, kind: "appendAccepted", match: ZERO });
    return null;
  }
  if (message.kind === "preVoteRequest") {
    // Silence could leave a candidate with an old term and the best log waiting for ever.
    core.out.whenDurable({ ...answer, kind: "preVoteResponse", granted: false });
    return null;
  }
  return `its term ${message.term} is over, this is ${core.term}`;
}

function stepCurrent(core: CoreState, message: Message): string | null {
  if (message.kind === "voteRequest" || message.kind === "preVoteRequest") {
    answerVoteRequest(core, message);
    return null;
  }
  switch (core.role) {
    case "leader":
      return stepLeader(core, message);
    case "follower":
      return stepFollower(core, message);
    case "preCandidate":
    case "candidate":
      return stepCandidate(core, message);
  }
}

function stepFollower(core: CoreState, message: Message): string | null {
  if (isFromLeader(message)) {
    if (core.leader !== NOBODY && core.leader !== message.from)
      return `two leaders in term ${core.term}: ${core.leader} and ${message.from}`;
    follow(core, message);
    return null;
  }
  switch (message.kind) {
    case "timeoutNow":
      if (core.leader !== NOBODY && core.leader !== message.from)
        return `${core.leader} leads, not ${message.from}`;
      standForElection(core, true);
      return null;
    case "propose":
      if (core.leader === NOBODY) return `no leader is known in term ${core.term}`;
      if (!core.settings.forwardProposals || core.leader === message.from) return "this member does not lead";
      core.out.now({ ...message, to: core.leader });
      return null;
    case "transferLeader":
      if (core.leader === NOBODY) return `no leader is known in term ${core.term}`;
      core.out.now({ ...message, to: core.leader });
      return null;
    case "readIndexResponse":
      return onReadResponse(core, message);
    default:
      return `a follower expects no ${message.kind}`;
  }
}

function stepCandidate(core: CoreState, message: Message): string | null {
  if (isFromLeader(message)) {
    // Somebody else won this term (§5.2).
    becomeFollower(core, message.term, message.from);
    follow(core, message);
    return null;
  }
  const expected = core.role === "candidate" ? "voteResponse" : "preVoteResponse";
  if (message.kind !== expected || (message.kind !== "voteResponse" && message.kind !== "preVoteResponse"))
    return `a ${core.role} expects no ${message.kind}`;
  if (!core.tracker.isVoter(message.from)) return `${message.from} is no voter`;
  countVote(core, message);
  return null;
}

/** A sign of life from the leader of this term: only these postpone an election (raft.md, never 16). */
function follow(core: CoreState, message: FromLeader): void {
  core.electionElapsed = 0;
  core.evidence.disproved(message.from);
  core.evidence.forget();
  setLeader(core, message.from);
  switch (message.kind) {
    case "append":
      return onAppend(core, message);
    case "heartbeat":
      return onHeartbeat(core, message);
    case "snapshot":
      return onSnapshot(core, message);
  }
}

function isFromLeader(message: Message): message is FromLeader {
  return message.kind === "append" || message.kind === "heartbeat" || message.kind === "snapshot";
}

function isAnswer(message: Message): boolean {
  switch (message.kind) {
    case "appendAccepted":
    case "appendRejected":
    case "voteResponse":
    case "preVoteResponse":
    case "heartbeatResponse":
    case "readIndexResponse":
      return true;
    default:
      return false;
  }
}
