import type Database from "better-sqlite3";
import { statSync } from "node:fs";
import { EngineError, invariant } from "./errors.ts";
import { guarded, openDatabase, storeError } from "./point-store-schema.ts";
import type { StoreFile } from "./point-store-schema.ts";
import { StateHash } from "./state-hash.ts";
import type { PointId } from "./types.ts";

/** A point without its vector, as it lies in the store; `payload` is canonical JSON. */
export interface PointRow {
  readonly label: number;
  readonly id: PointId;
  readonly version: number;
  readonly payload: string | null;
  /** What the point adds to the state hash. */
  readonly digest: Uint8Array;
  readonly vectorDigest: Uint8Array;
}

/** What changes with every transaction, in the same transaction. */
export interface StoreState {
  readonly applied: number;
  readonly nextLabel: number;
  readonly points: number;
  readonly hash: StateHash;
}

interface VectorRow {
  readonly label: number;
  readonly vector: Buffer;
}

interface Handle {
  readonly database: Database.Database;
  readonly statements: ReturnType<typeof prepare>;
}

/**
 * The authoritative copy of a shard's points: one SQLite file. Synchronous; every failure is an EngineError. The file
 * is held open only while it is used: see {@link rest}.
 */
export class PointStore {
  readonly file: string;
  /** Told when the file is opened again after a rest. */
  onWake: () => void = () => undefined;
  readonly #options: StoreFile;
  #handle: Handle | null;
  #used = true;
  #copies = 0;
  /** Why what was written since the last commit is gone. */
  #lost: Error | null = null;
  #closed = false;

  private constructor(options: StoreFile) {
    this.file = options.file;
    this.#options = options;
    this.#handle = handleOf(options);
  }

  static open(options: StoreFile): PointStore {
    return new PointStore(options);
  }

  get isResting(): boolean {
    return this.#handle === null;
  }

  /**
   * Makes everything durable and closes the file, whose caches and statements are most of what an idle shard costs;
   * whatever comes next opens it again. False, and nothing is done: it was used since the last call, or is copied.
   */
  rest(): boolean {
    const used = this.#used;
    this.#used = false;
    return !used && this.restNow();
  }

  /** The same, however recently it was used. */
  restNow(): boolean {
    this.#used = false;
    if (this.#copies > 0) return false;
    if (this.#handle === null) return true;
    this.checkpoint();
    this.#release();
    return true;
  }

  /**
   * What `run` does is visible at once, and in the file with the next {@link commit}; a crash before that takes all of
   * it back to the last one. After either failed, what was written since is gone: all further writes fail alike.
   */
  write<T>(run: () => T): T {
    return this.#whole(({ database, statements }) => {
      if (!database.inTransaction) statements.open.run();
      const answer = run();
      // A transaction of our own that stands open would lock a copy out.
      if (this.#copies > 0) statements.commit.run();
      return answer;
    });
  }

  /** Everything written so far survives a crash of the process when it returns. */
  commit(): void {
    if (this.#handle?.database.inTransaction === true || this.#lost !== null)
      this.#whole(({ statements }) => statements.commit.run());
  }

  #whole<T>(work: (handle: Handle) => T): T {
    return this.#guarded(() => {
      if (this.#lost !== null) throw this.#lost;
      const handle = this.#awake();
      try {
        return work(handle);
      } catch (thrown) {
        this.#lost = thrown instanceof Error ? thrown : new Error(String(thrown));
        if (handle.database.inTransaction) handle.statements.rollback.run();
        throw thrown;
      }
    });
  }

  /** Inside {@link write}: what `run` did is undone unless its answer is to be kept. */
  attempt<T>(run: () => T, keep: (answer: T) => boolean): T {
    this.#statements.begin.run();
    const answer = run();
    if (!keep(answer)) this.#statements.undo.run();
    this.#statements.end.run();
    return answer;
  }

  state(): StoreState {
    const row = this.#guarded(() => this.#statements.state.get());
    if (row === undefined) throw new EngineError("STORE_CORRUPT", `${this.file}: its state is missing`);
    const { applied, nextLabel, points } = row;
    for (const number of [applied, nextLabel, points])
      if (!Number.isSafeInteger(number) || number < 0)
        throw new EngineError("STORE_CORRUPT", `${this.file}: ${number} cannot be part of its state`);
    return { applied, nextLabel, points, hash: StateHash.from(row.hash) };
  }

  setState(state: StoreState): void {
    const { applied, nextLabel, points, hash } = state;
    this.#statements.setState.run(applied, nextLabel, points, hash.bytes());
  }

  find(id: PointId): PointRow | undefined {
    return this.#guarded(() => this.#statements.find.get(id));
  }

  insert(row: PointRow, vector: Float32Array): void {
    const { insert, insertVector } = this.#statements;
    insert.run(row.label, row.id, row.version, row.payload, row.digest, row.vectorDigest);
    insertVector.run(row.label, bytesOf(vector));
  }

