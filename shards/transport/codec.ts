/**
 * What members say to each other as bytes: the only place where wire numbers become terms and indexes. Positional
 * arrays in MessagePack, so that a heartbeat is some twenty bytes. Reading trusts nothing and throws WireError.
 */
import { Packr, Unpackr } from "msgpackr";
import { GroupId } from "../ports.ts";
import type { ConfState, GroupMessage } from "../ports.ts";
import { LogIndex, NodeId, Term } from "../raft/types.ts";
import type { Entry, EntryKind } from "../raft/types.ts";

/** Bytes that no member of ours sent. */
export class WireError extends Error {
  override readonly name = "WireError";
}

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

export function pack(value: unknown): Buffer {
  return packr.pack(value);
}

export function unpack(bytes: Uint8Array): unknown {
  try {
    return unpackr.unpack(bytes);
  } catch (cause) {
    throw new WireError("a frame is not MessagePack", { cause });
  }
}

type Carried = GroupMessage["message"];

const KINDS = [
  "append",
  "appendAccepted",
  "appendRejected",
  "voteRequest",
  "preVoteRequest",
  "voteResponse",
  "preVoteResponse",
  "heartbeat",
  "heartbeatResponse",
  "snapshot",
  "transferLeader",
  "timeoutNow",
  "propose",
  "readIndex",
  "readIndexResponse",
  "quiesce",
  "beat",
] as const satisfies readonly Carried["kind"][];

const ENTRY_KINDS: readonly EntryKind[] = ["normal", "confChange", "confChangeV2"];

/** One turn's messages to one peer. */
export function encodeMessages(messages: readonly GroupMessage[]): Buffer {
  return pack(messages.map(({ group, message }) => wireOf(group, message)));
}

export function decodeMessages(frame: unknown): readonly GroupMessage[] {
  return list(frame).map(messageOf);
}

export function encodeMessage({ group, message }: GroupMessage): Buffer {
  return pack(wireOf(group, message));
}

export function decodeMessage(frame: unknown): GroupMessage {
  return messageOf(frame);
}

/** What a message costs on the wire, roughly: for the limits of queues and frames. */
export function sizeOfMessage({ message }: GroupMessage): number {
  let bytes = 48;
  if (message.kind === "append" || message.kind === "propose")
    for (const { data } of message.entries) bytes += 16 + data.length;
  return bytes;
}

function wireOf(group: GroupId, message: Carried): readonly unknown[] {
  const head = [group, KINDS.indexOf(message.kind), message.from, message.to, message.term];
  return [...head, ...bodyOf(message)];
}

function bodyOf(message: Carried): readonly unknown[] {
  switch (message.kind) {
    case "append": {
      const entries = message.entries.map(({ term, index, kind, data }) => [
        term,
        index,
        ENTRY_KINDS.indexOf(kind),
        data,
      ]);
      return [message.prevIndex, message.prevTerm, message.commit, entries];
    }
    case "appendAccepted":
      return [message.match];
    case "appendRejected":
      return [message.index, message.hintIndex, message.hintTerm];
    case "voteRequest":
    case "preVoteRequest":
      return [message.lastIndex, message.lastTerm, message.transfer, message.deadLeader];
    case "voteResponse":
    case "preVoteResponse":
      return [message.granted];
    case "heartbeat":
      return [message.commit, message.readToken];
    case "heartbeatResponse":
      return [message.readToken];
    case "snapshot": {
      const { index, term, conf } = message.meta;
      return [index, term, wireConf(conf)];
    }
    case "transferLeader":
      return [message.target];
    case "timeoutNow":
      return [];
    case "propose":
      return [message.entries.map(({ kind, data }) => [ENTRY_KINDS.indexOf(kind), data])];
    case "readIndex":
      return [message.token];
    case "readIndexResponse":
      return [message.token, message.index];
    case "quiesce":
      return [message.lastIndex, message.epoch];
    case "beat":
      return [message.epoch, message.everyMs];
  }
}

