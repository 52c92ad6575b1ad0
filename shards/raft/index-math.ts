/**
 * Steps between log indexes. Both sides were checked where they came in, and no log comes near 2^53 entries, so these
 * only keep the brand: they run for every entry and must cost nothing.
 */
import type { LogIndex, Term } from "./types.ts";

export const ZERO = 0 as LogIndex;
export const NO_TERM = 0 as Term;

export function plus(index: LogIndex, entries: number): LogIndex {
  return (index + entries) as LogIndex;
}

export function after(index: LogIndex): LogIndex {
  return (index + 1) as LogIndex;
}

export function before(index: LogIndex): LogIndex {
  return (index - 1) as LogIndex;
}

export function lower(a: LogIndex, b: LogIndex): LogIndex {
  return a < b ? a : b;
}

export function higher(a: LogIndex, b: LogIndex): LogIndex {
  return a > b ? a : b;
}

export function nextTerm(term: Term): Term {
  return (term + 1) as Term;
}