  /** Gives the point at `label` everything anew, a label too. */
  replace(label: number, row: PointRow, vector: Float32Array): void {
    const { replace, deleteVector, insertVector } = this.#statements;
    replace.run(row.label, row.version, row.payload, row.digest, row.vectorDigest, label);
    deleteVector.run(label);
    insertVector.run(row.label, bytesOf(vector));
  }

  setPayload(row: PointRow): void {
    this.#statements.setPayload.run(row.version, row.payload, row.digest, row.label);
  }

  delete(label: number): void {
    this.#statements.delete.run(label);
    this.#statements.deleteVector.run(label);
  }

  payload(label: number): string | null {
    return this.#guarded(() => this.#statements.payload.get(label)) ?? null;
  }

  /** The caller's own copy; undefined when there is no such label. */
  vector(label: number): Float32Array | undefined {
    const bytes = this.#guarded(() => this.#statements.vector.get(label));
    return bytes === undefined ? undefined : floatsOf(bytes);
  }

  /** Up to `limit` vectors in order of labels, after `label`. */
  vectorsAfter(label: number, limit: number): { readonly label: number; readonly vector: Float32Array }[] {
    const rows = this.#guarded(() => this.#statements.vectorsAfter.all(label, limit));
    return rows.map((row) => ({ label: row.label, vector: floatsOf(row.vector) }));
  }

  /** Up to `limit` points in order of ids, from `id` on; null: from the beginning. */
  pointsFrom(id: PointId | null, limit: number): PointRow[] {
    const { pointsFrom, points } = this.#statements;
    return this.#guarded(() => (id === null ? points.all(limit) : pointsFrom.all(id, limit)));
  }

  /**
   * Calls back with every point, in order of labels; between two pages `turn` lets others have the thread. Nothing may be
   * written until it resolves.
   */
  async each(
    visit: (label: number, id: PointId, version: number) => void,
    turn: () => Promise<void>,
  ): Promise<void> {
    for (let after = -1; ;) {
      // Many rows per call, as arrays: a call and an object for each row take 1.7 times as long.
      const rows: readonly EachRow[] = this.#guarded(() => this.#statements.each.all(after, EACH_ROWS));
      for (const [label, id, version] of rows) visit(label, id, version);
      const last = rows.at(-1);
      if (last === undefined || rows.length < EACH_ROWS) return;
      [after] = last;
      await turn();
    }
  }

  remembered(origin: string, sequence: number): string | undefined {
    return this.#statements.remembered.get(origin, sequence);
  }

  rememberedAt(index: number): string | undefined {
    return this.#guarded(() => this.#statements.rememberedAt.get(index));
  }

  /** Forgets what is at or below `forgetTo`. */
  remember(index: number, origin: string, sequence: number, outcome: string, forgetTo: number): void {
    this.#statements.forget.run(forgetTo);
    this.#statements.remember.run(index, origin, sequence, outcome);
  }

  /** Everything written so far is on disk when it returns. */
  checkpoint(): void {
    // Nothing was written since the checkpoint before it was closed.
    const handle = this.#handle;
    if (handle === null) return;
    this.commit();
    this.#guarded(() => {
      const [result] = handle.database.pragma("wal_checkpoint(FULL)") as { busy: number }[];
      if (result?.busy !== 0) throw new EngineError("STORE_IO", `${this.file}: its write-ahead file is held`);
    });
  }

  /** Labels anew from 0 in their old order; as a whole or not at all. */
  renumber(): void {
    this.write(() => {
      // By way of negative labels, so that no step meets a label still in use.
      const { renumberPoints, renumberVectors, negatePoints, negateVectors } = this.#statements;
      for (const statement of [renumberPoints, renumberVectors, negatePoints, negateVectors]) statement.run();
      const { applied, points, hash } = this.state();
      this.setState({ applied, points, hash, nextLabel: points });
    });
    this.commit();
  }

  /** Copies the file while reads and writes go on; the copy is consistent as of its end. */
  async copyTo(file: string, pagesPerStep: () => number): Promise<void> {
    const { database } = this.#awake();
    this.commit();
    this.#copies++;
    try {
      await database.backup(file, { progress: pagesPerStep });
    } catch (thrown) {
      throw storeError(file, thrown);
    } finally {
      this.#copies--;
    }
  }

  /** The hash of everything, computed anew from the vectors and payloads themselves. */
  recompute(digestOf: (row: PointRow, vector: Float32Array) => Uint8Array): StateHash {
    const hash = new StateHash();
    for (let from: PointId | null = null; ;) {
      const page: PointRow[] = this.pointsFrom(from, 1_000);
      const rest = from === null ? page : page.slice(1);
      for (const row of rest) {
        const vector = this.vector(row.label);
        invariant(vector !== undefined, () => `point ${row.id} has a vector`);
        hash.add(digestOf(row, vector));
      }
      const last = page.at(-1);
      if (last === undefined || rest.length === 0) return hash;
      from = last.id;
    }
  }

  get diskBytes(): number {
    return [this.file, `${this.file}-wal`].reduce(
      (sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
  }

  close(): void {
    this.#closed = true;
    this.#release();
  }

  #release(): void {
    const handle = this.#handle;
    this.#handle = null;
    if (handle !== null) this.#guarded(() => handle.database.close());
  }

  get #statements(): Handle["statements"] {
    return this.#awake().statements;
  }

  #awake(): Handle {
    this.#used = true;
    if (this.#handle === null) {
      if (this.#closed) throw new EngineError("CLOSED", `${this.file} is closed`);
      this.#handle = handleOf({ ...this.#options, mustExist: true });
      this.onWake();
    }
    return this.#handle;
  }

  #guarded<T>(run: () => T): T {
    return guarded(this.file, run);
  }
}

