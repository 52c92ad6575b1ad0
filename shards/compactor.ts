import type { ApplyOp, GroupLog } from "./ports.ts";
import { LogIndex } from "./raft/types.ts";

export interface CompactorParts {
  readonly log: GroupLog;
  readonly applyOp: ApplyOp;
  readonly durable: LogIndex;
  /** A log larger than this is compacted, down to `keepBytes`. */
  readonly compactBytes: number;
  readonly keepBytes: number;
  /** Calls back outside {@link Compactor.consider}, when the state machine durably holds everything up to there. */
  readonly decided: (to: LogIndex) => void;
  readonly failed: (error: Error) => void;
}

/** Decides when a log's beginning moves up, for its bytes or its age: never past what the state machine holds on disk. */
export class Compactor {
  readonly #parts: CompactorParts;
  #durable: LogIndex;
  #busy = false;
  /** When little could go, it is tried again only after the log grew by a good part. */
  #nextAtBytes: number;

  constructor(parts: CompactorParts) {
    this.#parts = parts;
    this.#durable = parts.durable;
    this.#nextAtBytes = parts.compactBytes;
  }

  /** As the state machine last said. */
  get durable(): LogIndex {
    return this.#durable;
  }

  /** `highest`: applied, and not needed by a snapshot on its way. */
  consider(highest: LogIndex): void {
    const { log } = this.#parts;
    if (this.#busy || log.bytes() <= this.#nextAtBytes) return;
    this.#begin(LogIndex(Math.min(highest, log.cutKeeping(this.#parts.keepBytes))));
  }

  /** However few bytes it is: everything up to there is old, and whoever takes part has it. */
  drop(to: LogIndex): void {
    if (!this.#busy && to > this.#parts.log.boundary().index) this.#begin(to);
  }

  #begin(wanted: LogIndex): void {
    const { log } = this.#parts;
    this.#busy = true;
    void this.#durableUpTo(wanted).then(
      (durable) => {
        this.#durable = durable;
        const to = LogIndex(Math.min(wanted, durable));
        const { compactBytes, keepBytes } = this.#parts;
        this.#nextAtBytes = Math.max(compactBytes, log.bytes() + Math.ceil((compactBytes - keepBytes) / 2));
        if (to > log.boundary().index) this.#parts.decided(to);
        else this.#busy = false;
      },
      (error: unknown) => this.#parts.failed(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** The decided compaction is on disk, or was not carried out. */
  done(): void {
    this.#busy = false;
    if (this.#parts.log.bytes() <= this.#parts.compactBytes) this.#nextAtBytes = this.#parts.compactBytes;
  }

  async #durableUpTo(wanted: LogIndex): Promise<LogIndex> {
    const durable = await this.#parts.applyOp.durableIndex();
    return durable >= wanted ? durable : await this.#parts.applyOp.checkpoint();
  }
}
