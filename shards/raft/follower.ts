/** A follower's side of the log: what the leader sends (Raft §5.3, §7). */
import { checkConfState, EMPTY_CONF, whyBroken } from "./changer.ts";
import { invariant } from "./invariant.ts";
import { lower, plus } from "./index-math.ts";
import type { CoreState } from "./state.ts";
import type { Message } from "./message.ts";
import type { ConfState, LogIndex, NodeId } from "./types.ts";

type Append = Extract<Message, { kind: "append" }>;
type Heartbeat = Extract<Message, { kind: "heartbeat" }>;
type Snapshot = Extract<Message, { kind: "snapshot" }>;

/** Why a message from a leader cannot come from a correct one; null when it can. Checked before it changes anything. */
export function whyImpossible(core: CoreState, message: Append | Heartbeat | Snapshot): string | null {
  if (message.kind === "snapshot") {
    const { conf, term } = message.meta;
    return term > message.term ? `a snapshot of term ${term} in term ${message.term}` : whyBroken(conf);
  }
  const last = core.log.lastIndex();
  if (message.kind === "heartbeat")
    return message.commit <= last
      ? null
      : `it says this member holds entry ${message.commit}, but its log ends at ${last}`;
  let previousTerm = message.prevTerm;
  for (let i = 0; i < message.entries.length; i++) {
    const entry = message.entries[i];
    if (entry === undefined || entry.index !== message.prevIndex + 1 + i)
      return `entry ${i} behind ${message.prevIndex} has index ${entry?.index}`;
    if (entry.term < previousTerm || entry.term > message.term)
      return `entry ${entry.index} has term ${entry.term}, between ${previousTerm} and ${message.term} is possible`;
    previousTerm = entry.term;
  }
  return message.prevTerm > message.term ? `term ${message.prevTerm} before term ${message.term}` : null;
}

export function onAppend(core: CoreState, message: Append): void {
  const { log } = core;
  if (message.prevIndex < log.committed) {
    // Late or repeated: what is committed is settled, so it is answered and never rewritten (raft.md, never 6).
    accept(core, message.from, log.committed);
    return;
  }
  if (!log.matches(message.prevIndex, message.prevTerm)) {
    const hint = log.lastNotAfter(lower(message.prevIndex, log.lastIndex()), message.prevTerm);
    core.out.whenDurable({
      kind: "appendRejected",
      from: core.id,
      to: message.from,
      term: core.term,
      index: message.prevIndex,
      hintIndex: hint.index,
      hintTerm: hint.term,
    });
    return;
  }
  const fresh = log.firstNew(message.entries);
  if (fresh !== null) log.append(fresh === 0 ? message.entries : message.entries.slice(fresh));
  // Verified up to here, no further: behind it may lie another leader's tail (raft.md, never 4 and 5).
  const verified = plus(message.prevIndex, message.entries.length);
  log.commitTo(lower(message.commit, verified));
  accept(core, message.from, verified);
}

function accept(core: CoreState, to: NodeId, match: LogIndex): void {
  core.out.whenDurable({ kind: "appendAccepted", from: core.id, to, term: core.term, match });
}

export function onHeartbeat(core: CoreState, message: Heartbeat): void {
  core.log.commitTo(message.commit);
  core.out.now({
    kind: "heartbeatResponse",
    from: core.id,
    to: message.from,
    term: core.term,
    readToken: message.readToken,
  });
}

export function onSnapshot(core: CoreState, message: Snapshot): void {
  const why = whyNotInstalled(core, message);
  if (why === null) install(core, message);
  else core.out.event({ kind: "snapshotIgnored", from: message.from, index: message.meta.index, why });
  accept(core, message.from, why === null ? core.log.lastIndex() : core.log.committed);
}

/**
 * A configuration that does not name this member is no reason: a snapshot that was captured before it was added is
 * shared with it, and the entry that adds it follows in the log.
 */
function whyNotInstalled(core: CoreState, { meta }: Snapshot): string | null {
  const { log } = core;
  if (meta.index <= log.committed) return `commit ${log.committed} is not below its index ${meta.index}`;
  if (!log.matches(meta.index, meta.term)) return null;
  // The log already holds what the snapshot covers: only the commit index was behind.
  log.commitTo(meta.index);
  return `the log holds entry ${meta.index} of term ${meta.term} already`;
}

function install(core: CoreState, { meta }: Snapshot): void {
  invariant(core.role === "follower", () => `a ${core.role} installs no snapshot`);
  core.log.restore(meta);
  adopt(core, meta.conf);
  core.out.event({ kind: "configurationApplied", conf: meta.conf, index: meta.index });
}

/** The configuration of a snapshot or of a stored log; nothing is known about its members' logs yet. */
export function adopt(core: CoreState, conf: ConfState): void {
  checkConfState(conf);
  const last = core.log.lastIndex();
  core.tracker.reconfigure(EMPTY_CONF, last);
  core.tracker.reconfigure(conf, last);
  const self = core.tracker.get(core.id);
  if (self !== undefined) self.acknowledge(last);
}
