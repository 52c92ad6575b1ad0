import { describe, expect, test } from "vitest";
import { ENTRY_LIMITS, LIMITS as LIMITS_TABLE, limits } from "../../src/api/limits.ts";
import { checkPath, checkPayload } from "../../src/api/payloads.ts";
import type { Payload } from "../../src/api/types.ts";
import { encodeEntry } from "../../src/engine/ops-codec.ts";
import { STATE_LIMITS } from "../../src/engine/options.ts";

const LIMITS = limits({ payloadBytes: 1_000, payloadDepth: 4 });
const check = (json: string): void =>
  checkPayload(JSON.parse(json) as Payload, LIMITS, "payloadBytes", () => "the payload of point 3");

describe("a payload", () => {
  test("passes with every kind of JSON value", () => {
    expect(() => check('{"a":[1,2.5,-3e10,"x",null,true,{"b":{}}],"é":"\\ud83d\\ude00"}')).not.toThrow();
  });

  test("over its limit in bytes is TOO_LARGE and names the option", () => {
    expect(() => check(JSON.stringify({ text: "x".repeat(2_000) }))).toThrow(
      expect.objectContaining({
        code: "TOO_LARGE",
        message: expect.stringMatching(/the payload of point 3 has 20\d\d bytes, .*`limits\.payload_bytes`/),
      }),
    );
  });

  test("that only its JSON makes larger than a log entry takes is refused as well, never a defect", () => {
    const widest = limits({ payloadBytes: LIMITS_TABLE.payloadBytes.max });
    const takes = (payload: Payload): void => checkPayload(payload, widest, "payloadBytes", () => "it");
    const encodes = (payload: Payload): unknown =>
      encodeEntry({
        origin: "",
        sequence: 0,
        operations: [{ kind: "overwritePayload", ids: [1], payload }],
      });
    const number = -1.2345678901234567e-300;
    for (const [payload, fits] of [
      [{ a: "\u0001".repeat(170_000) }, true],
      [{ a: "\u0001".repeat(180_000) }, false],
      [{ ['"\\'.repeat(270_000)]: 1 }, false],
      [{ a: Array<number>(40_000).fill(number) }, true],
      [{ a: Array<number>(45_000).fill(number) }, false],
    ] as const) {
      if (fits) {
        takes(payload);
        encodes(payload);
      } else {
        expect(() => takes(payload)).toThrow(expect.objectContaining({ code: "TOO_LARGE" }));
        expect(() => encodes(payload)).toThrow(RangeError);
      }
    }
  });

  test("goes as deep as a log entry takes, whatever is configured", () => {
    expect(ENTRY_LIMITS).toEqual({
      payloadJsonBytes: STATE_LIMITS.payloadBytesMax,
      payloadDepth: STATE_LIMITS.payloadDepthMax,
    });
    expect(LIMITS_TABLE.payloadDepth.max).toBe(STATE_LIMITS.payloadDepthMax);
  });

  test("nested deeper than its limit is INVALID", () => {
    expect(() => check('{"a":{"b":{"c":1}}}')).not.toThrow();
    expect(() => check('{"a":{"b":{"c":[[]]}}}')).toThrow(/nested too deeply.*`limits\.payload_depth`/);
  });

  test("keys that change prototypes are refused, at any depth", () => {
    expect(() => check('{"__proto__":{"admin":true}}')).toThrow(/`__proto__`/);
    expect(() => check('{"a":[{"__proto__":1}]}')).toThrow(/`__proto__`/);
    expect(() => check('{"constructor":{"prototype":{"x":1}}}')).toThrow(/`constructor`/);
  });

  test("a constructor that is a word is a word", () => {
    expect(() => check('{"constructor":"Ferrari","prototype":{"x":1}}')).not.toThrow();
  });

  test("a number that cannot be given back is refused", () => {
    expect(() => check('{"a":1e400}')).toThrow(expect.objectContaining({ code: "INVALID" }));
    expect(() => check('{"a":1.7976931348623157e308}')).not.toThrow();
  });

  test("half of a surrogate pair is refused in keys and in strings", () => {
    expect(() => check('{"a":"\\ud800"}')).toThrow(/surrogate/);
    expect(() => check('{"\\udc00":1}')).toThrow(/surrogate/);
  });
});

describe("a path into a payload", () => {
  const path = (text: string) => (): void => checkPath(text, LIMITS, () => "`key`");

  test.each(["a", "a.b", "é", "a b", "constructor", "[a]"])("%j passes", (text) => {
    expect(path(text)).not.toThrow();
  });

  test.each<[text: string, code: string]>([
    ["", "INVALID"],
    ["\ud800", "INVALID"],
    ["x".repeat(1_100), "TOO_LARGE"],
    ["__proto__", "BAD_REQUEST"],
    ["a.__proto__.b", "BAD_REQUEST"],
    ["a[].b", "UNSUPPORTED"],
    ["a[0]", "UNSUPPORTED"],
  ])("%j is refused", (text, code) => {
    expect(path(text)).toThrow(expect.objectContaining({ code, message: expect.stringContaining("`key`") }));
  });
});
