import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pointId, pointIdFromPath } from "../../src/api/ids.ts";
import { limits } from "../../src/api/limits.ts";

const LIMITS = limits();
const read = (value: unknown): unknown => pointId(value, LIMITS, () => "`id`");
const fromPath = (segment: string): unknown => pointIdFromPath(segment, LIMITS);
const UUID = "550e8400-e29b-41d4-a716-446655440000";

describe("ids in a body", () => {
  test.each([0, 1, 42, Number.MAX_SAFE_INTEGER])("the number %d is itself", (id) => {
    expect(read(id)).toBe(id);
  });

  test("JSON's -0 is the id 0", () => {
    expect(Object.is(read(JSON.parse("-0")), 0)).toBe(true);
  });

  test.each([-1, 1.5, 2 ** 53, 1e300, NaN, Infinity])("the number %d is INVALID", (id) => {
    expect(() => read(id)).toThrow(expect.objectContaining({ code: "INVALID" }));
  });

  test("a number that JSON rounds is refused, not stored under another id", () => {
    const rounded: unknown = JSON.parse("9007199254740993");
    expect(() => read(rounded)).toThrow(/from 0 to 9007199254740991 \(send larger ones as strings\)/);
  });

  test.each([
    UUID,
    UUID.toUpperCase(),
    UUID.replaceAll("-", ""),
    UUID.replaceAll("-", "").toUpperCase(),
    `{${UUID}}`,
    `urn:uuid:${UUID}`,
    `URN:UUID:${UUID.toUpperCase()}`,
  ])("%s is one point, whatever its form", (id) => {
    expect(read(id)).toBe(UUID);
  });

  test.each([
    "x",
    "42",
    "Café",
    `${UUID}0`,
    `{${UUID}`,
    `${UUID.slice(0, -1)}g`,
    "g".repeat(32),
    `{${UUID.replaceAll("-", "")}}`,
  ])("%s is a string like any other", (id) => {
    expect(read(id)).toBe(id);
  });

  test("a string has 1 to 512 bytes of UTF-8", () => {
    expect(read("x".repeat(512))).toBe("x".repeat(512));
    expect(read("é".repeat(256))).toBe("é".repeat(256));
    expect(() => read("é".repeat(257))).toThrow(
      "`id` has 514 bytes, at most 512 bytes are allowed (option `limits.id_bytes`)",
    );
    expect(() => read("")).toThrow(expect.objectContaining({ code: "INVALID" }));
  });

  test("half of a surrogate pair is no text", () => {
    expect(() => read("a\ud800b")).toThrow(/surrogate/);
    expect(read("a\u{1F600}b")).toBe("a\u{1F600}b");
  });

  test.each([[null], [true], [[1]], [{ num: 1 }]])("%j is BAD_REQUEST", (id) => {
    expect(() => read(id)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });
});

describe("ids in a path", () => {
  test.each<[segment: string, id: number | string]>([
    ["42", 42],
    ["0", 0],
    ['"42"', "42"],
    ["007", "007"],
    ["-1", "-1"],
    ["1e3", "1e3"],
    ["abc", "abc"],
    ['"abc"', "abc"],
    ['"say \\"hi\\""', 'say "hi"'],
    [UUID.toUpperCase(), UUID],
  ])("%s names %j", (segment, id) => {
    expect(fromPath(segment)).toBe(id);
  });

  test("a number above 2^53 - 1 is INVALID, also in a path", () => {
    expect(() => fromPath("9007199254740992")).toThrow(expect.objectContaining({ code: "INVALID" }));
  });

  test("a quoted id that is not a JSON string is BAD_REQUEST", () => {
    expect(() => fromPath('"a"b"')).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });

  test("every string can be named by quoting it, and every number by its digits", () => {
    const text = fc.string({ minLength: 1, maxLength: 30, unit: "grapheme" });
    fc.assert(
      fc.property(text, (id) => {
        expect(fromPath(JSON.stringify(id))).toBe(read(id));
      }),
      { seed: 7 },
    );
    fc.assert(
      fc.property(fc.maxSafeNat(), (id) => {
        expect(fromPath(String(id))).toBe(id);
      }),
      { seed: 7 },
    );
  });
});
