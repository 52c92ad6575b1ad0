import { compareIds } from "./order.ts";
import type { LivePoints } from "./labels.ts";

/** The best `capacity` candidates offered, nearest first, equal distances in order of ids. */
export class Nearest {
  readonly #live: LivePoints;
  readonly #capacity: number;
  readonly distances: number[] = [];
  readonly labels: number[] = [];

  constructor(live: LivePoints, capacity: number) {
    this.#live = live;
    this.#capacity = capacity;
  }

  get size(): number {
    return this.labels.length;
  }

  /** Farther than this is of no interest; infinite while there is room. */
  get bound(): number {
    return this.size < this.#capacity ? Infinity : (this.distances[this.#capacity - 1] ?? Infinity);
  }

  offer(distance: number, label: number): void {
    if (distance > this.bound || this.#capacity === 0) return;
    let at = this.size;
    while (at > 0 && this.#isBefore(distance, label, at - 1)) at--;
    if (at === this.#capacity) return;
    this.distances.splice(at, 0, distance);
    this.labels.splice(at, 0, label);
    if (this.size > this.#capacity) {
      this.distances.pop();
      this.labels.pop();
    }
  }

  #isBefore(distance: number, label: number, at: number): boolean {
    const other = this.distances[at] ?? Infinity;
    if (distance !== other) return distance < other;
    return compareIds(this.#live.id(label), this.#live.id(this.labels[at] ?? -1)) < 0;
  }
}
