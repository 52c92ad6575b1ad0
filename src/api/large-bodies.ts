/** From this size on, bytes, taking a body apart costs the front thread more than a small request in all. */
const LARGE_BYTES = 32 * 1024;

/**
 * Large bodies are taken apart one per pass of the event loop. Imports that are acknowledged together send their next
 * batches together; worked off in one go, a search among them would wait for all of them.
 */
export class LargeBodies {
  readonly #waiting: (() => void)[] = [];
  #armed = false;

  /** Calls `work` now for a small body, in its turn for a large one. */
  whenDue(bytes: number, work: () => void): void {
    if (bytes < LARGE_BYTES) return work();
    this.#waiting.push(work);
    this.#arm();
  }

  // What an immediate arms runs in the next pass: sockets and the other threads are read in between.
  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(() => {
      this.#armed = false;
      const work = this.#waiting.shift();
      if (this.#waiting.length > 0) this.#arm();
      work?.();
    });
  }
}
