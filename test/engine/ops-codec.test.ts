import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../src/engine/json.ts";
import { decodeEntry, encodeEntry } from "../../src/engine/ops-codec.ts";
import type { EntryContent } from "../../src/engine/ops-codec.ts";
import { SEED, anyOperation, anyPayload } from "./support.ts";

const anyEntry: fc.Arbitrary<EntryContent> = fc.record({
  origin: fc.string({ unit: "grapheme", maxLength: 10 }),
  sequence: fc.maxSafeNat(),
  operations: fc.array(anyOperation(3), { maxLength: 5 }),
});

const upsert = (id: number | string): EntryContent => ({
  origin: "o",
  sequence: 1,
  operations: [{ kind: "upsert", points: [{ id, vector: Float32Array.of(1, 2), payload: { a: 1 } }] }],
});

describe("the bytes of an entry", () => {
  test("what was written is read", () => {
    fc.assert(
      fc.property(anyEntry, (content) => {
        expect(decodeEntry(encodeEntry(content))).toEqual({ kind: "entry", content });
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test("any bytes are an entry or unreadable, and twice the same", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeEntry(bytes)).toEqual(decodeEntry(bytes));
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  test("an entry with any one byte changed, or cut anywhere, never throws", () => {
    fc.assert(
      fc.property(anyEntry, fc.nat(), fc.nat(255), (content, where, byte) => {
        const bytes = encodeEntry(content);
        const changed = bytes.slice();
        changed[where % bytes.length] = byte;
        expect(["entry", "unreadable"]).toContain(decodeEntry(changed).kind);
        expect(decodeEntry(bytes.subarray(0, where % bytes.length)).kind).toBe("unreadable");
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  test("a count that the bytes cannot hold allocates nothing and is refused", () => {
    const bytes = encodeEntry({
      origin: "",
      sequence: 0,
      operations: [{ kind: "delete", ids: [1] }],
    });
    new DataView(bytes.buffer).setUint32(bytes.length - 13, 90_000, true);
    expect(decodeEntry(bytes)).toEqual({ kind: "unreadable", why: "the entry is cut short" });
  });

  test("vectors are copies: the entry's memory may be reused", () => {
    const bytes = encodeEntry(upsert(1));
    const read = decodeEntry(bytes);
    bytes.fill(0);
    expect(read).toEqual({ kind: "entry", content: upsert(1) });
  });

  test.each([
    ["an id with a lone surrogate", () => encodeEntry(upsert("\ud800"))],
    ["an id over 512 bytes", () => encodeEntry(upsert("é".repeat(257)))],
    [
      "vectors of two lengths",
      () =>
        encodeEntry({
          origin: "",
          sequence: 0,
          operations: [
            {
              kind: "updateVectors",
              points: [
                { id: 1, vector: Float32Array.of(1) },
                { id: 2, vector: Float32Array.of(1, 2) },
              ],
            },
          ],
        }),
    ],
  ])("%s is refused before the log", (_, encode) => {
    expect(encode).toThrow(RangeError);
  });

  test("a payload has the same text whatever the order of its keys", () => {
    fc.assert(
      fc.property(anyPayload, (payload) => {
        const turned = Object.fromEntries(Object.entries(payload).reverse());
        expect(canonicalJson(turned)).toBe(canonicalJson(payload));
        expect(JSON.parse(canonicalJson(payload))).toEqual(payload);
      }),
      { seed: SEED },
    );
  });
});
