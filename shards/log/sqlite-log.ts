import type Database from "better-sqlite3";
import { GroupId, LogError } from "../ports.ts";
import type { Entry, GroupLog, GroupWrite, HardState, LogStore, SnapshotMeta } from "../ports.ts";
import type { Term } from "../raft/types.ts";
import { LogIndex } from "../raft/types.ts";
import { Checkpoints } from "./checkpoints.ts";
import { Garbage } from "./garbage.ts";
import { entryOf, loadGroup } from "./load.ts";
import type { EntryRow, GroupRow } from "./load.ts";
import { LogOutline } from "./outline.ts";
import {
  ENTRY_OVERHEAD_BYTES,
  encodeConf,
  entryChecksum,
  hardStateAfter,
  kindNumber,
  stateChecksum,
} from "./record.ts";
import { asLogError, openFile } from "./sqlite-file.ts";
import { TailCache } from "./tail-cache.ts";

export interface SqliteLogOptions {
  /** The file; its directory exists. */
  readonly path: string;
  /** Recent entries kept in memory, over all groups; default 64 MiB. */
  readonly cacheBytesMax?: number;
  /** The file does not grow beyond this (LOG_FULL); default: what the disk holds. */
  readonly fileBytesMax?: number;
}

/**
 * Opens the node's log, creating it when missing, and checks all of it but the data of committed entries (these are
 * checked when read). LOG_CORRUPT, LOG_LOCKED or LOG_VERSION when it cannot be trusted or had.
 */
export async function openSqliteLog(options: SqliteLogOptions): Promise<SqliteLog> {
  const db = openFile(options.path, options.fileBytesMax);
  try {
    return new SqliteLog(db, options.cacheBytesMax ?? 64 << 20);
  } catch (error) {
    db.close();
    throw asLogError(error, `cannot open the log ${options.path}`);
  }
}

/** All groups of a node in one SQLite file, one transaction and one fsync per write (adr/0003). */
export class SqliteLog implements LogStore {
  readonly #db: Database.Database;
  readonly #cache: TailCache;
  readonly #garbage: Garbage;
  readonly #checkpoints: Checkpoints;
  readonly #groups = new Map<GroupId, SqliteGroupLog>();
  readonly #sql: Statements;
  #broken: unknown = null;

