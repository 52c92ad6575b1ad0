import type { CheckLimits, Model, Operation, Verdict } from "./checker.ts";
import { checkHistory, REFUSED } from "./checker.ts";

/** One key of a key-value store; null: absent. */
export type RegisterInput =
  | { readonly kind: "read" }
  | { readonly kind: "write"; readonly value: string }
  /** Writes `value` if the key holds `expected` (null: is absent). */
  | { readonly kind: "compareAndSet"; readonly expected: string | null; readonly value: string }
  | { readonly kind: "delete" };

export type RegisterOutput =
  | { readonly kind: "value"; readonly value: string | null }
  | { readonly kind: "done" }
  | { readonly kind: "swapped"; readonly swapped: boolean }
  | { readonly kind: "deleted"; readonly existed: boolean };

/** A register with compare-and-set. Always total when the output is unknown: the operation can happen in any state. */
export const registerModel: Model<RegisterInput, RegisterOutput, string | null> = {
  initial: null,
  step(state, input, output) {
    switch (input.kind) {
      case "read":
        return output === null || (output.kind === "value" && output.value === state) ? state : REFUSED;
      case "write":
        return output === null || output.kind === "done" ? input.value : REFUSED;
      case "compareAndSet": {
        const swaps = state === input.expected;
        if (output !== null && !(output.kind === "swapped" && output.swapped === swaps)) return REFUSED;
        return swaps ? input.value : state;
      }
      case "delete":
        if (output !== null && !(output.kind === "deleted" && output.existed === (state !== null)))
          return REFUSED;
        return null;
    }
  },
  // A value cannot be mistaken for absence: present ones carry a prefix.
  name: (state) => (state === null ? "-" : `=${state}`),
};

export interface KeyedOperation extends Operation<RegisterInput, RegisterOutput> {
  readonly key: string;
}

export interface KeyVerdict {
  readonly key: string;
  readonly verdict: Verdict;
}

/** Checks each key on its own, in order of key; limits hold per key. */
export function checkKeys(history: readonly KeyedOperation[], limits: CheckLimits = {}): KeyVerdict[] {
  const byKey = new Map<string, KeyedOperation[]>();
  for (const op of history) {
    const ops = byKey.get(op.key);
    if (ops === undefined) byKey.set(op.key, [op]);
    else ops.push(op);
  }
  return [...byKey.keys()]
    .sort()
    .map((key) => ({ key, verdict: checkHistory(registerModel, byKey.get(key) ?? [], limits) }));
}
