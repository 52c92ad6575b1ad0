import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkedVector, shortest, SQUARES_MAX, vectorFrom } from "../../src/api/vectors.ts";
import { STATE_LIMITS } from "../../src/engine/options.ts";

const from = (values: readonly unknown[], dimension = values.length): Float32Array =>
  vectorFrom(values, dimension, () => "`points[3].vector` (id 17)");

describe("checking and converting", () => {
  test("numbers become float32", () => {
    expect(from([0, 1.5, -2, 1e-3])).toEqual(Float32Array.of(0, 1.5, -2, 1e-3));
  });

  test("a wrong length is INVALID and names both lengths and the vector", () => {
    expect(() => from([1, 2, 3], 4)).toThrow(
      expect.objectContaining({
        code: "INVALID",
        message: "Wrong input: Vector dimension error: expected dim: 4, got 3 in `points[3].vector` (id 17)",
      }),
    );
  });

  test.each([[null], ["1"], [true], [[1]], [{}], [undefined]])(
    "the element %j is BAD_REQUEST, by position",
    (bad) => {
      expect(() => from([1, 2, bad])).toThrow(
        expect.objectContaining({
          code: "BAD_REQUEST",
          message: expect.stringContaining("element 2 of `points[3].vector` (id 17) must be a number"),
        }),
      );
    },
  );

  test.each([1e39, -1e39, Infinity, NaN, Number.MAX_VALUE])("%d is not finite as a float32", (bad) => {
    expect(() => from([1, bad, 2])).toThrow(
      expect.objectContaining({ code: "INVALID", message: expect.stringContaining("element 1 of") }),
    );
  });

  test("the largest element there can be and the smallest float32 pass", () => {
    const largest = Math.fround(Math.sqrt(SQUARES_MAX) * (1 - 2 ** -24));
    expect(from([largest, 1e-45, 1e-60])).toEqual(Float32Array.of(largest, 1e-45, 0));
  });

  test("squares that add up to more than the engine takes are INVALID, and name the vector", () => {
    expect(SQUARES_MAX).toBe(STATE_LIMITS.squaredNormMax);
    const refusal = expect.objectContaining({
      code: "INVALID",
      message:
        "Wrong input: the squares of the elements of `points[3].vector` (id 17) must add up to at most 2^125",
    });
    expect(() => from([3e38, 0])).toThrow(refusal);
    expect(() => from([5e18, 5e18])).toThrow(refusal);
    const asFloats = (): Float32Array =>
      checkedVector(Float32Array.of(5e18, 5e18), 2, () => "`points[3].vector` (id 17)");
    expect(asFloats).toThrow(refusal);
  });

  test("converting is rounding to float32, for every double (model: Math.fround)", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true }), { maxLength: 20 }), (values) => {
        const bad = values.findIndex((value) => !Number.isFinite(Math.fround(value)));
        const squares = values.reduce((sum, value) => sum + Math.fround(value) ** 2, 0);
        if (bad !== -1) expect(() => from(values)).toThrow(`element ${bad} of`);
        else if (squares > SQUARES_MAX) expect(() => from(values)).toThrow("add up to at most 2^125");
        else expect([...from(values)]).toEqual(values.map(Math.fround));
      }),
      { seed: 7 },
    );
  });
});

describe("showing", () => {
  test.each([0.1, 0.3, -2.5, 1e-7, 12345.678, 3.14159, 1 / 3, 5e-45, 1e38])(
    "%d comes back as short as it went in",
    (value) => {
      const stored = Math.fround(value);
      expect(Math.fround(shortest(stored))).toBe(stored);
      expect(String(shortest(stored)).length).toBeLessThanOrEqual(String(value).length);
    },
  );

  test("every float32 survives being shown", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(Math.fround(shortest(value))).toBe(Math.fround(value));
      }),
      { seed: 7, numRuns: 5_000 },
    );
  });
});
