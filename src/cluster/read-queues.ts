/**
 * The queues that reads wait in: one for each engine thread here, and one for each shard that another node answers
 * for. Where the reads of a shard went last is where the next one will wait.
 */
import { SHARDS_BOUND } from "../catalog/shapes.ts";
import { QueueGate, type QueueLimits } from "./queue-gate.ts";

/** Where the shards of a collection were read last. */
interface Routes {
  readonly ofGroup: Map<number, QueueGate>;
  /** Of the collection's shards, how many are behind each: a search asks all of them. */
  readonly shards: Map<QueueGate, number>;
}

export interface ReadQueuesParts {
  readonly nowMs: () => number;
  /**
   * Takes answers of an engine thread that are here already. One turn may bring a thousand requests; what was
   * answered since it began waits no longer, and there is room for the next.
   */
  readonly look: (thread: number) => void;
}

export class ReadQueues {
  readonly #limits: QueueLimits;
  readonly #parts: ReadQueuesParts;
  readonly #threads = new Map<number, ThreadGate>();
  readonly #collections = new Map<number, Routes>();

  constructor(limits: QueueLimits, parts: ReadQueuesParts) {
    this.#limits = limits;
    this.#parts = parts;
  }

  /** Counts a call about `group` to an engine thread of this node until it settles. */
  async here<T>(group: number, thread: number, call: () => Promise<T>): Promise<T> {
    let gate = this.#threads.get(thread);
    if (gate === undefined) this.#threads.set(thread, (gate = new ThreadGate(this.#limits, thread)));
    return await counted(gate, this.#routed(group, gate), call);
  }

  /** The same for another node. Which of its threads holds a shard is not known here, so each shard counts alone. */
  async there<T>(group: number, node: number, call: () => Promise<T>): Promise<T> {
    const routes = this.#routes(group);
    const known = routes.ofGroup.get(group);
    const gate =
      known instanceof RemoteGate && known.node === node ? known : new RemoteGate(this.#limits, node);
    const answer = await counted(gate, this.#routed(group, gate), call);
    gate.answeredAtMs = this.#parts.nowMs();
    return answer;
  }

  /** Whether a read of the collection with these groups is to be refused, before it costs anything. */
  refuses(groups: readonly { readonly group: number }[]): boolean {
    const [first] = groups;
    const routes = first && this.#collections.get(collectionOf(first.group));
    if (routes === undefined) return false;
    const { nowMs, look } = this.#parts;
    for (const gate of routes.shards.keys()) {
      if (!gate.refuses(nowMs())) continue;
      if (gate instanceof ThreadGate) look(gate.thread);
      return true;
    }
    return false;
  }

  /** By engine thread. */
  *threads(): Iterable<readonly [thread: number, gate: QueueGate]> {
    yield* this.#threads;
  }

  /** Forgets collections that are no more. */
  retain(groups: Iterable<number>): void {
    const live = new Set(Array.from(groups, collectionOf));
    for (const collection of this.#collections.keys())
      if (!live.has(collection)) this.#collections.delete(collection);
  }

  #routes(group: number): Routes {
    const collection = collectionOf(group);
    let routes = this.#collections.get(collection);
    if (routes === undefined)
      this.#collections.set(collection, (routes = { ofGroup: new Map(), shards: new Map() }));
    return routes;
  }

  /** The share of one read that a call about this shard is. */
  #routed(group: number, gate: QueueGate): number {
    const { ofGroup, shards } = this.#routes(group);
    const before = ofGroup.get(group);
    if (before !== gate) {
      ofGroup.set(group, gate);
      shards.set(gate, (shards.get(gate) ?? 0) + 1);
      const left = before === undefined ? 0 : (shards.get(before) ?? 0) - 1;
      if (before !== undefined && left > 0) shards.set(before, left);
      else if (before !== undefined) shards.delete(before);
    }
    return 1 / (shards.get(gate) ?? 1);
  }
}

class ThreadGate extends QueueGate {
  readonly thread: number;
  constructor(limits: QueueLimits, thread: number) {
    super(limits);
    this.thread = thread;
  }
}

/** A queue that is too long moves all the same. A node that answers nothing for so long hangs, or is cut off. */
const SILENT_MS = 100;

class RemoteGate extends QueueGate {
  readonly node: number;
  answeredAtMs = Number.NEGATIVE_INFINITY;
  constructor(limits: QueueLimits, node: number) {
    super(limits);
    this.node = node;
  }

  /** Who waits for a silent node is served by another one before long: that is no overload. */
  override refuses(nowMs: number): boolean {
    return nowMs - this.answeredAtMs < SILENT_MS && super.refuses(nowMs);
  }
}

async function counted<T>(gate: QueueGate, weight: number, call: () => Promise<T>): Promise<T> {
  gate.join(weight);
  try {
    return await call();
  } finally {
    gate.leave(weight);
  }
}

const collectionOf = (group: number): number => Math.floor(group / SHARDS_BOUND);
