/** What a leader does with answers, proposals and the passing of time. */
import { abandonTransfer, startTransfer, tellToStand } from "./transfer.ts";
import {
  appendOwn,
  broadcastAppend,
  leaveJointByItself,
  maybeCommit,
  sendAppend,
  type Draft,
} from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import { decodeConfChange, isConfChange } from "./conf-change.ts";
import { onHeartbeatProof, onReadRequest, releaseEarlyReads, sendHeartbeatRound } from "./read-index.ts";
import { plus } from "./index-math.ts";
import { whyChangeRefused } from "./membership.ts";
import { NOBODY, type LogIndex, type NodeId } from "./types.ts";
import type { CoreState } from "./state.ts";
import type { Message } from "./message.ts";
import type { Progress } from "./progress.ts";

type Acknowledgement = Extract<Message, { kind: "appendAccepted" }>;
type Refusal = Extract<Message, { kind: "appendRejected" }>;

/** Returns why the message was dropped, or null. */
export function stepLeader(core: CoreState, message: Message): string | null {
  if (message.kind === "propose" && message.entries.length === 0) return "a proposal has an entry";
  if (message.kind === "propose") return proposeAsLeader(core, message.entries).dropped;
  const peer = core.tracker.get(message.from);
  if (peer === undefined) return `${message.from} is no member`;
  switch (message.kind) {
    case "appendAccepted":
      return onAccepted(core, peer, message);
    case "appendRejected":
      return onRejected(core, peer, message);
    case "heartbeatResponse":
      onHeartbeatAnswer(core, peer);
      onHeartbeatProof(core, message);
      return null;
    case "readIndex":
      return onReadRequest(core, message);
    case "transferLeader":
      return startTransfer(core, message.target);
    default:
      return `a leader expects no ${message.kind}`;
  }
}

/** What became of a proposal: `changeRefused` says why a membership change was replaced by an empty entry. */
export interface LeaderProposal {
  readonly first: LogIndex;
  readonly dropped: string | null;
  readonly changeRefused: string | null;
}

export function proposeAsLeader(core: CoreState, proposed: readonly Draft[]): LeaderProposal {
  const last = core.log.lastIndex();
  const first = plus(last, 1);
  const drop = (dropped: string): LeaderProposal => ({ first, dropped, changeRefused: null });
  if (core.tracker.get(core.id) === undefined) return drop("this leader was removed");
  if (core.transferTarget !== NOBODY) return drop(`leadership is moving to ${core.transferTarget}`);
  let drafts = proposed;
  let changeRefused: string | null = null;
  const pendingBefore = core.pendingConfIndex;
  for (let i = 0; i < proposed.length; i++) {
    const draft = proposed[i] as Draft;
    if (!isConfChange(draft.kind)) continue;
    const change = decodeConfChange(draft);
    const why = change === null ? "it cannot be read" : whyChangeRefused(core, change);
    if (why === null) core.pendingConfIndex = plus(last, i + 1);
    else {
      changeRefused = why;
      core.out.event({ kind: "confChangeRefused", why });
      // Its place stays: a proposal is taken or dropped as a whole.
      drafts = drafts.map((each, at) => (at === i ? { kind: "normal", data: new Uint8Array(0) } : each));
    }
  }
  if (!appendOwn(core, drafts)) {
    core.pendingConfIndex = pendingBefore;
    return drop(
      `${core.uncommittedBytes} bytes are waiting, at most ${core.settings.maxUncommittedBytes} may`,
    );
  }
  broadcastAppend(core);
  return { first, dropped: null, changeRefused };
}

