import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/api/limits.ts";
import { checkDepth, parseJson } from "../../src/api/json.ts";

/** The obvious way: the depth of a parsed value, walked. */
function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

/** A buffer that begins at any alignment: bodies that came in one piece are slices of a larger one. */
function at(skew: number, text: string): Buffer {
  const room = Buffer.alloc(skew + Buffer.byteLength(text) + 8, 0x5b);
  room.write(text, skew);
  return room.subarray(skew, skew + Buffer.byteLength(text));
}

const passes = (bytes: Buffer, most: number): boolean => {
  try {
    checkDepth(bytes, most);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: "BAD_REQUEST" });
    return false;
  }
};

describe("depth", () => {
  test("is found right in any JSON, at any alignment (model: a walk over the parsed value)", () => {
    const json = fc.json({ depthSize: "large", noUnicodeString: false });
    fc.assert(
      fc.property(json, fc.nat(7), fc.integer({ min: 1, max: 6 }), (text, skew, most) => {
        expect(passes(at(skew, text), most)).toBe(depthOf(JSON.parse(text)) <= most);
      }),
      { seed: 7, numRuns: 1_000 },
    );
  });

  test("is not misled by brackets and escapes in strings", () => {
    const strings = fc.array(fc.constantFrom("[", "]", "{", "}", '"', "\\", "1", ",", "e"), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(strings, strings, fc.nat(7), (key, value, skew) => {
        const text = JSON.stringify({ [key.join("")]: [[value.join(""), 1.5e10, [2]]] });
        expect([passes(at(skew, text), 4), passes(at(skew, text), 3)]).toEqual([true, false]);
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  test("of arrays of numbers costs no false alarm: ten thousand vectors are two levels", () => {
    const text = JSON.stringify(Array.from({ length: 10_000 }, (_, i) => [i, -i / 7, 1e-9 * i]));
    for (let skew = 0; skew < 4; skew++) expect(passes(at(skew, text), 2)).toBe(true);
  });

  test("is bounded before the parser runs: 30 million brackets are refused at once", () => {
    const began = performance.now();
    expect(() => parseJson(Buffer.alloc(30_000_000, "["), limits())).toThrow(
      "Format error in JSON body: nested deeper than the 64 levels allowed (option `limits.json_depth`) at byte 64",
    );
    // Parsing them takes seconds.
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});

test("what is parsed is what JSON.parse says, for every JSON text", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(parseJson(Buffer.from(text), limits({ jsonDepth: 512 }))).toEqual(JSON.parse(text));
    }),
    { seed: 7 },
  );
});

test("prototype keys become plain fields and change no prototype", () => {
  const value = parseJson(Buffer.from('{"__proto__":{"admin":true}}'), limits()) as object;
  expect(Object.keys(value)).toEqual(["__proto__"]);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect("admin" in {}).toBe(false);
});
