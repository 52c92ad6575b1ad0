/** Requests that the OpenAPI document describes, and such that nearly do. */
import fc from "fast-check";
import { isRecord, type Json } from "../../support/json-schema.ts";
import { bodyText } from "./bodies.ts";

export interface FuzzRequest {
  readonly method: string;
  /** As the document names it: `/collections/{collection}`. */
  readonly route: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
}

/** One arbitrary that draws a route, then everything that a request of it can have. */
export function requestsOf(document: Json): fc.Arbitrary<FuzzRequest> {
  const operations = Object.entries(document["paths"] as Readonly<Record<string, Json>>).flatMap(
    ([route, methods]) => Object.entries(methods).map(([method, it]) => requestOf(route, method, it as Json)),
  );
  return fc.oneof(...operations);
}

/** Few, so that requests meet each other's collections and points; "kept" is for the check, and not drawn. */
const NAMES = [
  "a",
  "b",
  "c",
  "alias",
  "none",
  "__proto__",
  "constructor",
  "%",
  "..",
  "\u{1f600}",
  " ",
  "x".repeat(300),
];
const WHOLE = [0, 1, 2, 3, 10, 64, -1, 2 ** 31, 2 ** 32, 2 ** 53, 1e21, 0.5];
const inPath = (name: string): fc.Arbitrary<string> => {
  switch (name) {
    case "shard":
    case "node":
      return fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom("0", "1") },
        fc.constantFrom(...WHOLE.map(String), "x", "1e3", "0x1"),
      );
    case "id":
      return fc.oneof(fc.nat(20).map(String), fc.string(), fc.uuid(), fc.constantFrom('"1"', "-1", "1e400"));
    default:
      return fc.oneof({ weight: 6, arbitrary: fc.constantFrom("a", "b", "c") }, fc.constantFrom(...NAMES));
  }
};

function requestOf(route: string, method: string, operation: Json): fc.Arbitrary<FuzzRequest> {
  const parameters = operation["parameters"] as readonly Json[];
  const names = [...route.matchAll(/\{([a-z]+)\}/g)].map(([, name = ""]) => name);
  const query = parameters.filter((one) => one["in"] === "query");
  const content = operation["requestBody"] as { content?: Readonly<Record<string, Json>> } | undefined;
  const schema = content?.content?.["application/json"]?.["schema"];
  const body = isRecord(schema)
    ? fc.oneof({ weight: 5, arbitrary: bodyText(valueOf(schema)) }, bodyText(fc.jsonValue()))
    : fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, bodyText(fc.jsonValue()));
  return fc
    .record({
      parts: fc.tuple(...names.map(inPath)),
      query: fc.oneof(
        { weight: 3, arbitrary: fc.constant({}) },
        fc.record(Object.fromEntries(query.map((one) => [one["name"], inQuery(one["schema"] as Json)])), {
          requiredKeys: [],
        }),
        fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
      ),
      headers: headersWith(isRecord(schema)),
      body,
    })
    .map(({ parts, query: drawn, headers, body: bytes }) => {
      const filled = parts.reduce((path, part) => path.replace(/\{[a-z]+\}/, () => inSegment(part)), route);
      const search = Object.entries(drawn)
        .map(([name, value]) => `${escaped(name)}=${escaped(String(value))}`)
        .join("&");
      const path = search === "" ? filled : `${filled}?${search}`;
      return { method: method.toUpperCase(), route, path, headers, body: bytes };
    });
}

/** Half a surrogate pair has no escape: on its way through UTF-8 it becomes U+FFFD. */
const escaped = (text: string): string => encodeURIComponent(Buffer.from(text).toString());

/** What a client would leave out of a path, or walk up by, is another route. */
const inSegment = (text: string): string => (/^\.{0,2}$/.test(text) ? "x" : escaped(text));

const inQuery = (schema: Json): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 4, arbitrary: valueOf(schema) },
    fc.constantFrom("", "true", "0.001", "1e400", "NaN", "-1", "null", "[]", "__proto__"),
  );

