import { invariant } from "./errors.ts";
import { VectorArena, strideOf } from "./kernel.ts";
import type { VectorSpec } from "./types.ts";

/** Points that are applied but not in the graph yet, dense, so that every search scans them exactly. */
export class ExactTail {
  readonly #spec: VectorSpec;
  /** null until the first point: the smallest WebAssembly memory is 64 KiB, and reserves 10 GB of addresses. */
  #arena: VectorArena | null = null;
  readonly #stride: number;
  readonly #labels: number[] = [];
  readonly #slots = new Map<number, number>();

  constructor(spec: VectorSpec) {
    this.#spec = spec;
    this.#stride = strideOf(spec.dimension);
  }

  get size(): number {
    return this.#labels.length;
  }

  /** Bytes of the vectors in it. */
  get used(): number {
    return this.size * this.#stride;
  }

  /** Bytes held. */
  get bytes(): number {
    return (this.#arena?.bytes ?? 0) + this.size * 60;
  }

  has(label: number): boolean {
    return this.#slots.has(label);
  }

  /** Copies `vector`, which is as `prepared` gives it. */
  add(label: number, vector: Float32Array): void {
    invariant(!this.#slots.has(label), () => `label ${label} is used once`);
    const slot = this.size;
    const arena = this.#held();
    arena.reserve(slot + 1);
    arena.put(slot, vector);
    this.#labels.push(label);
    this.#slots.set(label, slot);
  }

  remove(label: number): void {
    const slot = this.#slots.get(label);
    if (slot === undefined) return;
    const last = this.#labels.pop();
    invariant(last !== undefined, "a tail with a slot is not empty");
    this.#slots.delete(label);
    if (last !== label) {
      this.#held().move(this.size, slot);
      this.#labels[slot] = last;
      this.#slots.set(last, slot);
    }
    // WebAssembly memory never shrinks; a new one is small.
    if (this.size === 0 && (this.#arena?.capacity ?? 0) > 1_024) this.#arena = null;
  }

  /** Gives back the memory of an empty one. */
  rest(): void {
    if (this.size === 0) this.#arena = null;
  }

  /** The one that leaves without another having to move; undefined when empty. */
  last(): number | undefined {
    return this.#labels.at(-1);
  }

  /** A view that lives until the tail changes. */
  vector(label: number): Float32Array {
    const slot = this.#slots.get(label);
    invariant(slot !== undefined, () => `label ${label} is in the tail`);
    return this.#held().at(slot);
  }

  /** One distance per slot; a view that lives until the next call. */
  distances(query: Float32Array): Float32Array {
    return this.#held().distances(query, this.size);
  }

  label(slot: number): number {
    return this.#labels[slot] ?? -1;
  }

  #held(): VectorArena {
    return (this.#arena ??= arenaFor(this.#spec));
  }
}

export function arenaFor(spec: VectorSpec): VectorArena {
  return new VectorArena(spec.dimension, spec.distance === "Euclid" ? "squaredDistance" : "innerProduct");
}
