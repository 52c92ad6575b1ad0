/** Whatever a message says, the answer is a status of the table: never a defect, never a hang. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ERRORS } from "../../src/api/errors.ts";
import { limits } from "../../src/api/limits.ts";
import { methods } from "../../src/grpc/methods.ts";
import type { Message } from "../../src/grpc/wire/message.ts";
import { Writer } from "../../src/grpc/wire/writer.ts";
import { ended, startGrpc, type Grpc } from "../support/grpc.ts";

const table = methods(limits());
const STATUSES = new Set(["OK", ...Object.values(ERRORS).map(({ grpc }) => grpc)]);

let grpc: Grpc;
beforeAll(async () => {
  grpc = await startGrpc({ deadlines: { deadlineMs: 2_000, deadlineMaxMs: 2_000 } });
  await grpc.call("Collections/Create", { collection: "c", dimension: 2, distance: "DISTANCE_DOT" });
  await grpc.call("Points/Upsert", { collection: "c", points: [{ id: { num: 1 }, vector: [1, 2] }] });
});
afterAll(() => grpc[Symbol.asyncDispose]());

type Write = (writer: Writer) => void;

const VARINT = 0;
const BYTES = 2;
const FIXED32 = 5;

const whole = fc.oneof(fc.nat(3), fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 60));
const words = fc.oneof(
  fc.constantFrom("c", "", "x", "__proto__", "a.b", "a[0]", '{"a":1}', "{", "[1]", "null", '{"__proto__":1}'),
  fc.string({ unit: "binary", maxLength: 20 }),
);

/** Fields that fit, nearly fit, or do not; each absent, once or several times. */
function fieldsOf(message: Message<unknown>, depth = 0): fc.Arbitrary<readonly Write[]> {
  const fields = message.fields.map(({ name, number, type, holds }) =>
    fc.array(valueOf(name, type, holds, depth), { maxLength: depth > 2 ? 1 : 2 }).map((values) =>
      values.map(([wireType, write]): Write => (writer) => {
        writer.varint(number * 8 + wireType);
        write(writer);
      }),
    ),
  );
  return fc.tuple(...fields).map((all) => all.flat());
}

function valueOf(
  name: string,
  type: string,
  holds: unknown,
  depth: number,
): fc.Arbitrary<readonly [wireType: number, write: Write]> {
  if (typeof holds === "object" && holds !== null && "fields" in holds)
    return fieldsOf(holds as Message<unknown>, depth + 1).map((writes) => [
      BYTES,
      (writer) => writer.nested(() => writes.forEach((write) => write(writer))),
    ]);
  if (name === "collection") return fc.constant([BYTES, (writer) => writer.text("c")]);
  if (type.endsWith("string")) return words.map((text) => [BYTES, (writer) => writer.text(text)]);
  if (type === "repeated float")
    return fc
      .array(fc.float(), { minLength: 2, maxLength: 3 })
      .map((values) => [BYTES, (writer) => writer.floats(Float32Array.from(values))]);
  if (type.endsWith("float")) return fc.float().map((value) => [FIXED32, (writer) => writer.float(value)]);
  return whole.map((value) => [VARINT, (writer) => writer.varint(value)]);
}

const messageOf = (message: Message<unknown>): fc.Arbitrary<Buffer> =>
  fieldsOf(message).map((writes) => {
    const writer = new Writer();
    for (const write of writes) write(writer);
    return writer.finish();
  });

// What drops the collection is left out, so that the other methods get further.
const unary = table.filter(({ streams, path }) => !streams && !path.endsWith("Collections/Delete"));

test.each(unary.map((method) => [method.path, method] as const))("%s", async (path, { request }) => {
  await fc.assert(
    fc.asyncProperty(messageOf(request), async (bytes) => {
      expect(STATUSES).toContain((await grpc.client.raw(path, bytes)).code);
    }),
    { seed: 11, numRuns: 60 },
  );
  expect(grpc.defects).toEqual([]);
});

test("messages cut or changed at any byte", async () => {
  for (const path of ["Points/Upsert", "Points/Search", "Points/Batch", "Points/Scroll"]) {
    const { request } = table.find((method) => method.path.endsWith(path)) ?? { request: null };
    if (request === null) throw new Error(path);
    await fc.assert(
      fc.asyncProperty(messageOf(request), fc.nat(), fc.nat(255), async (whole, at, byte) => {
        const changed = Buffer.from(whole);
        if (changed.length > 0) changed[at % changed.length] = byte;
        for (const bytes of [changed, whole.subarray(0, at % (whole.length + 1))])
          expect(STATUSES).toContain((await grpc.client.raw(path, bytes)).code);
      }),
      { seed: 13, numRuns: 100 },
    );
  }
  expect(grpc.defects).toEqual([]);
});

test("a stream of anything ends with a status", async () => {
  const { request } = table.find(({ streams }) => streams) ?? { request: null };
  if (request === null) throw new Error("no method streams");
  await fc.assert(
    fc.asyncProperty(fc.array(messageOf(request), { maxLength: 4 }), async (messages) => {
      const stream = grpc.client.rawStream("Points/UpsertStream").resume();
      const end = ended(stream);
      for (const bytes of messages) stream.write(bytes);
      stream.end();
      expect(STATUSES).toContain((await end).code);
    }),
    { seed: 17, numRuns: 60 },
  );
  expect(grpc.defects).toEqual([]);
});