const TYPES = [
  "application/json; charset=utf-8",
  "application/json;charset=latin1",
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "application/json, text/html",
  "application/grpc",
  "x",
];
const headersWith = (hasBody: boolean): fc.Arbitrary<Readonly<Record<string, string>>> => {
  const type = hasBody ? { "content-type": "application/json" } : {};
  const odd = fc.record(
    {
      "content-type": fc.constantFrom(...TYPES),
      "content-encoding": fc.constantFrom("gzip", "br", "identity", "zstd", "gzip, gzip"),
      "idempotency-key": fc.constantFrom("k", "k2", "x".repeat(300), ""),
      "if-match": fc.constantFrom('"1"', '"99999999999999999999"', "*", "W/x", ""),
      "if-none-match": fc.constantFrom("*", '"1"'),
      "x-flotilla-index": fc.constantFrom("0=1", "0=99999999", "0=-1", "a", ",", "0=1,".repeat(500)),
      accept: fc.constantFrom("*/*", "text/plain", "x"),
      authorization: fc.constantFrom("Bearer x", "Basic eA==", "Bearer", "Bearer a.b.c"),
    },
    { requiredKeys: [] },
  );
  return fc.oneof(
    { weight: 4, arbitrary: fc.constant(type) },
    odd.map((drawn) => ({ ...type, ...drawn })),
  );
};

/** Values by a JSON Schema: mostly fitting ones, at their borders and beyond. */
export function valueOf(schema: Json): fc.Arbitrary<unknown> {
  const fits = fitting(schema);
  return fc.oneof({ weight: 30, arbitrary: fits }, fc.constantFrom(...STRANGE));
}

const STRANGE: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  2 ** 53,
  "",
  "x",
  [],
  [[]],
  {},
  [null],
  { a: 1 },
];

function fitting(schema: Json): fc.Arbitrary<unknown> {
  const { anyOf, enum: words, type } = schema;
  if (Array.isArray(anyOf)) return fc.oneof(...anyOf.map((one) => valueOf(one as Json)));
  if (Array.isArray(words)) return fc.constantFrom(...(words as unknown[]));
  switch (type) {
    case "object":
      return objectOf(schema);
    case "array": {
      const items = (schema["items"] ?? {}) as Json;
      // What the collections here hold: most vectors should come as far as the engine.
      return items["format"] === "float"
        ? fc.oneof(
            {
              weight: 5,
              arbitrary: fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 4, maxLength: 4 }),
            },
            fc.array(fc.double(), { maxLength: 6 }),
          )
        : fc.array(valueOf(items), { maxLength: 4 });
    }
    case "string":
      return fc.oneof(fc.constantFrom(...NAMES), fc.string({ unit: "binary" }), fc.uuid());
    case "integer":
      return fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(1, 2, 3, 4) },
        fc.constantFrom(...WHOLE),
        fc.integer(),
      );
    case "number":
      return fc.oneof(fc.nat(10), fc.double());
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      return fc.jsonValue({ maxDepth: 4 });
  }
}

function objectOf(schema: Json): fc.Arbitrary<unknown> {
  const properties = Object.entries((schema["properties"] ?? {}) as Readonly<Record<string, Json>>);
  const fields = fc.record(Object.fromEntries(properties.map(([name, one]) => [name, valueOf(one)])), {
    requiredKeys: (schema["required"] ?? []) as string[],
  });
  const more = schema["additionalProperties"];
  if (more === false || more === undefined) {
    // Fields nobody knows end a request at its first check: rare.
    const unknown = fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1, maxKeys: 2 });
    return fc.oneof(
      { weight: 20, arbitrary: fields },
      fc.tuple(fields, unknown).map(([known, others]) => ({ ...others, ...known })),
    );
  }
  const others = fc.dictionary(fc.string(), isRecord(more) ? valueOf(more) : fc.jsonValue({ maxDepth: 4 }), {
    maxKeys: 4,
  });
  return fc.tuple(others, fields).map(([a, b]) => ({ ...a, ...b }));
}
