/** What is known in memory about every label, so that a search needs no look into the point store. */
import { invariant } from "./errors.ts";
import type { PointId } from "./types.ts";

/** hnswlib-node cuts labels to 32 bits without a word. */
export const LABEL_MAX = 2 ** 32 - 1;
const BITS = 12;
const PAGE = 1 << BITS;
const MASK = PAGE - 1;

// Not shifts: these are signed, and labels reach 2^32.
const pageOf = (label: number): number => Math.floor(label / PAGE);

/** A set of labels, one bit each in pages; what is empty is given back. */
export class LabelSet {
  readonly #pages = new Map<number, { readonly bits: Uint32Array; count: number }>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(label: number): boolean {
    const at = label & MASK;
    return (((this.#pages.get(pageOf(label))?.bits[at >>> 5] ?? 0) >>> (at & 31)) & 1) === 1;
  }

  add(label: number): void {
    if (this.has(label)) return;
    let page = this.#pages.get(pageOf(label));
    if (page === undefined) {
      page = { bits: new Uint32Array(PAGE / 32), count: 0 };
      this.#pages.set(pageOf(label), page);
    }
    const at = label & MASK;
    page.bits[at >>> 5] = (page.bits[at >>> 5] ?? 0) | (1 << (at & 31));
    page.count++;
    this.#size++;
  }

  delete(label: number): void {
    const page = this.#pages.get(pageOf(label));
    if (page === undefined || !this.has(label)) return;
    const at = label & MASK;
    page.bits[at >>> 5] = (page.bits[at >>> 5] ?? 0) & ~(1 << (at & 31));
    this.#size--;
    if (--page.count === 0) this.#pages.delete(pageOf(label));
  }

  /** Whether nothing near the label is in the set either. */
  isPageEmpty(label: number): boolean {
    return !this.#pages.has(pageOf(label));
  }

  clear(): void {
    this.#pages.clear();
    this.#size = 0;
  }

  /** Those that are not in `other`: a word at a time, since two sets are compared whole at every start. */
  *without(other: LabelSet): Generator<number> {
    for (const [high, { bits }] of this.#pages) {
      const others = other.#pages.get(high)?.bits;
      for (let word = 0; word < bits.length; word++) {
        let left = (bits[word] ?? 0) & ~(others?.[word] ?? 0);
        for (; left !== 0; left &= left - 1) yield high * PAGE + word * 32 + (31 - Math.clz32(left & -left));
      }
    }
  }

  [Symbol.iterator](): Generator<number> {
    return this.without(new LabelSet());
  }

  get bytes(): number {
    return this.#pages.size * (PAGE / 8 + 100);
  }
}

/** Id and version of every live point, by label. */
export class LivePoints {
  readonly #pages = new Map<number, { readonly ids: PointId[]; readonly versions: Float64Array }>();
  readonly labels = new LabelSet();
  #stringBytes = 0;

  get size(): number {
    return this.labels.size;
  }

  has(label: number): boolean {
    return this.labels.has(label);
  }

  set(label: number, id: PointId, version: number): void {
    invariant(label >= 0 && label <= LABEL_MAX, () => `a label lies below 2^32: ${label}`);
    let page = this.#pages.get(pageOf(label));
    if (page === undefined) {
      page = { ids: new Array<PointId>(PAGE).fill(0), versions: new Float64Array(PAGE) };
      this.#pages.set(pageOf(label), page);
    }
    page.ids[label & MASK] = id;
    page.versions[label & MASK] = version;
    this.labels.add(label);
    if (typeof id === "string") this.#stringBytes += id.length + 24;
  }

  remove(label: number): void {
    const page = this.#pages.get(pageOf(label));
    if (page === undefined) return;
    const id = page.ids[label & MASK];
    if (typeof id === "string") this.#stringBytes -= id.length + 24;
    page.ids[label & MASK] = 0;
    this.labels.delete(label);
    if (this.labels.isPageEmpty(label)) this.#pages.delete(pageOf(label));
  }

  id(label: number): PointId {
    const id = this.#pages.get(pageOf(label))?.ids[label & MASK];
    invariant(id !== undefined, () => `label ${label} has an id`);
    return id;
  }

  version(label: number): number {
    return this.#pages.get(pageOf(label))?.versions[label & MASK] ?? 0;
  }

  clear(): void {
    this.#pages.clear();
    this.labels.clear();
    this.#stringBytes = 0;
  }

  get bytes(): number {
    return this.#pages.size * PAGE * 16 + this.labels.bytes + this.#stringBytes;
  }
}
