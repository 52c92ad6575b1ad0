/** How entries and group states are written down: kinds as numbers, configurations as JSON, a checksum over each. */
import { crc32 } from "node:zlib";
import { NodeId } from "../raft/types.ts";
import type { ConfState, Entry, EntryKind, HardState, SnapshotMeta, LogIndex } from "../raft/types.ts";
import type { GroupId } from "../ports.ts";

/** What one entry costs besides its data: keys, terms, checksum, its share of pages. Part of every byte count here. */
export const ENTRY_OVERHEAD_BYTES = 64;

/** A log's beginning is committed, in its term, and nobody was voted for. */
export function hardStateAfter({ index, term }: SnapshotMeta): HardState {
  return { term, vote: NodeId(0), commit: index };
}

const KINDS: readonly EntryKind[] = ["normal", "confChange", "confChangeV2"];

export function kindNumber(kind: EntryKind): number {
  return KINDS.indexOf(kind);
}

/** undefined for a number no kind has. */
export function kindOf(number: number): EntryKind | undefined {
  return KINDS[number];
}

export function sizeOf(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

/** One thread writes one header at a time, so one buffer serves all. */
const header = new DataView(new ArrayBuffer(32));
const headerBytes = new Uint8Array(header.buffer);

function put(offset: number, value: number): void {
  header.setUint32(offset, Math.floor(value / 2 ** 32));
  header.setUint32(offset + 4, value >>> 0);
}

/** CRC-32 over (group, index, term, kind, data): an entry that ends up in another place does not pass either. */
export function entryChecksum(group: GroupId, entry: Entry): number {
  put(0, group);
  put(8, entry.index);
  put(16, entry.term);
  put(24, kindNumber(entry.kind));
  const head = crc32(headerBytes);
  // zlib takes an empty buffer that the driver made for the wish to start over, and answers 0.
  return entry.data.length === 0 ? head : crc32(entry.data, head);
}

/** Everything about a group but its entries; `last` tells a log whose end was lost from one that ends there. */
export interface GroupState {
  readonly hardState: HardState;
  readonly boundary: SnapshotMeta;
  readonly last: LogIndex;
}

export function stateChecksum(group: GroupId, state: GroupState): number {
  const { hardState: h, boundary: b, last } = state;
  return crc32([group, h.term, h.vote, h.commit, b.index, b.term, last].join() + "\n" + encodeConf(b.conf));
}

export function encodeConf(conf: ConfState): string {
  return JSON.stringify([conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext, conf.autoLeave]);
}

/** Throws what JSON.parse or the number checks throw: the caller knows where the text came from. */
export function decodeConf(text: string): ConfState {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed) || parsed.length !== 5)
    throw new TypeError("a configuration is a list of five parts");
  const [voters, votersOutgoing, learners, learnersNext, autoLeave] = parsed as unknown[];
  return {
    voters: nodes(voters),
    votersOutgoing: nodes(votersOutgoing),
    learners: nodes(learners),
    learnersNext: nodes(learnersNext),
    autoLeave: autoLeave === true,
  };
}

function nodes(value: unknown): NodeId[] {
  if (!Array.isArray(value)) throw new TypeError("a configuration's part is a list of node ids");
  return value.map((id: unknown) => NodeId(Number(id)));
}
