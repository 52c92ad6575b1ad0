/** Values that the engine's tests draw. */
import fc from "fast-check";
import type { JsonValue, Payload, PointId, PointWrite, WriteOp } from "../../src/engine/types.ts";

/** Printed by fast-check when a property fails; change it to look elsewhere. */
export const SEED = 20_260;

export const anyText = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: "grapheme", minLength: 1, maxLength });

export const anyId: fc.Arbitrary<PointId> = fc.oneof(fc.maxSafeNat(), anyText(12));

const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
    anyText(8),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(anyText(4), tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
}));

export const anyPayload: fc.Arbitrary<Payload> = fc.dictionary(anyText(6), value, {
  maxKeys: 4,
  noNullPrototype: true,
});

export const anyVector = (dimension: number): fc.Arbitrary<Float32Array> =>
  fc
    .array(fc.integer({ min: -4, max: 4 }), { minLength: dimension, maxLength: dimension })
    .map((values) => Float32Array.from(values, (n) => n / 2));

export function anyOperation(dimension: number, id: fc.Arbitrary<PointId> = anyId): fc.Arbitrary<WriteOp> {
  const ids = fc.array(id, { minLength: 1, maxLength: 4 });
  const vector = anyVector(dimension);
  const point: fc.Arbitrary<PointWrite> = fc.record({
    id,
    vector,
    payload: fc.option(anyPayload, { nil: null }),
  });
  const payload = anyPayload;
  return fc.oneof(
    fc.record({ kind: fc.constant("upsert" as const), points: fc.array(point, { maxLength: 5 }) }),
    fc.record({
      kind: fc.constant("updateVectors" as const),
      points: fc.array(fc.record({ id, vector }), { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant("delete" as const), ids }),
    fc.record(
      { kind: fc.constant("setPayload" as const), ids, payload, key: fc.constantFrom("a", "a.b") },
      { requiredKeys: ["kind", "ids", "payload"] },
    ),
    fc.record({ kind: fc.constant("overwritePayload" as const), ids, payload }),
    fc.record({
      kind: fc.constant("deletePayload" as const),
      ids,
      keys: fc.array(anyText(4), { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant("clearPayload" as const), ids }),
  );
}
