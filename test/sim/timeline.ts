/**
 * Virtual time and the one queue of everything that is going to happen. Two events of the same moment happen in the
 * order in which they were scheduled.
 *
 * Production code runs on real promises. Between two events the timeline passes one turn of the real event loop
 * (`setImmediate`): the platform runs the microtask queue until it is empty before the next such turn, so every chain
 * of continuations an event set off, of whatever length, has come to rest. That holds as long as nothing inside a run
 * waits for anything but promises settled by events; the simulated ports see to that.
 */
export interface Scheduled {
  readonly atUs: number;
  readonly order: number;
  readonly action: () => void;
}

export class Timeline {
  readonly #heap: Scheduled[] = [];
  #nowUs = 0;
  #order = 0;

  /** Microseconds since the run began. */
  get nowUs(): number {
    return this.#nowUs;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Calls `action` in `delayUs` (at least 0), after everything scheduled earlier for that moment. */
  after(delayUs: number, action: () => void): void {
    const event = { atUs: this.#nowUs + Math.max(0, Math.round(delayUs)), order: this.#order++, action };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  /** The next event lets its action run; false when nothing is left. */
  async step(): Promise<boolean> {
    const next = this.#pop();
    if (next === null) return false;
    this.#nowUs = next.atUs;
    next.action();
    await settled();
    return true;
  }

  #pop(): Scheduled | null {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined) return null;
    if (top === last) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = heap[child];
      const right = heap[child + 1];
      if (below === undefined) break;
      if (right !== undefined && isBefore(right, below)) {
        child++;
        below = right;
      }
      if (!isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}

function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
