import { expect, test } from "vitest";
import { LogIndex, Term } from "../../shards/index.ts";
import type { ApplyOp } from "../../shards/index.ts";
import { EngineApplyOp } from "../../src/engine/apply-op.ts";
import { entry, openEngine, temporaryDirectory, upsert } from "./support.ts";

const committed = (index: number) => ({
  ...entry(index, upsert([index, [index, 0, 0, 0, 0, 0]])),
  index: LogIndex(index),
  term: Term(1),
});

test("across the seam: applied when it resolves, durable after a checkpoint, carried by a copy", async () => {
  using one = temporaryDirectory();
  using two = temporaryDirectory();
  await using engine = await openEngine(one.path);
  await using other = await openEngine(two.path);
  const machine: ApplyOp = new EngineApplyOp(engine);
  const replica: ApplyOp = new EngineApplyOp(other);
  const noop = { index: LogIndex(2), term: Term(2), data: new Uint8Array(0) };
  expect(await machine.apply([committed(1), noop, committed(3)])).toEqual([
    { kind: "applied", version: 1, touched: 1, duplicate: false },
    null,
    { kind: "applied", version: 3, touched: 1, duplicate: false },
  ]);
  expect([await machine.appliedIndex(), await machine.durableIndex()]).toEqual([3, 0]);
  expect(await machine.checkpoint()).toBe(3);
  expect(await machine.durableIndex()).toBe(3);
  await using copy = await machine.capture();
  await replica.restore(copy);
  expect([await replica.appliedIndex(), await replica.durableIndex()]).toEqual([3, 3]);
  expect(other.stats().stateHash).toBe(engine.stats().stateHash);
});

test("replicas mark the same hashes at the same indexes, however their entries were cut into calls", async () => {
  using one = temporaryDirectory();
  using two = temporaryDirectory();
  await using engine = await openEngine(one.path);
  await using other = await openEngine(two.path);
  const entries = Array.from({ length: 600 }, (_, at) => committed(at + 1));
  await new EngineApplyOp(engine).apply(entries);
  for (let at = 0; at < entries.length; at += 70) {
    await new EngineApplyOp(other).apply(entries.slice(at, at + 70));
  }
  const { hashMarks } = engine.stats();
  expect(hashMarks.map(({ index }) => index)).toEqual([256, 512]);
  expect(new Set(hashMarks.map(({ stateHash }) => stateHash)).size).toBe(2);
  expect(other.stats().hashMarks).toEqual(hashMarks);
});

test("an entry that was prepared in pieces before its turn has the same effect as one that was not", async () => {
  using one = temporaryDirectory();
  using two = temporaryDirectory();
  await using calm = await openEngine(one.path);
  await using busy = await openEngine(two.path);
  const query = { vector: new Float32Array(6), limit: 1, offset: 0, ef: null, exact: false };
  const shape = { scoreThreshold: null, withPayload: { kind: "none" }, withVector: false } as const;
  const ids = Array.from({ length: 200 }, (_, at) => at);
  for (let index = 1; index <= 20; index++) {
    const many = {
      ...entry(index, ...ids.map((id) => upsert([id, [index, id, 0, 0, 0, 1]]))),
      index: LogIndex(index),
      term: Term(1),
    };
    await new EngineApplyOp(calm).apply([many]);
    // A search just before: the next entry is prepared in slices.
    await busy.search([{ ...query, ...shape }]);
    await new EngineApplyOp(busy).apply([many]);
  }
  expect(busy.stats().stateHash).toBe(calm.stats().stateHash);
  expect(busy.recomputeStateHash()).toBe(busy.stats().stateHash);
});
