/**
 * Is a history of concurrent operations linearizable? Wing and Gong's search: pick, among the operations that no
 * unfinished one precedes, one that the model allows next; undo when stuck. Lowe's observation keeps it tractable:
 * two search states with the same operations done and the same model state have the same future, so each is entered
 * once. Histories are checked per key, because linearizability is local (Herlihy and Wing, theorem 1).
 *
 * An operation whose outcome nobody knows (`returned: null`) may have taken effect at any moment after its call, or
 * never. It is offered to the search but need not be taken.
 */

/** Says that an operation cannot have had this answer here; a symbol, since any string may be a state. */
export const REFUSED = Symbol("refused");

/** What a specification needs: a state that can be named, and what an operation does to it. */
export interface Model<Input, Output, State> {
  readonly initial: State;
  /** The state after `input`, or {@link REFUSED} when `output` cannot be its answer in `state`; null: output unknown. */
  step(state: State, input: Input, output: Output | null): State | typeof REFUSED;
  /** Equal states have equal names. */
  name(state: State): string;
}

export interface Operation<Input, Output> {
  readonly id: number;
  readonly input: Input;
  /** Position in the total order of calls and returns; equal positions count as concurrent. */
  readonly called: number;
  /** null: the outcome is unknown, and the effect may still come. */
  readonly returned: { readonly at: number; readonly output: Output } | null;
}

export type Verdict =
  | { readonly kind: "linearizable"; readonly order: readonly number[]; readonly steps: number }
  | {
      readonly kind: "illegal";
      /** Ids of the longest order found, in order; the evidence begins where it ends. */
      readonly longest: readonly number[];
      /** Ids of the operations of which none could come next there. */
      readonly stuck: readonly number[];
      readonly steps: number;
    }
  /** A limit was reached: neither proved nor refuted. */
  | { readonly kind: "unknown"; readonly why: string; readonly steps: number };

export interface CheckLimits {
  /** Search steps (one model transition each) before the answer is "unknown". */
  readonly maxSteps?: number;
  /** Wall-clock budget in milliseconds; needs `nowMs`. Leave it out where answers must not depend on speed. */
  readonly maxMs?: number;
  readonly nowMs?: () => number;
}

const DEFAULT_MAX_STEPS = 2_000_000;
/** How many search steps pass between two looks at the clock. */
const STEPS_PER_LOOK = 1024;

/** A node of the search: where it came from, and which candidates are still to be tried. */
interface Frame<State> {
  readonly state: State;
  /** Index of the operation that led here, -1 at the root. */
  readonly taken: number;
  readonly candidates: readonly number[];
  next: number;
}

/** Decides one history. Always: the same history and limits give the same verdict unless `maxMs` is set. */
export function checkHistory<Input, Output, State>(
  model: Model<Input, Output, State>,
  history: readonly Operation<Input, Output>[],
  limits: CheckLimits = {},
): Verdict {
  const known = history
    .filter((op) => op.returned !== null)
    .sort((a, b) => a.called - b.called || a.id - b.id);
  const unknown = history
    .filter((op) => op.returned === null)
    .sort((a, b) => a.called - b.called || a.id - b.id);
  // Operations with a known outcome come first in numbering and are tried first: most unknown ones never happened.
  const ops = [...known, ...unknown];
  return new Search(model, ops, known.length, limits).run();
}

class Search<Input, Output, State> {
  readonly #model: Model<Input, Output, State>;
  readonly #ops: readonly Operation<Input, Output>[];
  readonly #knownCount: number;
  readonly #limits: CheckLimits;
  readonly #done: Uint8Array;
  readonly #seen = new Set<string>();
  #knownDone = 0;
  #steps = 0;
  #longest: number[] = [];
  #stuck: readonly number[] = [];

  constructor(
    model: Model<Input, Output, State>,
    ops: readonly Operation<Input, Output>[],
    knownCount: number,
    limits: CheckLimits,
  ) {
    this.#model = model;
    this.#ops = ops;
    this.#knownCount = knownCount;
    this.#limits = limits;
    this.#done = new Uint8Array(ops.length);
  }

