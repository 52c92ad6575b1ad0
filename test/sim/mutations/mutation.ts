import type { ProfileName } from "../profiles.ts";

/** A deliberate bug: exact text of one source file and what stands there instead. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutation {
  /** As in `--mutation NAME`. */
  readonly name: string;
  /** Which of the nineteen "never" rules it breaks. */
  readonly rule: number;
  /** The rule, and why breaking it is wrong. */
  readonly why: string;
  readonly edits: readonly Edit[];
  /** Edits that are no bug but what the bug needs around it; with them alone everything has to hold. */
  readonly conditions?: readonly Edit[];
  /** What the swarm is biased towards in the hunt for it. */
  readonly profile?: ProfileName;
}
