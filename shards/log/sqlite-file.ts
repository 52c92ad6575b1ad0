/** Opens `raft.db`, and turns what SQLite says into what {@link LogError} says. */
import { closeSync, existsSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { LogError } from "../ports.ts";
import type { GroupId, LogErrorCode } from "../ports.ts";
import { InvariantViolation } from "../raft/invariant.ts";
import { checkWal } from "./wal-check.ts";

/** "FLOL": tells our files from any other SQLite file. */
const APPLICATION_ID = 0x464c4f4c;
export const FORMAT_VERSION = 1;

/** Measured in adr/0003: entries of 300 KB and of 600 B both do best near here, and a checkpoint stays short. */
export const PAGE_BYTES = 16_384;
export const CHECKPOINT_BYTES = 4 << 20;
/** Where a commit would run one itself: only should ours never get their turn. */
const CHECKPOINT_WITHIN_COMMIT_BYTES = 8 * CHECKPOINT_BYTES;
const PAGE_CACHE_KIB = 8_192;

const SCHEMA = `
  CREATE TABLE groups (
    grp INTEGER PRIMARY KEY, term INTEGER NOT NULL, vote INTEGER NOT NULL, commit_index INTEGER NOT NULL,
    boundary_index INTEGER NOT NULL, boundary_term INTEGER NOT NULL, boundary_conf TEXT NOT NULL,
    last_index INTEGER NOT NULL, crc INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE entries (
    grp INTEGER NOT NULL, idx INTEGER NOT NULL, term INTEGER NOT NULL, kind INTEGER NOT NULL, crc INTEGER NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY (grp, idx)
  ) STRICT, WITHOUT ROWID;
`;

/** Open, locked against every other process, of our format. */
export function openFile(path: string, bytesMax?: number): Database.Database {
  const isNew = !existsSync(path);
  let db: Database.Database | undefined;
  try {
    checkWal(path);
    db = new Database(path, { timeout: 0 });
    if (isNew) db.pragma(`page_size = ${PAGE_BYTES}`);
    db.pragma("locking_mode = EXCLUSIVE");
    db.pragma("journal_mode = WAL");
    db.pragma("synchronous = FULL");
    db.pragma("cell_size_check = ON");
    db.pragma(`cache_size = -${PAGE_CACHE_KIB}`);
    db.pragma(`wal_autocheckpoint = ${CHECKPOINT_WITHIN_COMMIT_BYTES / PAGE_BYTES}`);
    // An exclusive lock is taken by the first transaction and kept.
    db.transaction(() => prepareSchema(path, db!)).immediate();
    if (bytesMax !== undefined) db.pragma(`max_page_count = ${Math.floor(bytesMax / PAGE_BYTES)}`);
    if (isNew) syncDirectory(dirname(path));
    return db;
  } catch (error) {
    db?.close();
    throw asLogError(error, `cannot open the log ${path}`);
  }
}

function prepareSchema(path: string, db: Database.Database): void {
  const id = Number(db.pragma("application_id", { simple: true }));
  const version = Number(db.pragma("user_version", { simple: true }));
  const tables = Number(db.prepare("SELECT count(*) FROM sqlite_schema").pluck().get());
  if (id === 0 && version === 0 && tables === 0) {
    db.exec(SCHEMA);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${FORMAT_VERSION}`);
  } else if (id !== APPLICATION_ID) {
    throw new LogError("LOG_VERSION", `${path} is not a Flotilla log`);
  } else if (version !== FORMAT_VERSION) {
    throw new LogError(
      "LOG_VERSION",
      `${path} has log format ${version}, and this version reads format ${FORMAT_VERSION}`,
    );
  }
}

/** A new file is only durable once its directory is. */
function syncDirectory(directory: string): void {
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function codeOf(sqlite: string): LogErrorCode {
  if (sqlite.startsWith("SQLITE_FULL")) return "LOG_FULL";
  if (sqlite.startsWith("SQLITE_BUSY")) return "LOG_LOCKED";
  if (sqlite.startsWith("SQLITE_CORRUPT") || sqlite === "SQLITE_NOTADB") return "LOG_CORRUPT";
  return "LOG_IO";
}

export function asLogError(error: unknown, doing: string, at: { group?: GroupId } = {}): Error {
  if (error instanceof LogError) return error;
  if (error instanceof Database.SqliteError) {
    const code = codeOf(error.code);
    const why = code === "LOG_LOCKED" ? "another process has it open" : `${error.message} (${error.code})`;
    return new LogError(code, `${doing}: ${why}`, at, { cause: error });
  }
  if (error instanceof InvariantViolation) return error;
  return new LogError("LOG_IO", `${doing}: ${error instanceof Error ? error.message : String(error)}`, at, {
    cause: error,
  });
}
