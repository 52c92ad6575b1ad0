import { LogIndex } from "../../shards/index.ts";
import type { ApplyOp, ApplyResult, CapturedSnapshot, CommittedEntry } from "../../shards/index.ts";
import type { Engine } from "./surface.ts";

/** The seam: a shard's engine as the state machine of its group. Results are `WriteOutcome | null`. */
export class EngineApplyOp implements ApplyOp {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  durableIndex(): Promise<LogIndex> {
    return Promise.resolve(LogIndex(this.#engine.durableIndex()));
  }

  appliedIndex(): Promise<LogIndex> {
    return Promise.resolve(LogIndex(this.#engine.appliedIndex()));
  }

  apply(entries: readonly CommittedEntry[]): Promise<readonly ApplyResult[]> {
    return this.#engine.applyEntries(entries);
  }

  async checkpoint(): Promise<LogIndex> {
    return LogIndex(await this.#engine.checkpoint());
  }

  async capture(): Promise<CapturedSnapshot> {
    const captured = await this.#engine.capture();
    return {
      index: LogIndex(captured.index),
      files: captured.files,
      readableIn: captured.readableIn,
      read: (name, offset, length) => captured.read(name, offset, length),
      [Symbol.asyncDispose]: () => captured[Symbol.asyncDispose](),
    };
  }

  restore(snapshot: CapturedSnapshot): Promise<void> {
    return this.#engine.restore(snapshot);
  }
}
