import type { GroupNotice } from "./surface.ts";

type Listener = (notice: GroupNotice) => void;

/** Tells every listener every notice in order, and none twice in a row (per kind). */
export class Notices {
  readonly #listeners = new Set<Listener>();
  readonly #last = new Map<GroupNotice["kind"], string>();

  /** One added while a notice is told hears the next one first; one removed hears nothing more, even of this one. */
  subscribe(listener: Listener): () => void {
    const own: Listener = (notice) => listener(notice);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  tell(notice: GroupNotice): void {
    const text = JSON.stringify(notice);
    if (this.#last.get(notice.kind) === text) return;
    this.#last.set(notice.kind, text);
    for (const listener of [...this.#listeners]) if (this.#listeners.has(listener)) listener(notice);
  }
}
