/**
 * The only file that touches hnswlib-node, whose misuse ends the process or answers wrongly without a word. Each
 * guard below names what it makes impossible; test/engine/hnsw.test.ts has a test for each.
 */
import hnswlib from "hnswlib-node";
import { EngineError, EngineInvariant, errorOf, invariant } from "./errors.ts";
import { LABEL_MAX, LabelSet } from "./labels.ts";
import type { VectorSpec } from "./types.ts";

/** Fixed, so that the same inserts in the same order give the same graph. */
const SEED = 100;
const CAPACITY_MIN = 1_024;
/** Untouched slots of a grown index are not resident: the allocator maps them when they are written. */
const GROWTH = 1.5;

export interface GraphHits {
  /** Native distances, nearest first. */
  readonly distances: readonly number[];
  readonly neighbors: readonly number[];
}
const NOTHING: GraphHits = { distances: [], neighbors: [] };

const spaceOf = (spec: VectorSpec): "ip" | "l2" => (spec.distance === "Euclid" ? "l2" : "ip");

// The library's types do not know of the change that set-up makes to its source (adr/0011).
declare module "hnswlib-node" {
  interface HierarchicalNSW {
    addPoint(point: Float32Array, label: number): void;
    searchKnn(queryPoint: Float32Array, numNeighbors: number, filter?: FilterFunction): SearchResult;
  }
  interface L2Space {
    distance(pointA: Float32Array, pointB: Float32Array): number;
  }
  interface InnerProductSpace {
    distance(pointA: Float32Array, pointB: Float32Array): number;
  }
}

/** The library would take a NaN, and find it first for every query. */
function checked(vector: Float32Array, dimension: number): Float32Array {
  invariant(vector.length === dimension, () => `a vector has ${dimension} elements`);
  let sum = 0;
  for (let at = 0; at < dimension; at++) sum += vector[at] ?? NaN;
  invariant(Number.isFinite(sum), "a vector is finite: NaN would be the first hit of every query");
  return vector;
}

/** The very function that the graph compares with, so that a point scores the same wherever it lies. */
export class NativeDistance {
  readonly #space: { distance(a: Float32Array, b: Float32Array): number };
  readonly #dimension: number;
  #query: Float32Array = new Float32Array();

  constructor(spec: VectorSpec) {
    const Space = spec.distance === "Euclid" ? hnswlib.L2Space : hnswlib.InnerProductSpace;
    this.#space = new Space(spec.dimension);
    this.#dimension = spec.dimension;
  }

  /** Distances from now on are to this vector. */
  from(query: Float32Array): void {
    this.#query = checked(query, this.#dimension);
  }

  to(vector: Float32Array): number {
    return this.#space.distance(this.#query, checked(vector, this.#dimension));
  }
}

type Native = InstanceType<typeof hnswlib.HierarchicalNSW>;

/** One graph: add, tombstone, search; labels are never used twice. */
export class HnswGraph {
  readonly spec: VectorSpec;
  /** null until the first point: the library's locks alone are 2.6 MB, which a thousand empty shards would pay for. */
  #index: Native | null;
  readonly #members: LabelSet;
  readonly #deleted: LabelSet;
  /** Tombstones that came while the graph was being written; set afterwards. */
  readonly #deferred = new LabelSet();
  readonly #isAllowed = (label: number): boolean => !this.#deferred.has(label);
  #capacity: number;
  #query: Float32Array = new Float32Array();
  #saving = false;
  #freed = false;

  private constructor(
    spec: VectorSpec,
    parts: {
      index: Native | null;
      capacity: number;
      members: LabelSet;
      deleted: LabelSet;
    },
  ) {
    this.spec = spec;
    this.#index = parts.index;
    this.#members = parts.members;
    this.#deleted = parts.deleted;
    this.#capacity = parts.capacity;
  }

  static empty(spec: VectorSpec, expected = 0): HnswGraph {
    const capacity = Math.max(CAPACITY_MIN, expected);
    return new HnswGraph(spec, { index: null, capacity, members: new LabelSet(), deleted: new LabelSet() });
  }

  /**
   * Reads a file whose content was verified before: the library checks neither dimension nor content. Always into a
   * new object: one whose load failed must never be called again.
   */
  static async load(
    spec: VectorSpec,
    saved: { readonly file: string; readonly count: number; readonly deleted: readonly number[] },
  ): Promise<HnswGraph> {
    const index = new hnswlib.HierarchicalNSW(spaceOf(spec), spec.dimension);
    try {
      await index.readIndex(saved.file, false);
    } catch (thrown) {
      throw new EngineError("GRAPH_FAILED", `${saved.file}: ${errorOf(thrown).message}`, { cause: thrown });
    }
    const members = new LabelSet();
    for (const label of index.getIdsList()) members.add(label);
    if (members.size !== saved.count || index.getCurrentCount() !== saved.count)
      throw new EngineError("GRAPH_FAILED", `${saved.file}: ${members.size} points, not ${saved.count}`);
    const deleted = new LabelSet();
    for (const label of saved.deleted) deleted.add(label);
    return new HnswGraph(spec, { index, capacity: index.getMaxElements(), members, deleted });
  }

