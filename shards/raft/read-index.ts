/** Linearizable reads (§6.4 of the dissertation): the leader proves that it leads, the log does not grow. */
import { broadcastHeartbeat, hasCommittedInTerm } from "./replication.ts";
import { NOBODY, type LogIndex } from "./types.ts";
import type { CoreState } from "./state.ts";
import type { Message } from "./message.ts";
import type { WaitingRead } from "./read-queue.ts";

export type ReadOutcome = { readonly kind: "accepted" } | { readonly kind: "dropped"; readonly why: string };

/** Asked here: answered in `ready().reads`, with the same token, when a leader has confirmed it. */
export function askToRead(core: CoreState, token: string, nonce: number): ReadOutcome {
  const limit = core.settings.maxPendingReads;
  if (core.reads.size >= limit) return { kind: "dropped", why: `${limit} reads are waiting already` };
  if (core.role === "leader") {
    acceptRead(core, { from: core.id, token });
    return { kind: "accepted" };
  }
  if (core.leader === NOBODY) return { kind: "dropped", why: `no leader is known in term ${core.term}` };
  core.out.now({
    kind: "readIndex",
    from: core.id,
    to: core.leader,
    term: core.term,
    token: core.reads.forward(token, nonce),
  });
  return { kind: "accepted" };
}

/** A follower asks this leader. */
export function onReadRequest(
  core: CoreState,
  message: Extract<Message, { kind: "readIndex" }>,
): string | null {
  if (core.reads.size >= core.settings.maxPendingReads) return "too many reads are waiting";
  acceptRead(core, { from: message.from, token: message.token });
  return null;
}

/** Before the first commit of its term a leader does not know what is committed (raft.md, never 8). */
function acceptRead(core: CoreState, read: WaitingRead): void {
  if (!hasCommittedInTerm(core)) core.reads.waitForFirstCommit(read);
  else if (core.tracker.isSingleton() && core.tracker.isVoter(core.id))
    answer(core, read, core.log.committed);
  else if (holdsLease(core)) answer(core, read, core.log.committed);
  else core.reads.add(read);
}

function holdsLease(core: CoreState): boolean {
  return (
    core.settings.readMode === "lease" && !core.reads.leaseVoid && core.reads.ticks < core.reads.leaseUntil
  );
}

/** The commit index advanced: reads that came before the first commit of the term can go ahead. */
export function releaseEarlyReads(core: CoreState): void {
  if (!hasCommittedInTerm(core)) return;
  for (const read of core.reads.takeEarly()) acceptRead(core, read);
}

/** One round of heartbeats for all reads that came since the last one. */
export function sendReadRound(core: CoreState): void {
  if (core.role === "leader" && core.reads.hasUnsent)
    broadcastHeartbeat(core, core.reads.startRound(core.term, core.log.committed));
}

/** The regular heartbeat repeats an open round, in case its messages were lost, or measures a new lease. */
export function sendHeartbeatRound(core: CoreState): void {
  const { reads } = core;
  if (core.settings.readMode === "lease") {
    reads.forgetEmptyRoundsBefore(reads.ticks - core.settings.electionTicks);
    broadcastHeartbeat(core, reads.startRound(core.term, core.log.committed));
  } else if (reads.hasUnsent) sendReadRound(core);
  else broadcastHeartbeat(core, reads.currentToken(core.term));
}

export function onHeartbeatProof(
  core: CoreState,
  message: Extract<Message, { kind: "heartbeatResponse" }>,
): void {
  const { reads, tracker } = core;
  if (message.readToken === "" || !reads.acknowledge(core.term, message.readToken, message.from)) return;
  // Both halves when joint. Nobody who did not answer may count, and this member is its own first witness.
  const rounds = reads.takeConfirmed(
    (acks) => tracker.quorumOf((id) => (id === core.id || acks.has(id) ? true : undefined)) === "won",
  );
  for (const round of rounds) {
    for (const read of round.reads) answer(core, read, round.index);
    // From when the question left, not from when the answer came (raft.md, never 9), less one tick of rounding.
    const until = round.sentAtTick + core.settings.electionTicks - 1;
    if (until > reads.leaseUntil) reads.leaseUntil = until;
  }
}

function answer(core: CoreState, read: WaitingRead, index: LogIndex): void {
  if (read.from === core.id) core.out.reads.push({ token: read.token, index });
  else
    core.out.now({
      kind: "readIndexResponse",
      from: core.id,
      to: read.from,
      term: core.term,
      token: read.token,
      index,
    });
}

/** The leader's answer to a read that was passed on. */
export function onReadResponse(
  core: CoreState,
  message: Extract<Message, { kind: "readIndexResponse" }>,
): string | null {
  const token = core.reads.settle(message.token);
  if (token === undefined) return `read ${message.token} is not waiting for an answer`;
  core.out.reads.push({ token, index: message.index });
  return null;
}
