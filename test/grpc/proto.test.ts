/** The .proto files are what clients are made from; the server's tables of fields must be the same thing. */
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "../../src/api/limits.ts";
import { PROTO_FILES, PROTO_ROOT } from "../../src/grpc/discovery.ts";
import { QUERY, UPSERT } from "../../src/grpc/messages/points.ts";
import { methods } from "../../src/grpc/methods.ts";
import type { Message } from "../../src/grpc/wire/message.ts";

interface Described {
  readonly name: string;
  readonly field?: readonly {
    readonly name: string;
    readonly number: number;
    readonly label: string;
    readonly type: string;
    readonly typeName: string;
    readonly oneofIndex?: number;
  }[];
  readonly oneofDecl?: readonly { readonly name: string }[];
}

const loaded = loadSync([...PROTO_FILES], { keepCase: true, includeDirs: [PROTO_ROOT] });
const table = methods(limits());

const last = (name: string): string => name.split(".").at(-1) ?? "";

function typeOf(field: NonNullable<Described["field"]>[number], groups: readonly string[]): string {
  const type =
    field.type === "TYPE_MESSAGE" || field.type === "TYPE_ENUM"
      ? last(field.typeName)
      : field.type.replace("TYPE_", "").toLowerCase();
  if (field.label === "LABEL_REPEATED") return `repeated ${type}`;
  // `optional` is a group of one with a name made from the field's.
  return groups[field.oneofIndex ?? -1] === `_${field.name}` ? `optional ${type}` : type;
}

test("every method of the services is served, and nothing else, each with its messages and streams", () => {
  const declared = Object.entries(loaded).flatMap(([name, definition]) =>
    "format" in definition
      ? []
      : Object.values(definition as Readonly<Record<string, MethodOf>>).map((method) => [
          method.path,
          last(method.requestType.type.name),
          last(method.responseType.type.name),
          method.requestStream,
          method.responseStream,
          name.startsWith("flotilla.v1."),
        ]),
  );
  const served = table.map(({ path, request, answer, streams }) => [
    path,
    request.type,
    answer.type,
    streams,
    streams,
    true,
  ]);
  expect(served.sort()).toEqual(declared.sort());
  expect(served.length).toBeGreaterThan(30);
});

interface MethodOf {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestType: { readonly type: Described };
  readonly responseType: { readonly type: Described };
}

describe("fields", () => {
  const known = new Map<string, Message<unknown>>();
  const learn = (of: Message<unknown>): void => {
    if (known.has(of.type)) return;
    known.set(of.type, of);
    for (const { holds } of of.fields)
      if (holds !== undefined && "fields" in holds) learn(holds as Message<unknown>);
  };
  for (const { request, answer } of table) for (const of of [request, answer]) learn(of);
  const described = new Map(
    Object.values(loaded).flatMap((definition) => {
      const type = "type" in definition ? (definition.type as Described) : null;
      return type?.field === undefined ? [] : [[type.name, type] as const];
    }),
  );

  test.each([...known.keys()])("of %s", (name) => {
    const { fields, oneof } = known.get(name) as Message<unknown>;
    const { field = [], oneofDecl = [] } = described.get(name) ?? {};
    const groups = oneofDecl.map((group) => group.name);
    expect(fields.map((f) => [f.name, f.number, f.type])).toEqual(
      field.map((f) => [f.name, f.number, typeOf(f, groups)]),
    );
    expect(groups.filter((group) => !group.startsWith("_"))).toEqual(oneof === null ? [] : [oneof]);
  });

  test("are those of all messages there are", () => {
    expect([...known.keys()].sort()).toEqual([...described.keys()].sort());
  });
});

describe("what a client writes is what the server reads", () => {
  const serialize = (
    type: string,
  ): Pick<MessageTypeDefinition<object, object>, "serialize" | "deserialize"> => {
    const options = { includeDirs: [PROTO_ROOT], longs: Number, defaults: true };
    const found = loadSync([...PROTO_FILES], options)[`flotilla.v1.${type}`];
    if (found === undefined || !("format" in found)) throw new Error(`${type} is in no .proto file`);
    return found as MessageTypeDefinition<object, object>;
  };
  const id = fc.oneof(
    fc.record({ num: fc.maxSafeNat() }),
    fc.record({ text: fc.string({ unit: "grapheme", maxLength: 40 }) }),
  );
  const floats = fc.array(fc.float({ noNaN: true }), { maxLength: 300 });
  const point = fc.record(
    { id, vector: floats, payloadJson: fc.string({ unit: "grapheme", maxLength: 300 }) },
    { requiredKeys: [] },
  );

  test("and the other way round", () => {
    const type = serialize("UpsertRequest");
    fc.assert(
      fc.property(
        fc.record({
          collection: fc.string({ unit: "grapheme" }),
          points: fc.array(point, { maxLength: 5 }),
          ifVersion: fc.option(fc.maxSafeNat(), { nil: undefined }),
        }),
        (request) => {
          const sent = type.serialize(request);
          const read = UPSERT.decode(sent);
          expect(read.collection).toBe(request.collection);
          expect(read.ifVersion).toBe(request.ifVersion ?? null);
          expect(read.points.map((p) => [p.id, [...p.vector], p.payloadJson])).toEqual(
            request.points.map((p) => [
              p.id === undefined ? null : "num" in p.id ? p.id.num : p.id.text,
              (p.vector ?? []).map(Math.fround),
              p.payloadJson ?? null,
            ]),
          );
          // Ours is read by theirs as the same message.
          expect(type.deserialize(UPSERT.encode(read))).toEqual(type.deserialize(sent));
        },
      ),
      { seed: 5, numRuns: 300 },
    );
  });

  test("floats that are not packed count as well", () => {
    const one = Buffer.from([0x0d, 0, 0, 0x80, 0x3f]);
    const packed = Buffer.from([0x0a, 8, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40]);
    expect([...QUERY.decode(Buffer.concat([one, packed, one])).vector]).toEqual([1, 2, 3, 1]);
  });
  test("a vector in very many pieces takes no longer than their number, and no more memory than it needs", () => {
    const sent = Float32Array.from({ length: 400_000 }, (_, at) => at);
    const pieces = Buffer.alloc(5 * sent.length);
    sent.forEach((value, at) => pieces.writeFloatLE(value, pieces.writeUInt8(0x0d, 5 * at)));
    const { vector } = QUERY.decode(pieces);
    expect(vector.buffer.byteLength).toBe(sent.byteLength);
    expect(Buffer.from(vector.buffer).equals(Buffer.from(sent.buffer))).toBe(true);
  });

  test("any bytes are a message or an ApiError that says what is wrong", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(), (bytes, cut) => {
        const whole = Buffer.concat([
          Buffer.from([0x0a, 1, 0x61, 0x12, 6, 0x0a, 2, 0x08, 7, 0x12, 0]),
          bytes,
        ]);
        for (const message of [Buffer.from(bytes), whole.subarray(0, cut % (whole.length + 1))]) {
          try {
            UPSERT.decode(message);
          } catch (error) {
            expect(error).toMatchObject({
              name: "ApiError",
              message: expect.stringMatching(/^Wrong input: /) as string,
            });
          }
        }
      }),
      { seed: 7, numRuns: 2_000 },
    );
  });
});
