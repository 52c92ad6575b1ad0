/** Values that the engine's tests draw. */
import fc from "fast-check";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mergePayload, withoutKey } from "../../src/engine/json.ts";
import { encodeEntry } from "../../src/engine/ops-codec.ts";
import type { EngineOptions } from "../../src/engine/options.ts";
import { SYSTEM_CLOCK, TurnScheduler } from "../../src/engine/scheduler.ts";
import { ShardEngine } from "../../src/engine/shard-engine.ts";
import type { EngineEntry, OpenShard } from "../../src/engine/surface.ts";
import type {
  Distance,
  JsonValue,
  Payload,
  PointId,
  PointWrite,
  SearchQuery,
  VectorSpec,
  WriteOp,
} from "../../src/engine/types.ts";

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

export const FAST_OPTIONS: Partial<EngineOptions> = {
  tailPointsMax: 12,
  rebuildMin: 4,
  saveChangesMin: 10,
  saveIdleMs: 1,
};

export const SPEC: VectorSpec = { dimension: 6, distance: "Euclid", m: 8, efConstruct: 64 };

/** A directory that is gone when the test is over. */
export function temporaryDirectory(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "flotilla-engine-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export function openEngine(
  directory: string,
  more: Partial<Omit<OpenShard, "directory">> = {},
): Promise<ShardEngine> {
  return ShardEngine.open({
    directory,
    spec: SPEC,
    scheduler: new TurnScheduler(),
    clock: SYSTEM_CLOCK,
    ...more,
  });
}

let sequence = 0;

/** An entry of a log; each has a sequence of its own. */
export function entry(index: number, ...operations: WriteOp[]): EngineEntry {
  return { index, data: encodeEntry({ origin: "test", sequence: ++sequence, operations }) };
}

export function upsert(...points: readonly (readonly [PointId, readonly number[], Payload?])[]): WriteOp {
  return {
    kind: "upsert",
    points: points.map(([id, vector, payload]) => ({
      id,
      vector: Float32Array.from(vector),
      payload: payload ?? null,
    })),
  };
}

export function query(
  vector: readonly number[] | Float32Array,
  more: Partial<SearchQuery> = {},
): SearchQuery {
  return {
    vector: Float32Array.from(vector),
    limit: 10,
    offset: 0,
    ef: null,
    exact: false,
    scoreThreshold: null,
    withPayload: { kind: "none" },
    withVector: false,
    ...more,
  };
}

/** What a shard holds, by the obvious means: a map and loops in doubles. */
export class ModelShard {
  readonly points = new Map<PointId, { version: number; vector: Float32Array; payload: Payload | null }>();

  apply(index: number, operations: readonly WriteOp[]): boolean {
    const before = new Map(this.points);
    for (const operation of operations)
      if (!this.#operation(index, operation)) {
        this.points.clear();
        for (const [id, point] of before) this.points.set(id, point);
        return false;
      }
    return true;
  }

  #operation(version: number, op: WriteOp): boolean {
    switch (op.kind) {
      case "upsert":
        for (const { id, vector, payload } of op.points) this.points.set(id, { version, vector, payload });
        return true;
      case "updateVectors":
        for (const { id, vector } of op.points) {
          const old = this.points.get(id);
          if (old === undefined) return false;
          this.points.set(id, { version, vector, payload: old.payload });
        }
        return true;
      case "delete":
        for (const id of op.ids) this.points.delete(id);
        return true;
      default:
        for (const id of op.ids) {
          const old = this.points.get(id);
          if (old !== undefined) this.points.set(id, { ...old, version, payload: changed(old.payload, op) });
        }
        return true;
    }
  }

  scores(of: Float32Array, distance: Distance): Map<PointId, number> {
    return new Map([...this.points].map(([id, { vector }]) => [id, plainScore(of, vector, distance)]));
  }
}

function changed(old: Payload | null, op: WriteOp): Payload | null {
  switch (op.kind) {
    case "setPayload":
      return mergePayload(old ?? {}, op.payload, op.key);
    case "overwritePayload":
      return op.payload;
    case "deletePayload":
      return old && op.keys.reduce(withoutKey, old);
    default:
      return null;
  }
}

export function plainScore(a: Float32Array, b: Float32Array, distance: Distance): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  let squares = 0;
  a.forEach((x, at) => {
    const y = b[at] ?? NaN;
    dot += x * y;
    aa += x * x;
    bb += y * y;
    squares += (x - y) ** 2;
  });
  if (distance === "Euclid") return Math.sqrt(squares);
  if (distance === "Dot") return dot;
  return aa === 0 || bb === 0 ? 0 : dot / Math.sqrt(aa * bb);
}
