/** How long the same line is not written again. */
const QUIET_MS = 60_000;
/** Different lines remembered; some hundred bytes each. */
const KEYS_MAX = 1_000;

/**
 * Keeps lines that others set off, some times a second and for days (a node at another one's address, a stranger at
 * the peer port), from filling the log: the same one is due once a minute, and says how often it was left out.
 */
export class Repeats {
  readonly #told = new Map<string, { readonly atMs: number; untold: number }>();

  /** How many like it were left out since the last one; null: this one is left out. */
  due(key: string, nowMs: number): number | null {
    const last = this.#told.get(key);
    if (last !== undefined && nowMs - last.atMs < QUIET_MS) {
      last.untold++;
      return null;
    }
    this.#told.delete(key);
    this.#told.set(key, { atMs: nowMs, untold: 0 });
    const [oldest] = this.#told.keys();
    if (this.#told.size > KEYS_MAX && oldest !== undefined) this.#told.delete(oldest);
    return last?.untold ?? 0;
  }
}