  /** Points in the graph, tombstones among them. */
  get count(): number {
    return this.#members.size;
  }

  get tombstones(): number {
    return this.#deleted.size + this.#deferred.size;
  }

  get isSaving(): boolean {
    return this.#saving;
  }

  /** Slots of capacity and the fixed locks; V8 does not see this memory. */
  get bytes(): number {
    if (this.#freed || this.#index === null) return this.#members.bytes;
    const slot = 8 * this.spec.m + 4 * this.spec.dimension + 150;
    return this.count * slot + 2_600_000 + this.#members.bytes;
  }

  has(label: number): boolean {
    return this.#members.has(label);
  }

  get labels(): LabelSet {
    return this.#members;
  }

  deletedLabels(): number[] {
    return [...this.#deleted];
  }

  /** `vector` as `prepared` gives it. */
  add(label: number, vector: Float32Array): void {
    this.#mustBeUsable();
    invariant(!this.#saving, "a graph does not change while it is being written");
    invariant(Number.isInteger(label) && label >= 0 && label <= LABEL_MAX, "a label fits 32 bits");
    invariant(!this.#members.has(label), () => `label ${label} is used once`);
    checked(vector, this.spec.dimension);
    if (this.count === this.#capacity) this.#grow();
    this.#native(() => this.#made().addPoint(vector, label));
    this.#members.add(label);
  }

  /** The point is in no answer from now on. */
  tombstone(label: number): void {
    this.#mustBeUsable();
    if (!this.#members.has(label) || this.#deleted.has(label)) return;
    if (this.#saving) return this.#deferred.add(label);
    this.#native(() => this.#made().markDelete(label));
    this.#deleted.add(label);
  }

  /** What the following searches look for, as `prepared` gives it. */
  aim(query: Float32Array): void {
    this.#query = checked(query, this.spec.dimension);
  }

  /** The `k` nearest live points, fewer when there are fewer; `ef` belongs to the index, so it is set every time. */
  search(k: number, ef: number): GraphHits {
    this.#mustBeUsable();
    const wanted = Math.min(k, this.count);
    if (wanted === 0) return NOTHING;
    const index = this.#made();
    index.setEf(Math.max(ef, wanted));
    // Only a bitmap lookup inside the callback: an exception there would abort the process.
    const filter = this.#deferred.size === 0 ? undefined : this.#isAllowed;
    return this.#native(() => index.searchKnn(this.#query, wanted, filter));
  }

  /**
   * Writes the graph on a pool thread that takes no lock: meanwhile it is searched, but nothing is added, and
   * tombstones are deferred. That the promise resolves says nothing about the file: verify it.
   */
  async write(file: string): Promise<void> {
    this.#mustBeUsable();
    invariant(!this.#saving, "one save at a time");
    this.#saving = true;
    try {
      await this.#made().writeIndex(file);
    } catch (thrown) {
      throw new EngineError("GRAPH_FAILED", `${file}: ${errorOf(thrown).message}`, { cause: thrown });
    } finally {
      this.#saving = false;
      const deferred = [...this.#deferred];
      this.#deferred.clear();
      for (const label of deferred) this.tombstone(label);
    }
  }

  /** Gives the memory back at once; nothing may be called afterwards. */
  free(): void {
    if (this.#freed) return;
    invariant(!this.#saving, "a graph that is being written stays");
    this.#freed = true;
    this.#index?.initIndex(1);
    this.#index = null;
    this.#members.clear();
    this.#deleted.clear();
  }

  #made(): Native {
    if (this.#index !== null) return this.#index;
    const { spec } = this;
    const index = new hnswlib.HierarchicalNSW(spaceOf(spec), spec.dimension);
    index.initIndex({
      maxElements: this.#capacity,
      m: spec.m,
      efConstruction: spec.efConstruct,
      randomSeed: SEED,
      allowReplaceDeleted: false,
    });
    this.#index = index;
    return index;
  }

  #grow(): void {
    const capacity = Math.max(CAPACITY_MIN, Math.ceil(this.#capacity * GROWTH));
    this.#native(() => this.#made().resizeIndex(capacity));
    this.#capacity = capacity;
  }

  #mustBeUsable(): void {
    if (this.#freed) throw new EngineInvariant("a freed graph is not used");
  }

  #native<T>(call: () => T): T {
    try {
      return call();
    } catch (thrown) {
      throw new EngineError("GRAPH_FAILED", errorOf(thrown).message, { cause: thrown });
    }
  }
}
