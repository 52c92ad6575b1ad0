/** Reads a group's log as it lies in the file and refuses what is not as it was written. */
import type Database from "better-sqlite3";
import { GroupId, LogError } from "../ports.ts";
import type { Entry } from "../ports.ts";
import { LogIndex, NodeId, Term } from "../raft/types.ts";
import { LogOutline } from "./outline.ts";
import { ENTRY_OVERHEAD_BYTES, decodeConf, entryChecksum, kindOf, stateChecksum } from "./record.ts";
import type { GroupState } from "./record.ts";

export interface GroupRow {
  readonly grp: number;
  readonly term: number;
  readonly vote: number;
  readonly commit_index: number;
  readonly boundary_index: number;
  readonly boundary_term: number;
  readonly boundary_conf: string;
  readonly last_index: number;
  readonly crc: number;
}

export interface EntryRow {
  readonly idx: number;
  readonly term: number;
  readonly kind: number;
  readonly crc: number;
  readonly data: Uint8Array;
}

interface OutlineRow {
  readonly idx: number;
  readonly term: number;
  readonly bytes: number;
}

/** Rows are read in steps: the list of a long log would be large. */
const ROWS_PER_READ = 4_096;

/**
 * The group's outline, from the state row (checksum), every entry's place, term and length, and the checksums of
 * entries above the commit index: no majority need have those, so a damaged one must not be acknowledged again.
 */
export function loadGroup(db: Database.Database, row: GroupRow): LogOutline {
  const group = GroupId(row.grp);
  const state = stateOf(group, row);
  const outline = new LogOutline(state.hardState, state.boundary);
  const scan = db.prepare<[number, number, number], OutlineRow>(
    `SELECT idx, term, length(data) AS bytes FROM entries WHERE grp = ? AND idx > ? ORDER BY idx LIMIT ?`,
  );
  let from: number = state.boundary.index;
  for (;;) {
    const rows = scan.all(group, from, ROWS_PER_READ);
    for (const entry of rows) outlineEntry(group, outline, state, entry);
    from += rows.length;
    if (rows.length < ROWS_PER_READ) break;
  }
  if (outline.last !== state.last)
    throw corrupt(
      group,
      outline.last + 1,
      `the log ends at ${outline.last}, but was written up to ${state.last}`,
    );
  checkUncommitted(db, group, outline);
  return outline;
}

function outlineEntry(group: GroupId, outline: LogOutline, state: GroupState, row: OutlineRow): void {
  const expected = outline.last + 1;
  if (row.idx !== expected)
    throw corrupt(group, expected, `entry ${expected} is missing: ${row.idx} follows ${outline.last}`);
  if (row.idx > state.last)
    throw corrupt(group, row.idx, `entry ${row.idx} lies behind the end, ${state.last}`);
  const before = outline.term(outline.last);
  if (!Number.isSafeInteger(row.term) || typeof before !== "number" || row.term < before)
    throw corrupt(group, row.idx, `entry ${row.idx} has term ${row.term} after ${before}`);
  outline.appendSized(LogIndex(row.idx), Term(row.term), row.bytes + ENTRY_OVERHEAD_BYTES);
}

function checkUncommitted(db: Database.Database, group: GroupId, outline: LogOutline): void {
  const tail = db.prepare<[number, number], EntryRow>(
    "SELECT idx, term, kind, crc, data FROM entries WHERE grp = ? AND idx > ? ORDER BY idx",
  );
  for (const row of tail.iterate(group, Math.max(outline.hardState.commit, outline.boundary.index)))
    entryOf(group, row, outline.term(LogIndex(row.idx)));
}

function stateOf(group: GroupId, row: GroupRow): GroupState {
  let state: GroupState;
  try {
    state = {
      hardState: {
        term: Term(row.term),
        vote: NodeId(row.vote),
        commit: LogIndex(row.commit_index),
      },
      boundary: {
        index: LogIndex(row.boundary_index),
        term: Term(row.boundary_term),
        conf: decodeConf(row.boundary_conf),
      },
      last: LogIndex(row.last_index),
    };
  } catch (cause) {
    throw corrupt(group, null, "its state cannot be read", cause);
  }
  if (stateChecksum(group, state) !== row.crc) throw corrupt(group, null, "its state fails its checksum");
  return state;
}

/** The entry in a row, its checksum and term verified. */
export function entryOf(group: GroupId, row: EntryRow, term: Term | "compacted" | "unavailable"): Entry {
  const kind = kindOf(row.kind);
  if (kind === undefined || row.term !== term)
    throw corrupt(group, row.idx, `entry ${row.idx} has kind ${row.kind} and term ${row.term}, not ${term}`);
  const entry: Entry = { term, index: LogIndex(row.idx), kind, data: row.data };
  if (entryChecksum(group, entry) !== row.crc)
    throw corrupt(group, row.idx, `entry ${row.idx} fails its checksum`);
  return entry;
}

function corrupt(group: GroupId, index: number | null, what: string, cause?: unknown): LogError {
  return new LogError(
    "LOG_CORRUPT",
    `the log of group ${group} is damaged: ${what}; remove this node and let it join again`,
    index === null ? { group } : { group, index },
    { cause },
  );
}
