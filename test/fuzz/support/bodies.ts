/** Bodies as bytes: a value written well, or with one thing that JSON does not have, or that is too much of it. */
import fc from "fast-check";
import { gzipSync } from "node:zlib";

/** Stands in a value where raw text shall stand in its JSON. */
const HOLE = "\u0001hole\u0001";

export function bodyText(values: fc.Arbitrary<unknown>): fc.Arbitrary<Buffer> {
  const plain = values.map((value) => Buffer.from(JSON.stringify(value) ?? ""));
  return fc.oneof(
    { weight: 6, arbitrary: plain },
    {
      weight: 3,
      arbitrary: fc.tuple(values, fc.nat(), raw).map(([value, at, text]) => withHole(value, at, text)),
    },
    fc.tuple(plain, edits).map(([bytes, changes]) => edited(bytes, changes)),
    fc.tuple(plain, fc.constantFrom(...WRAPS)).map(([bytes, wrap]) => wrap(bytes)),
  );
}

const nested = (open: string, close: string, levels: number): string =>
  open.repeat(levels) + "1" + close.repeat(levels);

const raw: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    ...["NaN", "Infinity", "-Infinity", "nan", "inf", "-nan", "undefined", "0x10", "+1", "01", ".5", "1."],
  ),
  fc.constantFrom(
    "1e400",
    "-1e400",
    "1e-400",
    "9".repeat(400),
    `0.${"0".repeat(5000)}1`,
    "1e999999999999",
    "-0",
  ),
  fc.constantFrom("9007199254740993", "18446744073709551615", "-9223372036854775809", "1e39", "3.4028236e38"),
  fc
    .tuple(
      fc.constantFrom(["[", "]"] as const, ['{"a":', "}"] as const),
      fc.constantFrom(33, 63, 64, 65, 5_000, 200_000),
    )
    .map(([[open, close], levels]) => nested(open, close, levels)),
  fc.constantFrom(
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u0000"',
    '"\\x"',
    '"\u0000"',
    '"\n"',
    "'a'",
    "/**/1",
    "1,",
    ",1",
  ),
  fc.constantFrom(
    '{"__proto__":{"polluted":1}}',
    '{"constructor":{"prototype":{"polluted":1}}}',
    '{"__proto__":null,"toString":1,"hasOwnProperty":2,"then":3}',
    '{"a":1,"a":2,"a":[]}',
    '{"points":[1],"points":[2]}',
    '{"":{"":{"":1}}}',
    '{"toJSON":"x","length":1e9}',
  ),
  fc.constantFrom(
    `"${"x".repeat(300_000)}"`,
    `[${"0,".repeat(100_000)}0]`,
    `{${Array.from({ length: 20_000 }, (_, i) => `"k${i}":${i}`).join(",")}}`,
  ),
);

/** The value with what stands at one of its places replaced by text that goes into the JSON as it is. */
function withHole(value: unknown, at: number, text: string): Buffer {
  let places = 0;
  count(value);
  let left = at % places;
  const json = JSON.stringify(punched(value)) ?? "";
  return Buffer.from(json.replace(JSON.stringify(HOLE), () => text));

  function count(one: unknown): void {
    places++;
    if (typeof one === "object" && one !== null) for (const child of Object.values(one)) count(child);
  }
  function punched(one: unknown): unknown {
    if (left-- === 0) return HOLE;
    if (Array.isArray(one)) return one.map(punched);
    if (typeof one !== "object" || one === null) return one;
    return Object.fromEntries(Object.entries(one).map(([name, child]) => [name, punched(child)]));
  }
}

type Edit = { readonly at: number } & (
  | { readonly kind: "cut" }
  | { readonly kind: "byte"; readonly byte: number }
  | { readonly kind: "insert"; readonly bytes: readonly number[] }
  | { readonly kind: "repeat"; readonly length: number }
);
const NOT_UTF8 = [
  [0xff, 0xfe],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x82],
  [0x80],
  [0],
];
const edits: fc.Arbitrary<readonly Edit[]> = fc.array(
  fc.oneof<fc.Arbitrary<Edit>[]>(
    fc.record({ kind: fc.constant("cut" as const), at: fc.nat() }),
    fc.record({ kind: fc.constant("byte" as const), at: fc.nat(), byte: fc.nat(255) }),
    fc.record({ kind: fc.constant("insert" as const), at: fc.nat(), bytes: fc.constantFrom(...NOT_UTF8) }),
    fc.record({ kind: fc.constant("repeat" as const), at: fc.nat(), length: fc.nat(40) }),
  ),
  { minLength: 1, maxLength: 4 },
);

function edited(original: Buffer, changes: readonly Edit[]): Buffer {
  let bytes = Buffer.from(original);
  for (const change of changes) {
    const at = bytes.length === 0 ? 0 : change.at % bytes.length;
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    switch (change.kind) {
      case "cut":
        bytes = Buffer.from(before);
        break;
      case "byte":
        bytes = Buffer.concat([before, Buffer.of(change.byte), after.subarray(1)]);
        break;
      case "insert":
        bytes = Buffer.concat([before, Buffer.from(change.bytes), after]);
        break;
      case "repeat":
        bytes = Buffer.concat([before, after.subarray(0, change.length), after]);
    }
  }
  return bytes;
}

/** 64 MiB of blanks in some 64 KiB. */
const BOMB = gzipSync(Buffer.alloc(64 << 20, " "));
const WRAPS: readonly ((bytes: Buffer) => Buffer)[] = [
  (bytes) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes]),
  (bytes) => Buffer.concat([bytes, bytes]),
  (bytes) => Buffer.from(bytes.toString(), "utf16le"),
  (bytes) => Buffer.concat([bytes, Buffer.from("\0")]),
  (bytes) => Buffer.concat([Buffer.alloc(100_000, " "), bytes]),
  (bytes) => gzipSync(bytes),
  () => BOMB,
  () => Buffer.alloc(0),
];