function onAccepted(core: CoreState, peer: Progress, message: Acknowledgement): string | null {
  const { match } = message;
  if (match > core.log.lastIndex())
    return `entry ${match} was never sent, the log ends at ${core.log.lastIndex()}`;
  peer.recentlyActive = true;
  const advanced = peer.acknowledge(match);
  // An old acknowledgement can still show that a probed peer is there and agrees.
  if (!advanced && !(peer.match === match && peer.state === "probe")) return null;
  if (peer.state === "probe") peer.becomeReplicate();
  else if (peer.state === "replicate") peer.inflights.freeUpTo(match);
  else if (peer.match + 1 >= core.log.firstIndex()) {
    // Whichever snapshot it installed: the log can take it from here.
    peer.becomeProbe();
    peer.becomeReplicate();
  }
  const isSelf = peer.id === core.id;
  if (maybeCommit(core)) {
    releaseEarlyReads(core);
    broadcastAppend(core);
  } else if (!isSelf && peer.needsCommit(core.log.committed)) sendAppend(core, peer, true);
  if (isSelf) return null;
  // The window has room again, perhaps for several messages.
  while (sendAppend(core, peer, false));
  if (peer.id === core.transferTarget && peer.match === core.log.lastIndex()) tellToStand(core, peer.id);
  return null;
}

function onRejected(core: CoreState, peer: Progress, message: Refusal): string | null {
  peer.recentlyActive = true;
  const { index, hintIndex, hintTerm } = message;
  // The peer named its last entry with a term that may agree; ours may rule out more of them at once (§5.3, end).
  const hint =
    hintTerm > 0 && hintIndex <= core.log.lastIndex()
      ? core.log.lastNotAfter(hintIndex, hintTerm).index
      : hintIndex;
  if (!peer.refuse(index, hint)) return null;
  if (peer.state === "replicate") peer.becomeProbe();
  sendAppend(core, peer, true);
  return null;
}

function onHeartbeatAnswer(core: CoreState, peer: Progress): void {
  peer.recentlyActive = true;
  peer.paused = false;
  // Behind, or not known to be there: an append finds out, an empty one if the window is full.
  if (peer.match < core.log.lastIndex() || peer.state === "probe") sendAppend(core, peer, true);
}

/** An append to it was lost for certain: find out again where it is. */
export function onUnreachable(core: CoreState, id: NodeId): void {
  const peer = core.tracker.get(id);
  if (core.role === "leader" && peer?.state === "replicate") peer.becomeProbe();
}

export function onSnapshotReport(core: CoreState, id: NodeId, ok: boolean): void {
  const peer = core.tracker.get(id);
  if (core.role !== "leader" || peer?.state !== "snapshot") return;
  // A failed one is as if never sent: probe from where the peer was.
  if (!ok) {
    peer.pendingSnapshot = 0 as LogIndex;
    peer.snapshotSentAt = null;
  }
  peer.becomeProbe();
  // Installed: wait for its answer. Failed: wait a heartbeat before the next try.
  peer.paused = true;
}

export function tickLeader(core: CoreState): void {
  core.heartbeatElapsed++;
  core.electionElapsed++;
  core.reads.ticks++;
  if (core.electionElapsed >= core.settings.electionTicks) {
    core.electionElapsed = 0;
    if (core.settings.checkQuorum && !checkQuorum(core)) return;
    if (core.transferTarget !== NOBODY) {
      abandonTransfer(core);
      leaveJointByItself(core);
    }
  }
  if (core.heartbeatElapsed < core.settings.heartbeatTicks) return;
  core.heartbeatElapsed = 0;
  sendHeartbeatRound(core);
}

/** A leader that cannot reach a quorum cannot commit, and must not answer as if it could (§6.2 of the dissertation). */
function checkQuorum(core: CoreState): boolean {
  const self = core.tracker.get(core.id);
  if (self !== undefined) self.recentlyActive = true;
  if (!core.tracker.isQuorumActive()) {
    core.out.event({
      kind: "steppedDown",
      term: core.term,
      why: "a quorum was silent for one election timeout",
    });
    becomeFollower(core, core.term, NOBODY);
    return false;
  }
  for (const peer of core.tracker.members) if (peer.id !== core.id) peer.checkAgain();
  return true;
}
