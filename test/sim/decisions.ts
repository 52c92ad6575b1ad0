/**
 * Everything a run decides by dice about its surroundings (what happens to a message, when a disk is slow, which fault
 * comes next) is decided through here under a name that does not depend on the decisions before it. A recorded run is
 * a list of the decisions that were not the harmless default, and can be run again with some of them left out: that is
 * what the shrinker does.
 */
export type DecisionValue = null | boolean | number | string | readonly DecisionValue[] | DecisionRecord;
export interface DecisionRecord {
  readonly [name: string]: DecisionValue;
}

export interface Decisions {
  /** `draw` rolls the dice of a fresh run; null is the harmless default, which a replay takes where nothing is recorded. */
  decide<T extends DecisionValue>(name: string, draw: () => T | null): T | null;
}

/** Rolls the dice; keeps what was decided when asked to. */
export class DrawnDecisions implements Decisions {
  readonly recorded: Map<string, DecisionValue> | null;

  constructor(options: { readonly record: boolean }) {
    this.recorded = options.record ? new Map() : null;
  }

  decide<T extends DecisionValue>(name: string, draw: () => T | null): T | null {
    const value = draw();
    if (value !== null) this.recorded?.set(name, value);
    return value;
  }
}

/** Repeats what was recorded. The values were made by the same code, so their types are what they were. */
export class ReplayedDecisions implements Decisions {
  readonly #recorded: ReadonlyMap<string, DecisionValue>;
  /** What was asked for: the rest had no part in this run. */
  readonly used = new Map<string, DecisionValue>();

  constructor(recorded: ReadonlyMap<string, DecisionValue>) {
    this.#recorded = recorded;
  }

  decide<T extends DecisionValue>(name: string): T | null {
    const value = this.#recorded.get(name);
    if (value === undefined) return null;
    this.used.set(name, value);
    return value as T;
  }
}

/** Counts repetitions, so that the nth thing of one name has a name of its own. */
export class Naming {
  readonly #seen = new Map<string, number>();

  nth(name: string): string {
    const count = (this.#seen.get(name) ?? 0) + 1;
    this.#seen.set(name, count);
    return `${name}#${count}`;
  }
}