  constructor(db: Database.Database, cacheBytesMax: number) {
    this.#db = db;
    this.#cache = new TailCache(cacheBytesMax);
    this.#sql = prepare(db);
    this.#garbage = new Garbage(db);
    this.#checkpoints = new Checkpoints(db, {
      isOpen: () => db.open,
      failed: (cause) => this.#fail(asLogError(cause, "cannot move what was written into the log's file")),
    });
    for (const row of this.#sql.groups.all()) {
      const outline = loadGroup(db, row);
      this.#groups.set(GroupId(row.grp), this.#view(GroupId(row.grp), outline));
      this.#garbage.add(GroupId(row.grp), outline.boundary.index);
    }
    this.#garbage.addStrays([...this.#groups.keys()]);
  }

  groups(): readonly GroupId[] {
    return [...this.#groups.keys()].sort((a, b) => a - b);
  }

  open(group: GroupId): GroupLog {
    this.#check();
    return this.#log(group);
  }

  async create(group: GroupId, first: SnapshotMeta): Promise<void> {
    this.#check();
    if (this.#groups.has(group))
      throw new LogError("LOG_EXISTS", `group ${group} has a log already`, { group });
    const outline = new LogOutline(hardStateAfter(first), first);
    this.#transaction(`create the log of group ${group}`, () => {
      this.#garbage.collectAll(group);
      this.#saveState(group, outline);
    });
    this.#groups.set(group, this.#view(group, outline));
  }

  async write(batch: readonly GroupWrite[]): Promise<void> {
    this.#check();
    let bytes = 0;
    const touched = new Set<SqliteGroupLog>();
    this.#transaction("write to the log", () => {
      for (const write of batch) {
        const log = this.#log(write.group);
        const before = log.outline.state;
        log.outline.take(write);
        // What lies below the snapshot is garbage; what lies above it would count as the log's continuation.
        if (write.snapshot !== undefined) this.#deleteFrom(write.group, write.snapshot.index, before.last);
        else if (write.entries?.[0] !== undefined)
          this.#deleteFrom(write.group, write.entries[0].index - 1, before.last);
        for (const entry of write.entries ?? []) bytes += this.#insert(write.group, entry);
        if (log.outline.boundary.index > before.boundary.index)
          this.#garbage.add(write.group, log.outline.boundary.index);
        touched.add(log);
      }
      for (const log of touched) this.#saveState(log.group, log.outline);
      this.#garbage.collect(bytes);
    });
    this.#checkpoints.committed(bytes);
    for (const write of batch) this.#remember(write);
  }

  async destroy(group: GroupId): Promise<void> {
    this.#check();
    const log = this.#groups.get(group);
    if (log === undefined) return;
    this.#transaction(`destroy the log of group ${group}`, () => {
      this.#sql.deleteGroup.run(group);
      this.#garbage.add(group, Number.MAX_SAFE_INTEGER);
    });
    log.close(new LogError("LOG_MISSING", `the log of group ${group} was destroyed`, { group }));
    this.#groups.delete(group);
    this.#cache.forget(group);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#db.open) return;
    this.#break(this.#broken ?? new LogError("LOG_MISSING", "the log was closed"));
    this.#db.close();
  }

  #view(group: GroupId, outline: LogOutline): SqliteGroupLog {
    return new SqliteGroupLog(group, outline, { sql: this.#sql, cache: this.#cache });
  }

  #log(group: GroupId): SqliteGroupLog {
    const log = this.#groups.get(group);
    if (log === undefined) throw new LogError("LOG_MISSING", `group ${group} has no log here`, { group });
    return log;
  }

  /** Rows of a replaced tail go in the same transaction, or a crash would leave two logs mixed. */
  #deleteFrom(group: GroupId, after: number, last: number): void {
    if (last > after) this.#sql.deleteAfter.run(group, after);
  }

  #insert(group: GroupId, entry: Entry): number {
    const { index, term, data } = entry;
    this.#sql.insert.run(group, index, term, kindNumber(entry.kind), entryChecksum(group, entry), data);
    return data.length + ENTRY_OVERHEAD_BYTES;
  }

  #saveState(group: GroupId, outline: LogOutline): void {
    const { hardState: h, boundary: b, last } = outline.state;
    const crc = stateChecksum(group, outline.state);
    this.#sql.saveGroup.run(group, h.term, h.vote, h.commit, b.index, b.term, encodeConf(b.conf), last, crc);
  }

  #remember(write: GroupWrite): void {
    if (write.snapshot !== undefined) this.#cache.forget(write.group);
    const first = write.entries?.[0];
    if (first === undefined) return;
    this.#cache.truncateFrom(write.group, first.index);
    this.#cache.append(write.group, write.entries ?? []);
  }

  #transaction(doing: string, work: () => void): void {
    try {
      this.#sql.begin.run();
      work();
      this.#sql.commit.run();
    } catch (cause) {
      throw this.#fail(asLogError(cause, `cannot ${doing}`));
    }
  }

  /** What is in memory may be ahead of the disk now, so nothing of it is served; closing rolls back. */
  #fail(error: Error): Error {
    this.#break(error);
    this.#db.close();
    return error;
  }

  #break(error: unknown): void {
    this.#broken = error;
    for (const log of this.#groups.values()) log.close(error);
  }

  #check(): void {
    if (this.#broken !== null)
      throw new LogError("LOG_POISONED", "the log failed before or was closed", {}, { cause: this.#broken });
  }
}

class SqliteGroupLog implements GroupLog {
  readonly group: GroupId;
  readonly #outline: LogOutline;
  readonly #parts: { readonly sql: Statements; readonly cache: TailCache };
  #closed: unknown = null;

  constructor(group: GroupId, outline: LogOutline, parts: { sql: Statements; cache: TailCache }) {
    this.group = group;
    this.#outline = outline;
    this.#parts = parts;
  }

  close(why: unknown): void {
    this.#closed = why;
  }

  get outline(): LogOutline {
    if (this.#closed !== null)
      throw new LogError(
        "LOG_POISONED",
        `the log of group ${this.group} failed before or was closed`,
        { group: this.group },
        { cause: this.#closed },
      );
    return this.#outline;
  }

  hardState(): HardState {
    return this.outline.hardState;
  }
  boundary(): SnapshotMeta {
    return this.outline.boundary;
  }
  firstIndex(): LogIndex {
    return this.outline.first;
  }
  lastIndex(): LogIndex {
    return this.outline.last;
  }
  term(index: LogIndex): Term | "compacted" | "unavailable" {
    return this.outline.term(index);
  }
  bytes(): number {
    return this.outline.bytes;
  }
  cutKeeping(keepBytes: number): LogIndex {
    return this.outline.cutKeeping(keepBytes);
  }

  entries(low: LogIndex, high: LogIndex, maxBytes: number): readonly Entry[] | "compacted" | "unavailable" {
    const outline = this.outline;
    if (low < outline.first) return "compacted";
    if (high > outline.last + 1) return "unavailable";
    let end: number = low;
    for (let bytes = 0; end < high; end++) {
      bytes += outline.size(LogIndex(end)) - ENTRY_OVERHEAD_BYTES;
      if (end > low && bytes > maxBytes) break;
    }
    const cachedFrom = this.#cachedFrom(low, end);
    const found = cachedFrom > low ? this.#read(low, cachedFrom) : [];
    for (let index = cachedFrom; index < end; index++) {
      const entry = this.#parts.cache.get(this.group, LogIndex(index));
      if (entry !== undefined) found.push(entry);
    }
    return found;
  }

  membershipEntries(low: LogIndex, high: LogIndex): readonly Entry[] {
    const from = Math.max(low, this.outline.first);
    return this.#checked(this.#parts.sql.membership.all(this.group, from, high));
  }

  /** The cache holds the end of the log: what it has of a range is the range's end. */
  #cachedFrom(low: number, end: number): number {
    let from = end;
    while (from > low && this.#parts.cache.get(this.group, LogIndex(from - 1)) !== undefined) from--;
    return from;
  }

  #read(low: number, high: number): Entry[] {
    const entries = this.#checked(this.#parts.sql.range.all(this.group, low, high));
    for (let at = 0; at < high - low; at++)
      if (entries[at]?.index !== low + at)
        throw new LogError("LOG_CORRUPT", `entry ${low + at} of group ${this.group} is missing`, {
          group: this.group,
          index: low + at,
        });
    return entries;
  }

  #checked(rows: readonly EntryRow[]): Entry[] {
    return rows.map((row) => entryOf(this.group, row, this.outline.term(LogIndex(row.idx))));
  }
}

type Statements = ReturnType<typeof prepare>;

function prepare(db: Database.Database) {
  return {
    begin: db.prepare<[]>("BEGIN IMMEDIATE"),
    commit: db.prepare<[]>("COMMIT"),
    groups: db.prepare<[], GroupRow>("SELECT * FROM groups ORDER BY grp"),
    insert: db.prepare<[number, number, number, number, number, Uint8Array]>(
      "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)",
    ),
    deleteAfter: db.prepare<[number, number]>("DELETE FROM entries WHERE grp = ? AND idx > ?"),
    saveGroup: db.prepare<[number, number, number, number, number, number, string, number, number]>(
      "INSERT OR REPLACE INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    ),
    deleteGroup: db.prepare<[number]>("DELETE FROM groups WHERE grp = ?"),
    range: db.prepare<[number, number, number], EntryRow>(
      "SELECT idx, term, kind, crc, data FROM entries WHERE grp = ? AND idx >= ? AND idx < ? ORDER BY idx",
    ),
    membership: db.prepare<[number, number, number], EntryRow>(
      "SELECT idx, term, kind, crc, data FROM entries WHERE grp = ? AND idx >= ? AND idx < ? AND kind <> 0 ORDER BY idx",
    ),
  };
}
