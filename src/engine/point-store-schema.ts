/** The SQLite file of a shard: its tables, and how its failures are told. */
import Database from "better-sqlite3";
import { existsSync } from "node:fs";
import { EngineError } from "./errors.ts";
import type { EngineErrorCode } from "./errors.ts";
import type { VectorSpec } from "./types.ts";

/** Five vectors of 784 dimensions in a page rather than two; see bench/engine. */
const PAGE_BYTES = 16_384;
const FORMAT = 1;

// Vectors lie apart, so that ids and versions are read without passing over them. `id` has no type, so numbers and
// strings stay what they are and sort numbers first.
const TABLES = `
  CREATE TABLE points (
    label INTEGER PRIMARY KEY, id NOT NULL UNIQUE, version INTEGER NOT NULL, payload TEXT,
    digest BLOB NOT NULL, vectorDigest BLOB NOT NULL
  );
  CREATE TABLE vectors (label INTEGER PRIMARY KEY, vector BLOB NOT NULL);
  CREATE TABLE remembered (
    idx INTEGER PRIMARY KEY, origin TEXT NOT NULL, sequence INTEGER NOT NULL, outcome TEXT NOT NULL,
    UNIQUE (origin, sequence)
  );
  CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL, nextLabel INTEGER NOT NULL,
    points INTEGER NOT NULL, hash BLOB NOT NULL
  );
  CREATE TABLE about (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL, spec TEXT NOT NULL);
`;

export interface StoreFile {
  readonly file: string;
  readonly spec: VectorSpec;
  readonly cacheBytes: number;
  readonly walBytes: number;
  /** A file that is gone is an error, not a new shard. */
  readonly mustExist?: boolean;
}

/** Opens or creates the file; throws STORE_CORRUPT, STORE_VERSION, STORE_FULL or STORE_IO, naming it. */
export function openDatabase({
  file,
  spec,
  cacheBytes,
  walBytes,
  mustExist = false,
}: StoreFile): Database.Database {
  const isNew = !existsSync(file);
  return guarded(file, () => {
    const database = new Database(file, { fileMustExist: mustExist });
    try {
      if (isNew) database.pragma(`page_size = ${PAGE_BYTES}`);
      // Before the write-ahead file is touched: its index then is memory, not one more open file.
      database.pragma("locking_mode = EXCLUSIVE");
      database.pragma("journal_mode = WAL");
      // The log of the group is what makes writes durable; this file is consistent after any crash.
      database.pragma("synchronous = NORMAL");
      database.pragma(`cache_size = -${Math.ceil(cacheBytes / 1024)}`);
      database.pragma(`wal_autocheckpoint = ${Math.ceil(walBytes / PAGE_BYTES)}`);
      prepareTables(database, file, spec);
      return database;
    } catch (thrown) {
      database.close();
      throw thrown;
    }
  });
}

function prepareTables(database: Database.Database, file: string, spec: VectorSpec): void {
  const described = describe(spec);
  database
    .transaction(() => {
      const tables = database
        .prepare("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
        .pluck()
        .get();
      if (tables === 0) {
        database.exec(TABLES);
        database.prepare("INSERT INTO about VALUES (1, ?, ?)").run(FORMAT, described);
        database.prepare("INSERT INTO state VALUES (1, 0, 0, 0, ?)").run(Buffer.alloc(16));
        return;
      }
      const about = database
        .prepare<[], { format: number; spec: string }>("SELECT format, spec FROM about")
        .get();
      if (about?.format !== FORMAT)
        throw new EngineError(
          "STORE_VERSION",
          `${file} has format ${about?.format ?? "unknown"}; this version reads ${FORMAT}`,
        );
      if (about.spec !== described)
        throw new EngineError("STORE_VERSION", `${file} holds vectors of ${about.spec}, not of ${described}`);
    })
    .immediate();
}

// m and efConstruct belong to the graph, which can be rebuilt; these two to the data.
const describe = (spec: VectorSpec): string => `${spec.dimension} dimensions, ${spec.distance}`;

/** Runs what touches the file and tells its failures as the engine's. */
export function guarded<T>(file: string, run: () => T): T {
  try {
    return run();
  } catch (thrown) {
    throw storeError(file, thrown);
  }
}

export function storeError(file: string, thrown: unknown): unknown {
  if (!(thrown instanceof Database.SqliteError)) return thrown;
  const code: EngineErrorCode =
    /^SQLITE_(CORRUPT|NOTADB)/.test(thrown.code) || /no such (table|column)/.test(thrown.message)
      ? "STORE_CORRUPT"
      : thrown.code === "SQLITE_FULL"
        ? "STORE_FULL"
        : "STORE_IO";
  const advice =
    code === "STORE_CORRUPT" ? "; remove this replica and let it be restored from its peers" : "";
  return new EngineError(code, `${file}: ${thrown.message} (${thrown.code})${advice}`, { cause: thrown });
}
