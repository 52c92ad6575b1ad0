import fc from "fast-check";
import { expect, test } from "vitest";
import type { RegisterInput, RegisterOutput } from "./register.ts";
import { registerModel } from "./register.ts";
import type { Operation } from "./checker.ts";
import { checkHistory, REFUSED } from "./checker.ts";

type Op = Operation<RegisterInput, RegisterOutput>;

/** The definition itself: some order of all known operations and some unknown ones, respecting precedence and model. */
function linearizableByDefinition(history: readonly Op[]): boolean {
  const extend = (done: ReadonlySet<Op>, state: string | null): boolean => {
    if (history.every((op) => done.has(op) || op.returned === null)) return true;
    return history.some((op) => {
      if (done.has(op)) return false;
      const preceded = history.some(
        (other) => !done.has(other) && other.returned !== null && other.returned.at < op.called,
      );
      if (preceded) return false;
      const next = registerModel.step(state, op.input, op.returned?.output ?? null);
      return next !== REFUSED && extend(new Set([...done, op]), next);
    });
  };
  return extend(new Set(), null);
}

const value = fc.constantFrom("a", "b");
const valueOrAbsent = fc.constantFrom("a", "b", null);
const answered: fc.Arbitrary<readonly [RegisterInput, RegisterOutput]> = fc.oneof(
  valueOrAbsent.map((seen) => [{ kind: "read" }, { kind: "value", value: seen }] as const),
  value.map((written) => [{ kind: "write", value: written }, { kind: "done" }] as const),
  fc.tuple(valueOrAbsent, value, fc.boolean()).map(
    ([expected, written, swapped]) =>
      [
        { kind: "compareAndSet", expected, value: written },
        { kind: "swapped", swapped },
      ] as const,
  ),
  fc.boolean().map((existed) => [{ kind: "delete" }, { kind: "deleted", existed }] as const),
);
const operation = fc.record({
  answered,
  called: fc.integer({ min: 0, max: 12 }),
  lasts: fc.integer({ min: 0, max: 6 }),
  known: fc.integer({ min: 0, max: 4 }).map((roll) => roll > 0),
});
const histories = fc.array(operation, { maxLength: 6 }).map((ops) =>
  ops.map(({ answered: [input, output], called, lasts, known }, id): Op => ({
    id,
    input,
    called,
    returned: known ? { at: called + lasts, output } : null,
  })),
);

/** Replays the order the checker claims: the proof must hold by itself. */
function orderHolds(history: readonly Op[], order: readonly number[]): boolean {
  let state: string | null = null;
  const left = new Set(history);
  for (const id of order) {
    const op = history[id];
    if (op === undefined || !left.delete(op)) return false;
    for (const other of left) if (other.returned !== null && other.returned.at < op.called) return false;
    const next: string | null | typeof REFUSED = registerModel.step(
      state,
      op.input,
      op.returned?.output ?? null,
    );
    if (next === REFUSED) return false;
    state = next;
  }
  return [...left].every((op) => op.returned === null);
}

test("agrees with the definition on every small history", () => {
  const seen = { linearizable: 0, illegal: 0 };
  fc.assert(
    fc.property(histories, (history) => {
      const expected = linearizableByDefinition(history) ? "linearizable" : "illegal";
      seen[expected]++;
      const found = checkHistory(registerModel, history);
      expect(found.kind).toBe(expected);
      if (found.kind === "linearizable") expect(orderHolds(history, found.order)).toBe(true);
    }),
    { seed: 20260, numRuns: 4_000 },
  );
  // Both answers came up often: the property compared something.
  expect(Math.min(seen.linearizable, seen.illegal)).toBeGreaterThan(400);
});

test("a history made by running operations one at a time is always linearizable, however calls are widened", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), (ops) => {
      let state: string | null = null;
      const history = ops.map(({ answered: [input], called, lasts, known }, id): Op => {
        const at = 20 * id;
        const output: RegisterOutput =
          input.kind === "read"
            ? { kind: "value", value: state }
            : input.kind === "write"
              ? { kind: "done" }
              : input.kind === "delete"
                ? { kind: "deleted", existed: state !== null }
                : { kind: "swapped", swapped: state === input.expected };
        const next: string | null | typeof REFUSED = registerModel.step(state, input, output);
        if (next !== REFUSED) state = next;
        return {
          id,
          input,
          called: at - 3 * called,
          returned: known ? { at: at + 6 * lasts, output } : null,
        };
      });
      expect(checkHistory(registerModel, history).kind).toBe("linearizable");
    }),
    { seed: 20261, numRuns: 300 },
  );
});