function messageOf(wire: unknown): GroupMessage {
  const [group, kindNumber, from, to, term, ...body] = list(wire);
  const kind = KINDS[whole(kindNumber)];
  if (kind === undefined) throw new WireError(`message kind ${String(kindNumber)} is not known`);
  const envelope = { from: nodeId(from), to: nodeId(to), term: termOf(term) };
  return { group: GroupId(whole(group)), message: { ...envelope, ...readBody(kind, body) } as Carried };
}

function readBody(kind: Carried["kind"], body: readonly unknown[]): object {
  switch (kind) {
    case "append": {
      const [prevIndex, prevTerm, commit, entries] = body;
      return {
        kind,
        prevIndex: index(prevIndex),
        prevTerm: termOf(prevTerm),
        commit: index(commit),
        entries: list(entries).map(entryOf),
      };
    }
    case "appendAccepted":
      return { kind, match: index(body[0]) };
    case "appendRejected":
      return { kind, index: index(body[0]), hintIndex: index(body[1]), hintTerm: termOf(body[2]) };
    case "voteRequest":
    case "preVoteRequest":
      return {
        kind,
        lastIndex: index(body[0]),
        lastTerm: termOf(body[1]),
        transfer: flag(body[2]),
        deadLeader: nodeId(body[3]),
      };
    case "voteResponse":
    case "preVoteResponse":
      return { kind, granted: flag(body[0]) };
    case "heartbeat":
      return { kind, commit: index(body[0]), readToken: text(body[1]) };
    case "heartbeatResponse":
      return { kind, readToken: text(body[0]) };
    case "snapshot":
      return { kind, meta: { index: index(body[0]), term: termOf(body[1]), conf: confOf(body[2]) } };
    case "transferLeader":
      return { kind, target: nodeId(body[0]) };
    case "timeoutNow":
      return { kind };
    case "propose":
      return {
        kind,
        entries: list(body[0]).map((entry) => {
          const [entryKind, data] = list(entry);
          return { kind: entryKindOf(entryKind), data: bytes(data) };
        }),
      };
    case "readIndex":
      return { kind, token: text(body[0]) };
    case "readIndexResponse":
      return { kind, token: text(body[0]), index: index(body[1]) };
    case "quiesce":
      return { kind, lastIndex: index(body[0]), epoch: whole(body[1]) };
    case "beat":
      return { kind, epoch: whole(body[0]), everyMs: whole(body[1]) };
  }
}

function entryOf(wire: unknown): Entry {
  const [term, at, kind, data] = list(wire);
  return { term: termOf(term), index: index(at), kind: entryKindOf(kind), data: bytes(data) };
}

function entryKindOf(value: unknown): EntryKind {
  const kind = ENTRY_KINDS[whole(value)];
  if (kind === undefined) throw new WireError(`entry kind ${String(value)} is not known`);
  return kind;
}

function wireConf(conf: ConfState): readonly unknown[] {
  return [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext, conf.autoLeave];
}

function confOf(wire: unknown): ConfState {
  const [voters, votersOutgoing, learners, learnersNext, autoLeave] = list(wire);
  const nodes = (value: unknown): readonly NodeId[] => list(value).map(nodeId);
  return {
    voters: nodes(voters),
    votersOutgoing: nodes(votersOutgoing),
    learners: nodes(learners),
    learnersNext: nodes(learnersNext),
    autoLeave: flag(autoLeave),
  };
}

export function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new WireError(`a list was expected, not ${typeof value}`);
  return value;
}
export function whole(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw new WireError(`a whole number was expected, not ${String(value)}`);
  return value as number;
}
export function text(value: unknown): string {
  if (typeof value !== "string" || value.length > 512) throw new WireError("a short text was expected");
  return value;
}
export function bytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new WireError("bytes were expected");
  // A Buffer behaves otherwise: its slices share memory. Those who get these bytes expect copies.
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}
function flag(value: unknown): boolean {
  if (typeof value !== "boolean") throw new WireError("true or false was expected");
  return value;
}
const index = (value: unknown): LogIndex => LogIndex(whole(value));
const termOf = (value: unknown): Term => Term(whole(value));
const nodeId = (value: unknown): NodeId => NodeId(whole(value));
