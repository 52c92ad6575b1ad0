import type Database from "better-sqlite3";
import { CHECKPOINT_BYTES, PAGE_BYTES } from "./sqlite-file.ts";

/** A transaction's pages that are no entry's data: a leaf of each table, and one above it. */
const PAGES_OF_ANY = 3;

/**
 * Moves what was committed from the write-ahead file into the database. That takes two more fsyncs, so it does not
 * happen within a commit, whose answers wait for it, but in a turn of the event loop of its own (adr/0003).
 */
export class Checkpoints {
  readonly #run: Database.Statement<[]>;
  readonly #parts: { readonly isOpen: () => boolean; readonly failed: (error: unknown) => void };
  #pages = 0;
  #asked: NodeJS.Immediate | null = null;

  constructor(
    db: Database.Database,
    parts: { readonly isOpen: () => boolean; readonly failed: (error: unknown) => void },
  ) {
    this.#run = db.prepare("PRAGMA wal_checkpoint(PASSIVE)");
    this.#parts = parts;
  }

  /** A transaction of so many bytes of entries was committed. */
  committed(bytes: number): void {
    this.#pages += Math.ceil(bytes / PAGE_BYTES) + PAGES_OF_ANY;
    if (this.#pages * PAGE_BYTES < CHECKPOINT_BYTES || this.#asked !== null) return;
    this.#asked = setImmediate(() => {
      this.#asked = null;
      if (!this.#parts.isOpen()) return;
      this.#pages = 0;
      try {
        this.#run.all();
      } catch (error) {
        this.#parts.failed(error);
      }
    });
  }
}
