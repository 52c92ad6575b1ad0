import { describe, expect, test } from "vitest";
import type { KeyedOperation, RegisterInput, RegisterOutput } from "./register.ts";
import { checkKeys, registerModel } from "./register.ts";
import type { Operation } from "./checker.ts";
import { checkHistory } from "./checker.ts";

type Op = Operation<RegisterInput, RegisterOutput>;
let nextId = 0;

function op(called: number, at: number | null, input: RegisterInput, output?: RegisterOutput): Op {
  const returned = at === null || output === undefined ? null : { at, output };
  return { id: nextId++, input, called, returned };
}
const write = (called: number, at: number | null, value: string): Op =>
  op(called, at, { kind: "write", value }, { kind: "done" });
const read = (called: number, at: number, value: string | null): Op =>
  op(called, at, { kind: "read" }, { kind: "value", value });
const cas = (called: number, at: number | null, expected: string | null, value: string, swapped = true): Op =>
  op(called, at, { kind: "compareAndSet", expected, value }, { kind: "swapped", swapped });
const remove = (called: number, at: number | null, existed: boolean): Op =>
  op(called, at, { kind: "delete" }, { kind: "deleted", existed });

const verdict = (...history: Op[]) => checkHistory(registerModel, history).kind;

describe("histories known to be good", () => {
  test("no operation at all", () => {
    expect(verdict()).toBe("linearizable");
  });
  test("one after another", () => {
    expect(
      verdict(read(1, 2, null), write(3, 4, "a"), read(5, 6, "a"), remove(7, 8, true), read(9, 10, null)),
    ).toBe("linearizable");
  });
  test("a read concurrent with a write may see either value", () => {
    expect(verdict(write(1, 2, "a"), write(3, 8, "b"), read(4, 5, "a"), read(6, 7, "b"))).toBe(
      "linearizable",
    );
  });
  test("two concurrent writes may be seen in the order opposite to their calls", () => {
    expect(verdict(write(1, 5, "a"), write(2, 6, "b"), read(7, 8, "a"))).toBe("linearizable");
  });
  test("operations that share a moment are concurrent", () => {
    expect(verdict(write(1, 3, "a"), read(3, 4, null))).toBe("linearizable");
  });
  test("a compare-and-set that found another value says so", () => {
    expect(verdict(write(1, 2, "a"), cas(3, 4, "b", "c", false), read(5, 6, "a"))).toBe("linearizable");
  });
});

describe("histories known to be bad", () => {
  test("a stale read after a write returned", () => {
    expect(verdict(write(1, 2, "a"), write(3, 4, "b"), read(5, 6, "a"))).toBe("illegal");
  });
  test("a value nobody wrote", () => {
    expect(verdict(write(1, 2, "a"), read(3, 4, "z"))).toBe("illegal");
  });
  test("two reads see one concurrent write come and go", () => {
    expect(verdict(write(1, 2, "a"), write(3, 10, "b"), read(4, 5, "b"), read(6, 7, "a"))).toBe("illegal");
  });
  test("two compare-and-sets win from the same value", () => {
    expect(verdict(write(1, 2, "a"), cas(3, 6, "a", "b"), cas(4, 7, "a", "c"))).toBe("illegal");
  });
  test("a lost delete", () => {
    expect(verdict(write(1, 2, "a"), remove(3, 4, true), read(5, 6, "a"))).toBe("illegal");
  });
  test("the report names the longest order and what could not follow it", () => {
    const history = [write(1, 2, "a"), write(3, 4, "b"), read(5, 6, "a")];
    const found = checkHistory(registerModel, history);
    expect(found).toMatchObject({
      kind: "illegal",
      longest: [history[0]?.id, history[1]?.id],
      stuck: [history[2]?.id],
    });
  });
});

describe("unknown outcomes", () => {
  test("may have happened", () => {
    expect(verdict(write(1, 2, "a"), write(3, null, "b"), read(5, 6, "b"))).toBe("linearizable");
  });
  test("may never have happened", () => {
    expect(verdict(write(1, 2, "a"), write(3, null, "b"), read(5, 6, "a"), read(7, 8, "a"))).toBe(
      "linearizable",
    );
  });
  test("may happen long after the client gave up", () => {
    expect(verdict(write(1, 2, "a"), write(3, null, "b"), read(50, 60, "a"), read(70, 80, "b"))).toBe(
      "linearizable",
    );
  });
  test("cannot happen before their call", () => {
    expect(verdict(write(1, 2, "a"), read(3, 4, "b"), write(5, null, "b"))).toBe("illegal");
  });
  test("happen at most once", () => {
    expect(
      verdict(write(1, 2, "a"), write(3, null, "b"), read(5, 6, "b"), write(7, 8, "c"), read(9, 10, "b")),
    ).toBe("illegal");
  });
});

describe("limits", () => {
  // Eight writes at once of which the read proves none last: every order has to be tried.
  const hard = [
    ...Array.from({ length: 8 }, (_, i) => write(i + 1, 20 + i, `v${i}`)),
    ...Array.from({ length: 6 }, (_, i) => cas(i + 9, 30 + i, `v${i}`, `w${i}`)),
    read(40, 41, "none of these"),
  ];
  test("a step limit answers unknown, neither proof nor refutation", () => {
    expect(checkHistory(registerModel, hard, { maxSteps: 50 })).toEqual({
      kind: "unknown",
      why: "no answer within 50 search steps",
      steps: 50,
    });
  });
  test("a time limit answers unknown", () => {
    let now = 0;
    const found = checkHistory(registerModel, hard, { maxMs: 3, nowMs: () => now++ });
    expect(found).toMatchObject({ kind: "unknown", why: "no answer within 3 ms" });
  });
  test("states already entered are not searched again", () => {
    // 12 concurrent writes have 479,001,600 orders but only 12 * 2^12 states.
    const writes = Array.from({ length: 12 }, (_, i) => write(i + 1, 100 + i, `v${i}`));
    const found = checkHistory(registerModel, [...writes, read(200, 201, "z")]);
    expect(found.kind).toBe("illegal");
    expect(found.steps).toBeLessThan(12 * 12 * 2 ** 12);
  });
  test("a long history with little concurrency is decided in about as many steps as it has operations", () => {
    const long = Array.from({ length: 2_000 }, (_, i) =>
      i % 2 === 0 ? write(i * 2, i * 2 + 1, `v${i}`) : read(i * 2, i * 2 + 1, `v${i - 1}`),
    );
    const found = checkHistory(registerModel, long);
    expect(found).toMatchObject({ kind: "linearizable", steps: 2_000 });
  });
});

describe("keys", () => {
  const on = (key: string, of: Op): KeyedOperation => ({ ...of, key });
  test("are checked on their own, and the bad one is named", () => {
    const found = checkKeys([
      on("b", write(1, 2, "x")),
      on("a", write(3, 4, "y")),
      on("b", read(5, 6, null)),
      on("a", read(7, 8, "y")),
    ]);
    expect(found.map(({ key, verdict: { kind } }) => [key, kind])).toEqual([
      ["a", "linearizable"],
      ["b", "illegal"],
    ]);
  });
  test("absence is not the value of the same name", () => {
    expect(verdict(write(1, 2, "-"), read(3, 4, null))).toBe("illegal");
  });
});
