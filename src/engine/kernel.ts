import { KERNEL_BASE64 } from "./kernel-bytes.ts";
import { invariant } from "./errors.ts";

// The lib of this project has no DOM, so the part of WebAssembly that is used is named here.
interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly innerProduct: Scan;
  readonly squaredDistance: Scan;
}
type Scan = (query: number, vectors: number, count: number, stride: number, out: number) => void;
interface WebAssemblyApi {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: object };
}
declare const WebAssembly: WebAssemblyApi;

const MODULE = new WebAssembly.Module(Buffer.from(KERNEL_BASE64, "base64"));
const PAGE = 65_536;

/** Bytes of one vector: whole groups of four float32. */
export const strideOf = (dimension: number): number => Math.ceil(dimension / 4) * 16;

export type Metric = "innerProduct" | "squaredDistance";

/**
 * Vectors in memory of their own, scanned four float32 at a time: adding one is a copy of its bytes. Distances agree
 * with a double-precision sum to about float32 rounding, and are equal for equal vectors wherever they lie.
 *
 * The memory holds the query, `capacity` distances and `capacity` vectors, each padded to whole groups of four.
 */
export class VectorArena {
  readonly dimension: number;
  readonly metric: Metric;
  /** Bytes of one vector. */
  readonly stride: number;
  readonly #scan: Scan;
  readonly #exports: KernelExports;
  #capacity = 0;
  #floats: Float32Array;

  constructor(dimension: number, metric: Metric) {
    const instance = new WebAssembly.Instance(MODULE).exports as KernelExports;
    this.dimension = dimension;
    this.metric = metric;
    this.stride = strideOf(dimension);
    this.#exports = instance;
    this.#scan = instance[metric];
    this.#floats = new Float32Array(instance.memory.buffer);
    this.#growTo(this.stride);
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Memory held, bytes. */
  get bytes(): number {
    return this.#floats.byteLength;
  }

  /** Room for at least `count` vectors; those there keep their slots. */
  reserve(count: number): void {
    if (count <= this.#capacity) return;
    const old = { vectors: this.#vectorsAt(), capacity: this.#capacity };
    const capacity = Math.max(count, Math.min(this.#capacity * 2, this.#capacity + 4_096), 16);
    const vectorsAt = this.#vectorsAtFor(capacity);
    this.#growTo(vectorsAt + capacity * this.stride);
    this.#capacity = capacity;
    this.#floats.copyWithin(vectorsAt / 4, old.vectors / 4, (old.vectors + old.capacity * this.stride) / 4);
  }

  put(slot: number, vector: Float32Array): void {
    invariant(slot < this.#capacity && vector.length === this.dimension, "a vector fits its slot");
    const at = this.#slotAt(slot);
    this.#floats.set(vector, at);
    // Memory that was moved over or used before does not read as zero.
    this.#floats.fill(0, at + this.dimension, at + this.stride / 4);
  }

  move(from: number, to: number): void {
    const source = this.#slotAt(from);
    this.#floats.copyWithin(this.#slotAt(to), source, source + this.stride / 4);
  }

  /** A view that lives until the next `reserve`. */
  at(slot: number): Float32Array {
    const at = this.#slotAt(slot);
    return this.#floats.subarray(at, at + this.dimension);
  }

  /** Distances of `query` to the first `count` slots; a view that lives until the next call. */
  distances(query: Float32Array, count: number): Float32Array {
    invariant(count <= this.#capacity && query.length === this.dimension, "a scan stays within the arena");
    this.#floats.set(query, 0);
    this.#scan(0, this.#vectorsAt(), count, this.stride, this.stride);
    return this.#floats.subarray(this.stride / 4, this.stride / 4 + count);
  }

  #slotAt(slot: number): number {
    return (this.#vectorsAt() + slot * this.stride) / 4;
  }

  #vectorsAt(): number {
    return this.#vectorsAtFor(this.#capacity);
  }

  #vectorsAtFor(capacity: number): number {
    return this.stride + Math.ceil(capacity / 4) * 16;
  }

  #growTo(bytes: number): void {
    const missing = Math.ceil((bytes - this.#exports.memory.buffer.byteLength) / PAGE);
    if (missing > 0) this.#exports.memory.grow(missing);
    this.#floats = new Float32Array(this.#exports.memory.buffer);
  }
}
