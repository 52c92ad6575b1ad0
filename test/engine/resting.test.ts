import { copyFileSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { EngineError } from "../../src/engine/errors.ts";
import { PointStore } from "../../src/engine/point-store.ts";
import { Resting } from "../../src/engine/resting.ts";
import { ENGINE_DEFAULTS } from "../../src/engine/options.ts";
import { TurnScheduler, type EngineClock } from "../../src/engine/scheduler.ts";
import { StateHash } from "../../src/engine/state-hash.ts";
import { ExactTail } from "../../src/engine/tail.ts";
import { SPEC, entry, openEngine, query, temporaryDirectory, upsert } from "./support.ts";

const ALL = { withPayload: { kind: "all" }, withVector: true } as const;
const at = (x: number): number[] => [x, 0, 0, 0, 0, 0];

/** Timers that fire when told to. */
class ManualClock implements EngineClock {
  readonly #timers = new Map<object, () => void>();
  nowMs(): number {
    return 0;
  }
  after(ms: number, callback: () => void): () => void {
    if (ms !== ENGINE_DEFAULTS.restAfterMs) return () => undefined;
    const key = {};
    this.#timers.set(key, callback);
    return () => this.#timers.delete(key);
  }
  get waiting(): number {
    return this.#timers.size;
  }
  /** Fires what is due, and lets the turns that it asked for come. */
  async pass(): Promise<void> {
    const due = [...this.#timers.values()];
    this.#timers.clear();
    for (const callback of due) callback();
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
  }
}

test("a shard nobody uses holds no file open, and is as it was for who comes next", async () => {
  using directory = temporaryDirectory();
  const clock = new ManualClock();
  const isOpen = (): boolean => existsSync(join(directory.path, "data-1/points.sqlite-wal"));
  await using engine = await openEngine(directory.path, { clock });
  expect(isOpen()).toBe(false);
  expect(clock.waiting).toBe(0);

  await engine.applyEntries([entry(1, upsert([1, at(1), { a: 1 }], ["x", at(2)]))]);
  await engine.idle();
  expect(isOpen()).toBe(true);
  const before = engine.retrieve([1, "x"], ALL);
  await clock.pass();
  expect(isOpen()).toBe(true);
  await clock.pass();
  expect(isOpen()).toBe(false);
  expect(clock.waiting).toBe(0);

  expect(engine.stats()).toMatchObject({ points: 2, indexed: 2, appliedIndex: 1 });
  expect(isOpen()).toBe(false);
  expect(await engine.checkpoint()).toBe(1);
  expect(isOpen()).toBe(false);
  expect(engine.retrieve([1, "x"], ALL)).toEqual(before);
  expect(isOpen()).toBe(true);
  const [hits] = await engine.search([query(at(1))]);
  expect(hits?.map(({ id }) => id)).toEqual([1, "x"]);
  await clock.pass();
  await clock.pass();
  await engine.applyEntries([entry(2, { kind: "delete", ids: ["x"] })]);
  expect(engine.recomputeStateHash()).toBe(engine.stats().stateHash);
  expect(engine.scroll(null, 10, ALL).points.map(({ id }) => id)).toEqual([1]);
});

test("entries without content do not wake a shard, and are in its file when that is asked for", async () => {
  using directory = temporaryDirectory();
  using to = temporaryDirectory();
  const clock = new ManualClock();
  const empty = (index: number) => ({ index, data: new Uint8Array() });
  const isOpen = (): boolean => existsSync(join(directory.path, "data-1/points.sqlite-wal"));
  {
    await using engine = await openEngine(directory.path, { clock });
    expect(await engine.applyEntries([1, 2, 3].map(empty))).toEqual([null, null, null]);
    expect([engine.appliedIndex(), isOpen()]).toEqual([3, false]);
    expect(await engine.checkpoint()).toBe(3);
    for (let passes = 0; passes < 2; passes++) await clock.pass();
    expect(appliedIn(directory.path)).toBe(3);

    await engine.applyEntries([4, 5].map(empty));
    await using snapshot = await engine.capture();
    expect(snapshot.index).toBe(5);
    await using target = await openEngine(to.path, { clock });
    await target.restore(snapshot);
    expect(target.appliedIndex()).toBe(5);

    await engine.applyEntries([empty(6), entry(7, upsert([1, at(1)])), empty(8)]);
    await engine.applyEntries([empty(9)]);
    expect(engine.stats().stateHash).toBe(engine.recomputeStateHash());
  }
  await using again = await openEngine(directory.path, { clock });
  expect(again.appliedIndex()).toBe(9);
  expect(await again.applyEntries([9, 10].map(empty))).toEqual([null, null]);
  expect(again.appliedIndex()).toBe(10);
});

test("a shard at rest is captured and restored like any other", async () => {
  using from = temporaryDirectory();
  using to = temporaryDirectory();
  const clock = new ManualClock();
  await using source = await openEngine(from.path, { clock });
  await source.applyEntries([entry(1, upsert([1, at(1)], [2, at(2)]))]);
  await source.idle();
  for (let passes = 0; passes < 2; passes++) await clock.pass();
  await using snapshot = await source.capture();
  await using target = await openEngine(to.path, { clock });
  await target.restore(snapshot);
  expect(target.stats().stateHash).toBe(source.stats().stateHash);
  for (let passes = 0; passes < 2; passes++) await clock.pass();
  expect(target.recomputeStateHash()).toBe(source.stats().stateHash);
});

function openStore(directory: string): PointStore & Disposable {
  const file = join(directory, "points.sqlite");
  const store = PointStore.open({ file, spec: SPEC, cacheBytes: 1 << 20, walBytes: 1 << 20 });
  return Object.assign(store, { [Symbol.dispose]: () => store.close() });
}

function appliedIn(directory: string): number {
  using store = openStore(join(directory, "data-1"));
  return store.state().applied;
}

const write = (store: PointStore, applied: number): void =>
  store.write(() => store.setState({ applied, nextLabel: 0, points: 0, hash: new StateHash() }));

test("a store at rest has everything in its file; rest comes only after a while without use", () => {
  using directory = temporaryDirectory();
  using store = openStore(directory.path);
  write(store, 7);
  expect(store.rest()).toBe(false);
  expect(store.isResting).toBe(false);
  expect(store.rest()).toBe(true);
  expect(store.isResting).toBe(true);
  const copy = join(directory.path, "copy.sqlite");
  copyFileSync(store.file, copy);
  const other = PointStore.open({ file: copy, spec: SPEC, cacheBytes: 1 << 20, walBytes: 1 << 20 });
  expect(other.state().applied).toBe(7);
  other.close();

  let woken = 0;
  store.onWake = () => woken++;
  write(store, 8);
  write(store, 9);
  expect(woken).toBe(1);
  expect(store.state().applied).toBe(9);
});

test("a store that is being copied does not rest", async () => {
  using directory = temporaryDirectory();
  using store = openStore(directory.path);
  write(store, 7);
  store.rest();
  const copying = store.copyTo(join(directory.path, "copy.sqlite"), () => 1);
  expect([store.rest(), store.rest()]).toEqual([false, false]);
  await copying;
  expect(store.rest()).toBe(true);
});

test("a file that is gone after a rest is an error, not an empty shard; a closed store stays closed", () => {
  using directory = temporaryDirectory();
  using store = openStore(directory.path);
  store.rest();
  expect(store.rest()).toBe(true);
  rmSync(store.file);
  expect(() => store.state()).toThrow(/points\.sqlite/);
  expect(existsSync(store.file)).toBe(false);
  store.close();
  expect(() => store.state()).toThrow(/closed/);
});

test("a full disk puts the rest off; any other fault of the close is reported, and ends the resting", async () => {
  const clock = new ManualClock();
  const failures: Error[] = [];
  let fault: Error | null = null;
  let rests = 0;
  const resting = new Resting(
    {
      clock,
      options: ENGINE_DEFAULTS,
      scheduler: new TurnScheduler(),
      tail: new ExactTail(SPEC),
      store: {
        onWake: () => undefined,
        rest: () => {
          rests++;
          if (fault !== null) throw fault;
          return false;
        },
      },
    },
    { searcher: { rest: () => undefined }, failed: (error) => failures.push(error) },
  );
  fault = new EngineError("STORE_FULL", "full");
  await clock.pass();
  expect([clock.waiting, failures.length]).toEqual([1, 0]);
  fault = new EngineError("STORE_IO", "torn");
  await clock.pass();
  expect([clock.waiting, failures]).toEqual([0, [fault]]);
  const before = rests;
  await clock.pass();
  expect(rests).toBe(before);
  resting.stop();
});
