/** An idle shard gives back what it needs only while it is used; a thousand of them would fill a node's memory. */
import { EngineError, errorOf } from "./errors.ts";
import type { EngineOptions } from "./options.ts";
import type { ShardParts } from "./parts.ts";
import type { PointStore } from "./point-store.ts";
import type { Searcher } from "./searcher.ts";
import type { ExactTail } from "./tail.ts";

interface RestingShard extends Pick<ShardParts, "clock" | "scheduler"> {
  readonly options: Pick<EngineOptions, "restAfterMs">;
  readonly store: Pick<PointStore, "rest" | "onWake">;
  readonly tail: Pick<ExactTail, "rest" | "size">;
}

export class Resting {
  readonly #shard: RestingShard;
  readonly #searcher: Pick<Searcher, "rest">;
  readonly #failed: (error: Error) => void;
  #cancel: (() => void) | null = null;
  #stopped = false;

  /** `failed` is told when the store cannot be closed in good order. */
  constructor(
    shard: RestingShard,
    parts: { readonly searcher: Pick<Searcher, "rest">; readonly failed: (error: Error) => void },
  ) {
    this.#shard = shard;
    this.#searcher = parts.searcher;
    this.#failed = parts.failed;
    shard.store.onWake = () => this.#watch();
    this.#rest();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  #watch(): void {
    if (this.#stopped) return;
    const { clock, options, scheduler } = this.#shard;
    this.#cancel = clock.after(options.restAfterMs, () => {
      this.#cancel = null;
      // Many shards may fall idle at once, and each close waits for the disk.
      void scheduler.turn("index").then(() => this.#rest());
    });
  }

  #rest(): void {
    if (this.#stopped) return;
    const { store, tail } = this.#shard;
    try {
      if (tail.size > 0 || !store.rest()) return this.#watch();
      tail.rest();
      this.#searcher.rest();
    } catch (thrown) {
      // What is in the write-ahead file stays valid; there may be room for it another time.
      if (thrown instanceof EngineError && thrown.code === "STORE_FULL") return this.#watch();
      this.#stopped = true;
      this.#failed(errorOf(thrown));
    }
  }
}