  run(): Verdict {
    const stack: Frame<State>[] = [this.#frame(this.#model.initial, -1)];
    this.#stuck = this.#ids(this.#candidates());
    while (this.#knownDone < this.#knownCount) {
      const why = this.#exhausted();
      if (why !== null) return { kind: "unknown", why, steps: this.#steps };
      const top = stack.at(-1);
      if (top === undefined) {
        return { kind: "illegal", longest: this.#longest, stuck: this.#stuck, steps: this.#steps };
      }
      const index = top.candidates[top.next++];
      if (index === undefined) {
        stack.pop();
        this.#mark(top.taken, 0);
        continue;
      }
      this.#steps++;
      const op = this.#ops[index];
      if (op === undefined) continue;
      const state = this.#model.step(top.state, op.input, op.returned === null ? null : op.returned.output);
      if (state === REFUSED) continue;
      this.#mark(index, 1);
      if (this.#entered(state)) {
        this.#mark(index, 0);
        continue;
      }
      stack.push(this.#frame(state, index));
      this.#remember(stack);
    }
    return { kind: "linearizable", order: this.#taken(stack), steps: this.#steps };
  }

  #frame(state: State, taken: number): Frame<State> {
    return { state, taken, candidates: this.#candidates(), next: 0 };
  }

  /** Operations not done that were called before the earliest return among those not done. */
  #candidates(): readonly number[] {
    const found: number[] = [];
    let firstReturn = Infinity;
    for (let i = this.#firstOpen(); i < this.#knownCount; i++) {
      const op = this.#ops[i];
      if (op === undefined || op.called > firstReturn) break;
      if (this.#done[i] === 1) continue;
      found.push(i);
      firstReturn = Math.min(firstReturn, op.returned?.at ?? Infinity);
    }
    // Sorted by call, so one found early may have been called after a return that came up later: filter once more.
    const open = found.filter((i) => (this.#ops[i]?.called ?? 0) <= firstReturn);
    for (let i = this.#knownCount; i < this.#ops.length; i++) {
      if (this.#done[i] === 0 && (this.#ops[i]?.called ?? 0) <= firstReturn) open.push(i);
    }
    return open;
  }

  #firstOpen(): number {
    let first = 0;
    while (first < this.#knownCount && this.#done[first] === 1) first++;
    return first;
  }

  #mark(index: number, done: 0 | 1): void {
    if (index < 0) return;
    this.#done[index] = done;
    if (index < this.#knownCount) this.#knownDone += done === 1 ? 1 : -1;
  }

  /** Whether this (operations done, model state) was entered before; enters it. */
  #entered(state: State): boolean {
    const first = this.#firstOpen();
    // Everything before `first` is done, and the tail after the last done one is not: the middle names the set.
    let last = this.#knownCount - 1;
    while (last >= first && this.#done[last] === 0) last--;
    const middle = this.#done.subarray(first, last + 1).join("");
    const unknown = this.#done.subarray(this.#knownCount).join("");
    const name = `${first}|${middle}|${unknown}|${this.#model.name(state)}`;
    if (this.#seen.has(name)) return true;
    this.#seen.add(name);
    return false;
  }

  #remember(stack: readonly Frame<State>[]): void {
    if (stack.length - 1 <= this.#longest.length) return;
    this.#longest = this.#taken(stack);
    this.#stuck = this.#ids(stack.at(-1)?.candidates ?? []);
  }

  #taken(stack: readonly Frame<State>[]): number[] {
    return this.#ids(stack.slice(1).map((frame) => frame.taken));
  }

  #ids(indexes: readonly number[]): number[] {
    return indexes.map((index) => this.#ops[index]?.id ?? -1);
  }

  #exhausted(): string | null {
    const { maxSteps = DEFAULT_MAX_STEPS, maxMs, nowMs } = this.#limits;
    if (this.#steps >= maxSteps) return `no answer within ${maxSteps} search steps`;
    if (maxMs !== undefined && nowMs !== undefined) {
      this.#startedMs ??= nowMs();
      if (this.#steps % STEPS_PER_LOOK === 0 && nowMs() - this.#startedMs >= maxMs)
        return `no answer within ${maxMs} ms`;
    }
    return null;
  }
  #startedMs: number | null = null;
}