function handleOf(options: StoreFile): Handle {
  const database = openDatabase(options);
  return guarded(options.file, () => ({ database, statements: prepare(database) }));
}

type EachRow = readonly [label: number, id: PointId, version: number];
const EACH_ROWS = 2_000;
const COLUMNS = "label, id, version, payload, digest, vectorDigest";

function prepare(database: Database.Database) {
  return {
    open: database.prepare("BEGIN IMMEDIATE"),
    commit: database.prepare("COMMIT"),
    rollback: database.prepare("ROLLBACK"),
    begin: database.prepare("SAVEPOINT entry"),
    undo: database.prepare("ROLLBACK TO entry"),
    end: database.prepare("RELEASE entry"),
    state: database.prepare<[], { applied: number; nextLabel: number; points: number; hash: Buffer }>(
      "SELECT applied, nextLabel, points, hash FROM state",
    ),
    setState: database.prepare("UPDATE state SET applied = ?, nextLabel = ?, points = ?, hash = ?"),
    find: database.prepare<[PointId], PointRow>(`SELECT ${COLUMNS} FROM points WHERE id = ?`),
    insert: database.prepare(`INSERT INTO points (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`),
    replace: database.prepare(
      "UPDATE points SET label = ?, version = ?, payload = ?, digest = ?, vectorDigest = ? WHERE label = ?",
    ),
    setPayload: database.prepare("UPDATE points SET version = ?, payload = ?, digest = ? WHERE label = ?"),
    delete: database.prepare("DELETE FROM points WHERE label = ?"),
    insertVector: database.prepare("INSERT INTO vectors VALUES (?, ?)"),
    deleteVector: database.prepare("DELETE FROM vectors WHERE label = ?"),
    payload: database.prepare<[number], string | null>("SELECT payload FROM points WHERE label = ?").pluck(),
    vector: database.prepare<[number], Buffer>("SELECT vector FROM vectors WHERE label = ?").pluck(),
    vectorsAfter: database.prepare<[number, number], VectorRow>(
      "SELECT label, vector FROM vectors WHERE label > ? ORDER BY label LIMIT ?",
    ),
    points: database.prepare<[number], PointRow>(`SELECT ${COLUMNS} FROM points ORDER BY id LIMIT ?`),
    pointsFrom: database.prepare<[PointId, number], PointRow>(
      `SELECT ${COLUMNS} FROM points WHERE id >= ? ORDER BY id LIMIT ?`,
    ),
    each: database
      .prepare<[number, number], [number, PointId, number]>(
        "SELECT label, id, version FROM points WHERE label > ? ORDER BY label LIMIT ?",
      )
      .raw(),
    remembered: database
      .prepare<[string, number], string>("SELECT outcome FROM remembered WHERE origin = ? AND sequence = ?")
      .pluck(),
    rememberedAt: database.prepare<[number], string>("SELECT outcome FROM remembered WHERE idx = ?").pluck(),
    renumberPoints: database.prepare(
      "UPDATE points SET label = -rank FROM (SELECT label AS old, row_number() OVER (ORDER BY label) AS rank FROM points) WHERE label = old",
    ),
    renumberVectors: database.prepare(
      "UPDATE vectors SET label = -rank FROM (SELECT label AS old, row_number() OVER (ORDER BY label) AS rank FROM vectors) WHERE label = old",
    ),
    negatePoints: database.prepare("UPDATE points SET label = -label - 1"),
    negateVectors: database.prepare("UPDATE vectors SET label = -label - 1"),
    remember: database.prepare("INSERT INTO remembered VALUES (?, ?, ?, ?)"),
    forget: database.prepare("DELETE FROM remembered WHERE idx <= ?"),
  };
}

function bytesOf(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}

function floatsOf(bytes: Buffer): Float32Array {
  if (bytes.byteOffset % 4 === 0)
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return new Float32Array(new Uint8Array(bytes).buffer);
}
