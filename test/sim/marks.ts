/**
 * Coverage marks: rare situations a run came through. A simulator that never meets a situation proves nothing about
 * it, so the suite asserts that all of its seeds together met each of these.
 */
export class Marks {
  readonly #counts = new Map<string, number>();

  hit(mark: string): void {
    this.#counts.set(mark, (this.#counts.get(mark) ?? 0) + 1);
  }

  counts(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
