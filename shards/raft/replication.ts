/** A leader's side of the log: appending, sending, committing (Raft §5.3, §5.4.2). */
import { before, plus } from "./index-math.ts";
import { entriesBytes, payloadBytes } from "./sizes.ts";
import { NOBODY, type Entry, type EntryKind, type LogIndex } from "./types.ts";
import { invariant } from "./invariant.ts";
import type { CoreState } from "./state.ts";
import type { Progress } from "./progress.ts";

/** What a proposal is before it has a place in the log. */
export interface Draft {
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/**
 * Appends to the leader's own log; false when the limit on uncommitted data refuses it. A single proposal always fits
 * when none is in flight, and an empty entry always does.
 */
export function appendOwn(core: CoreState, drafts: readonly Draft[]): boolean {
  const { log, settings } = core;
  const bytes = payloadBytes(drafts);
  if (core.uncommittedBytes > 0 && bytes > 0 && core.uncommittedBytes + bytes > settings.maxUncommittedBytes)
    return false;
  core.uncommittedBytes += bytes;
  const last = log.lastIndex();
  const term = core.term;
  log.append(
    drafts.map((draft, at): Entry => ({
      term,
      index: plus(last, at + 1),
      kind: draft.kind,
      data: draft.data,
    })),
  );
  // The leader counts itself like anybody else: when the entries are durable (raft.md, never 2).
  core.out.whenDurable({
    kind: "appendAccepted",
    from: core.id,
    to: core.id,
    term,
    match: plus(last, drafts.length),
  });
  return true;
}

/**
 * Advances the commit index to what a quorum holds, if that entry is of the own term: an older one, even on a
 * majority, can still be overwritten (§5.4.2, figure 8).
 */
export function maybeCommit(core: CoreState): boolean {
  const index = core.tracker.committedIndex();
  if (index <= core.log.committed || index === Infinity) return false;
  const reached = index as LogIndex;
  return core.log.matches(reached, core.term) && core.log.commitTo(reached);
}

export function hasCommittedInTerm(core: CoreState): boolean {
  return core.log.matches(core.log.committed, core.term);
}

/** To everybody, also with nothing new: an empty append carries the commit index. */
export function broadcastAppend(core: CoreState): void {
  for (const peer of core.tracker.members) if (peer.id !== core.id) sendAppend(core, peer, true);
}

/** Starts what can be started with members that are new or behind. */
export function probeEverybody(core: CoreState): void {
  for (const peer of core.tracker.members) if (peer.id !== core.id) sendAppend(core, peer, false);
}

/** One append, or a snapshot when the log no longer reaches back. False when nothing left. */
export function sendAppend(core: CoreState, peer: Progress, evenIfEmpty: boolean): boolean {
  if (peer.isPaused()) return false;
  const { log } = core;
  const prevIndex = before(peer.next);
  const prevTerm = log.term(prevIndex);
  if (typeof prevTerm !== "number") return sendSnapshot(core, peer);
  // A full window lets only empty appends through: if everything in it was lost, one of them will find out.
  const throttled = peer.state === "replicate" && peer.inflights.isFull();
  const entries = throttled ? NO_ENTRIES : log.entriesFrom(peer.next, core.settings.maxMessageBytes);
  if (entries === "compacted") return sendSnapshot(core, peer);
  if (entries.length === 0 && !evenIfEmpty) return false;
  const commit = log.committed;
  core.out.now({
    kind: "append",
    from: core.id,
    to: peer.id,
    term: core.term,
    prevIndex,
    prevTerm,
    entries,
    commit,
  });
  peer.sent(entries.length, entries.length === 0 ? 0 : entriesBytes(entries));
  peer.sentCommit(commit);
  return true;
}

/** `readToken` asks for proof of leadership beside the sign of life; empty asks for nothing. */
export function broadcastHeartbeat(core: CoreState, readToken: string): void {
  for (const peer of core.tracker.members) {
    if (peer.id === core.id) continue;
    // Never above match: the peer may hold entries there that are not the leader's (raft.md, never 4).
    const commit = peer.match < core.log.committed ? peer.match : core.log.committed;
    core.out.now({ kind: "heartbeat", from: core.id, to: peer.id, term: core.term, commit, readToken });
    peer.sentCommit(commit);
  }
}

/** The state machine has moved on; a joint configuration is left as soon as its beginning is applied. */
export function noteApplied(core: CoreState, index: LogIndex): void {
  const finished = core.log.appliedTo(index);
  core.uncommittedBytes = Math.max(0, core.uncommittedBytes - finished);
  leaveJointByItself(core);
}

/** Tried again with every applied entry, and when a transfer that stood in the way was abandoned. */
export function leaveJointByItself(core: CoreState): void {
  const conf = core.tracker.conf;
  if (!conf.autoLeave || core.role !== "leader" || core.log.applied < core.pendingConfIndex) return;
  if (core.transferTarget !== NOBODY || core.tracker.get(core.id) === undefined) return;
  core.pendingConfIndex = plus(core.log.lastIndex(), 1);
  const fits = appendOwn(core, [{ kind: "confChangeV2", data: NO_BYTES }]);
  invariant(fits, "an empty entry fits in any limit");
  broadcastAppend(core);
}

const NO_ENTRIES: readonly Entry[] = [];
const NO_BYTES = new Uint8Array(0);

function sendSnapshot(core: CoreState, peer: Progress): boolean {
  // A dead member would hold the snapshot's slot until somebody notices.
  if (!peer.recentlyActive) return false;
  // Late answers from before the last one must not set off another: they are large, and may be ignored again.
  const now = core.reads.ticks;
  if (peer.snapshotSentAt !== null && now - peer.snapshotSentAt < core.settings.electionTicks) return false;
  const meta = core.log.snapshotToSend();
  if (meta === "temporarilyUnavailable") return false;
  invariant(meta.index > 0, () => `the log begins at ${core.log.firstIndex()} because a snapshot exists`);
  peer.snapshotSentAt = now;
  peer.becomeSnapshot(meta.index);
  core.out.now({ kind: "snapshot", from: core.id, to: peer.id, term: core.term, meta });
  core.out.event({ kind: "snapshotSent", to: peer.id, index: meta.index });
  return true;
}
