import { LogIndex } from "./raft/types.ts";

/** Looks per age: an entry is found to be old at most an eighth of the age late, and no more marks than that are kept. */
const LOOKS = 8;

/** Ticks between two looks at one group. */
export function ticksBetweenLooks(keepAgeTicks: number): number {
  return Math.max(1, Math.ceil(keepAgeTicks / LOOKS));
}

/**
 * How long ago a group's entries were applied here, from a mark per look: entries carry no time, and a clock that
 * jumps must not drop a log. What was applied before a restart counts from then on.
 */
export class Ages {
  readonly #keepAgeTicks: number;
  #marks: readonly { readonly tick: number; readonly applied: LogIndex }[] = [];

  constructor(keepAgeTicks: number) {
    this.#keepAgeTicks = keepAgeTicks;
  }

  /** Marks what is applied now; answers up to where everything was applied that long ago, 0 when nothing was. */
  look(tick: number, applied: LogIndex): LogIndex {
    const marks = [...this.#marks, { tick, applied }];
    const old = marks.findLastIndex((mark) => tick - mark.tick >= this.#keepAgeTicks);
    // The old one stays: until the next is old as well, it is still the answer.
    this.#marks = marks.slice(Math.max(0, old));
    return marks[old]?.applied ?? LogIndex(0);
  }
}
