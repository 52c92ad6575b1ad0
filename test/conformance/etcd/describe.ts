/** Etcd's text for entries, messages, configurations and progress. Translation only. */
import { decodeConfChange } from "../../../shards/raft/conf-change.ts";
import { ENTRY_NAMES, LOCAL_NAMES, MESSAGE_NAMES, ROLE_NAMES, STATE_NAMES } from "./names.ts";
import type { ConfChangeStep } from "../../../shards/raft/conf-change.ts";
import { LogIndex, Term } from "../../../shards/raft/types.ts";
import type { ConfState, Entry, HardState, SnapshotMeta } from "../../../shards/raft/types.ts";
import type { Message } from "../../../shards/raft/message.ts";
import type { PeerStatus, Status } from "../../../shards/raft/status.ts";

/** A message in etcd's shape: one record for all kinds. The storage threads have names instead of ids. */
export interface Wire {
  readonly from: number | "AppendThread" | "ApplyThread";
  readonly to: number | "AppendThread" | "ApplyThread";
  readonly type: string;
  readonly term: number;
  readonly logTerm?: number;
  readonly index?: number;
  readonly rejected?: { readonly hint: number };
  readonly commit?: number;
  readonly vote?: number;
  readonly entries?: readonly Entry[];
  readonly snapshot?: SnapshotMeta | null;
  readonly responses?: readonly Wire[];
}

export function wireOf(message: Message): Wire {
  const { from, to, term } = message;
  const base = { from, to, term, type: MESSAGE_NAMES[message.kind] };
  switch (message.kind) {
    case "append": {
      const { prevTerm, prevIndex, entries, commit } = message;
      return { ...base, logTerm: prevTerm, index: prevIndex, entries, commit };
    }
    case "appendAccepted":
      return { ...base, index: message.match };
    case "appendRejected":
      return {
        ...base,
        index: message.index,
        logTerm: message.hintTerm,
        rejected: { hint: message.hintIndex },
      };
    case "voteRequest":
    case "preVoteRequest":
      return { ...base, logTerm: message.lastTerm, index: message.lastIndex };
    case "voteResponse":
    case "preVoteResponse":
      return message.granted ? base : { ...base, rejected: { hint: 0 } };
    case "heartbeat":
      return { ...base, commit: message.commit };
    case "snapshot":
      return { ...base, snapshot: message.meta };
    case "propose":
      // Proposed entries have no place yet, which etcd shows as 0/0.
      return {
        ...base,
        entries: message.entries.map((draft) => ({ ...draft, term: Term(0), index: LogIndex(0) })),
      };
    case "readIndexResponse":
      return { ...base, index: message.index };
    default:
      return base;
  }
}

export function describeWire(message: Wire, indent = ""): string {
  const target = (id: Wire["from"]): string => (typeof id === "number" ? String(id) : LOCAL_NAMES[id]);
  const { entries = [], responses = [], snapshot } = message;
  let text = `${target(message.from)}->${target(message.to)} ${message.type} Term:${message.term}`;
  text += ` Log:${message.logTerm ?? 0}/${message.index ?? 0}`;
  if (message.rejected !== undefined) text += ` Rejected (Hint: ${message.rejected.hint})`;
  if ((message.commit ?? 0) !== 0) text += ` Commit:${message.commit}`;
  if ((message.vote ?? 0) !== 0) text += ` Vote:${message.vote}`;
  if (entries.length === 1) text += ` Entries:[${entries.map(describeEntry).join("")}]`;
  else if (entries.length > 1)
    text += ` Entries:[${entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`).join("")}\n${indent}]`;
  if (snapshot !== undefined && snapshot !== null)
    text += `\n${indent}  Snapshot: ${describeSnapshot(snapshot)}`;
  if (responses.length > 0) {
    const lines = responses.map((response) => `\n${indent}  ${describeWire(response, `${indent}  `)}`);
    text += ` Responses:[${lines.join("")}\n${indent}]`;
  }
  return text;
}

export function describeEntry(entry: Entry): string {
  const change = decodeConfChange(entry);
  const data =
    change === null ? JSON.stringify(new TextDecoder().decode(entry.data)) : stepsText(change.steps);
  return `${entry.term}/${entry.index} ${ENTRY_NAMES[entry.kind]}${data === "" ? "" : ` ${data}`}`;
}

const STEP_LETTERS = { addVoter: "v", addLearner: "l", remove: "r", update: "u" } as const;

function stepsText(steps: readonly ConfChangeStep[]): string {
  return steps.map((step) => `${STEP_LETTERS[step.kind]}${step.node}`).join(" ");
}

export function describeSnapshot(meta: SnapshotMeta): string {
  const { conf } = meta;
  const list = (ids: readonly number[]): string => `[${ids.join(" ")}]`;
  return (
    `Index:${meta.index} Term:${meta.term} ConfState:Voters:${list(conf.voters)} ` +
    `VotersOutgoing:${list(conf.votersOutgoing)} Learners:${list(conf.learners)} ` +
    `LearnersNext:${list(conf.learnersNext)} AutoLeave:${conf.autoLeave}`
  );
}

export function describeHardState(state: HardState): string {
  return `Term:${state.term}${state.vote === 0 ? "" : ` Vote:${state.vote}`} Commit:${state.commit}`;
}

export function describeConf(conf: ConfState): string {
  const list = (ids: readonly number[]): string => `(${ids.join(" ")})`;
  let text = `voters=${list(conf.voters)}`;
  if (conf.votersOutgoing.length > 0) text += `&&${list(conf.votersOutgoing)}`;
  if (conf.learners.length > 0) text += ` learners=${list(conf.learners)}`;
  if (conf.learnersNext.length > 0) text += ` learners_next=${list(conf.learnersNext)}`;
  return conf.autoLeave ? `${text} autoleave` : text;
}

export function describePeer(peer: PeerStatus): string {
  let text = `${peer.id}: ${STATE_NAMES[peer.state]} match=${peer.match} next=${peer.next}`;
  if (peer.learner) text += " learner";
  if (peer.paused) text += " paused";
  if (peer.pendingSnapshot > 0) text += ` pendingSnap=${peer.pendingSnapshot}`;
  if (!peer.recentlyActive) text += " inactive";
  if (peer.inflightMessages > 0)
    text += ` inflight=${peer.inflightMessages}${peer.inflightFull ? "[full]" : ""}`;
  return text;
}

export function describeState(status: Status): string {
  const voter = status.isVoter ? "(Voter)" : "(Non-Voter)";
  return `${status.id}: ${ROLE_NAMES[status.role]} ${voter} Term:${status.term} Lead:${status.leader}`;
}
