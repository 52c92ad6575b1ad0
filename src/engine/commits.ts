import { errorOf } from "./errors.ts";
import type { EngineOptions } from "./options.ts";
import type { PointStore } from "./point-store.ts";
import type { EngineClock } from "./scheduler.ts";

export type CommitOptions = Pick<EngineOptions, "commitAfterMs" | "commitEntries" | "commitBytes">;

export interface CommitParts {
  readonly store: Pick<PointStore, "commit">;
  readonly clock: Pick<EngineClock, "after">;
  /** A commit that was due did not succeed. */
  readonly failed: (error: Error) => void;
}

/**
 * Gathers the entries of a moment into one commit of the point store. A commit writes every page that was touched, six
 * of 16 KiB for a single point: several times the work of applying it, and the next point touches most of them again.
 */
export class Commits {
  readonly #options: CommitOptions;
  readonly #parts: CommitParts;
  #entries = 0;
  #bytes = 0;
  #cancel: (() => void) | null = null;

  constructor(options: CommitOptions, parts: CommitParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** So many entries were written, of so many bytes together. */
  wrote(entries: number, bytes: number): void {
    const wasFull = this.#isFull;
    this.#entries += entries;
    this.#bytes += bytes;
    const isFull = this.#isFull;
    if (this.#cancel !== null && isFull === wasFull) return;
    this.#cancel?.();
    this.#cancel = this.#parts.clock.after(isFull ? 0 : this.#options.commitAfterMs, () => this.#commit());
  }

  /** Commits nothing any more; what is not committed the log hands in again. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  get #isFull(): boolean {
    return this.#entries >= this.#options.commitEntries || this.#bytes >= this.#options.commitBytes;
  }

  #commit(): void {
    this.#cancel = null;
    this.#entries = 0;
    this.#bytes = 0;
    try {
      this.#parts.store.commit();
    } catch (thrown) {
      this.#parts.failed(errorOf(thrown));
    }
  }
}
