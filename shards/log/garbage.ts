import type Database from "better-sqlite3";
import type { GroupId } from "../ports.ts";

/** Freed at least per write, whatever it brought. */
const MIN_BYTES = 1 << 20;
const ROWS_MAX = 512;

/**
 * Rows that no log reaches any more: below a boundary, or of a group that is gone. They are deleted bit by bit in the
 * transactions of later writes, twice what each brings, so that neither compaction nor dropping a group ever holds
 * the thread up and the file stops growing. Freed pages are used again.
 */
export class Garbage {
  readonly #delete: Database.Statement<[number, number]>;
  readonly #oldest: Database.Statement<[number, number, number], { idx: number; bytes: number }>;
  readonly #groupsWithRows: Database.Statement<[], number>;
  /** Group to the highest dead index. */
  readonly #dead = new Map<GroupId, number>();

  constructor(db: Database.Database) {
    this.#delete = db.prepare("DELETE FROM entries WHERE grp = ? AND idx <= ?");
    this.#oldest = db.prepare(
      "SELECT idx, length(data) AS bytes FROM entries WHERE grp = ? AND idx <= ? ORDER BY idx LIMIT ?",
    );
    // Skips from group to group through the key; a plain DISTINCT would walk every row.
    this.#groupsWithRows = db
      .prepare<[], number>(
        `WITH RECURSIVE present(grp) AS (
           SELECT min(grp) FROM entries
           UNION ALL SELECT (SELECT min(grp) FROM entries WHERE grp > present.grp) FROM present
           WHERE present.grp IS NOT NULL)
         SELECT grp FROM present WHERE grp IS NOT NULL`,
      )
      .pluck();
  }

  add(group: GroupId, upTo: number): void {
    if (upTo > 0) this.#dead.set(group, Math.max(upTo, this.#dead.get(group) ?? 0));
  }

  /** Rows left behind by groups destroyed before the last restart. */
  addStrays(alive: readonly GroupId[]): void {
    const known = new Set<number>(alive);
    for (const group of this.#groupsWithRows.all())
      if (!known.has(group)) this.add(group as GroupId, Number.MAX_SAFE_INTEGER);
  }

  /** Inside a transaction: frees about twice `written` bytes. */
  collect(written: number): void {
    let budget = Math.max(MIN_BYTES, written * 2);
    for (const [group, upTo] of this.#dead) {
      const rows = this.#oldest.all(group, upTo, ROWS_MAX);
      let last = 0;
      for (const row of rows) {
        if (budget <= 0) break;
        budget -= row.bytes;
        last = row.idx;
      }
      if (last > 0) this.#delete.run(group, last);
      if (budget <= 0 || rows.length === ROWS_MAX) return;
      this.#dead.delete(group);
    }
  }

  /** Inside a transaction: frees every row of a group that is about to be created again. */
  collectAll(group: GroupId): void {
    this.#delete.run(group, Number.MAX_SAFE_INTEGER);
    this.#dead.delete(group);
  }
}
