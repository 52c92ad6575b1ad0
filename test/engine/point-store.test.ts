import fc from "fast-check";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compareIds } from "../../src/engine/order.ts";
import { PointStore } from "../../src/engine/point-store.ts";
import { StateHash, pointDigest, vectorDigest } from "../../src/engine/state-hash.ts";
import type { PointId } from "../../src/engine/types.ts";
import { SEED, SPEC, anyId, temporaryDirectory } from "./support.ts";

function openStore(directory: string): PointStore & Disposable {
  const store = PointStore.open({
    file: join(directory, "points.sqlite"),
    spec: SPEC,
    cacheBytes: 1 << 20,
    walBytes: 1 << 20,
  });
  return Object.assign(store, { [Symbol.dispose]: () => store.close() });
}

function put(store: PointStore, label: number, id: PointId): void {
  const vector = new Float32Array(SPEC.dimension).fill(label % 1_000);
  const ofVector = vectorDigest(vector);
  const point = { id, version: 1, payload: null };
  store.insert({ ...point, label, vectorDigest: ofVector, digest: pointDigest(point, ofVector) }, vector);
}

test("labels are renumbered from 0 in their order before they reach 2^32; vectors stay with their points", () => {
  using directory = temporaryDirectory();
  using store = openStore(directory.path);
  const labels = [3, 7, 4_000_000_000, 4_294_967_295];
  store.write(() => {
    labels.forEach((label, at) => put(store, label, at + 1));
    store.setState({ applied: 9, nextLabel: 2 ** 32, points: labels.length, hash: new StateHash() });
  });
  store.renumber();
  expect(store.state()).toMatchObject({ applied: 9, nextLabel: 4, points: 4 });
  labels.forEach((label, at) => {
    expect(store.find(at + 1)?.label).toBe(at);
    expect(store.vector(at)?.[0]).toBe(label % 1_000);
  });
  expect(store.vectorsAfter(-1, 10).map((row) => row.label)).toEqual([0, 1, 2, 3]);
});

test("SQLite's order of ids is the engine's", () => {
  fc.assert(
    fc.property(fc.uniqueArray(anyId, { maxLength: 30 }), (ids) => {
      using directory = temporaryDirectory();
      using store = openStore(directory.path);
      store.write(() => ids.forEach((id, label) => put(store, label, id)));
      expect(store.pointsFrom(null, 100).map((row) => row.id)).toEqual([...ids].sort(compareIds));
      for (const id of ids) expect(store.find(id)?.id).toBe(id);
    }),
    { seed: SEED, numRuns: 15 },
  );
});

test("the number 1 and the string 1 are two points", () => {
  using directory = temporaryDirectory();
  using store = openStore(directory.path);
  store.write(() => [1, "1"].forEach((id, label) => put(store, label, id)));
  expect([store.find(1)?.label, store.find("1")?.label]).toEqual([0, 1]);
});

test("the state hash does not depend on order, and what is taken away leaves no trace", () => {
  const digests = ["a", "b", "c"].map((id) =>
    pointDigest({ id, version: 1, payload: null }, vectorDigest(Float32Array.of(1))),
  );
  const forth = new StateHash();
  const back = new StateHash();
  digests.forEach((digest) => forth.add(digest));
  digests.toReversed().forEach((digest) => back.add(digest));
  expect(forth.toString()).toBe(back.toString());
  digests.forEach((digest) => forth.subtract(digest));
  expect(forth.toString()).toBe("0".repeat(32));
});

test("the hash of a point tells id, type of id, version, payload and vector apart", () => {
  const vector = vectorDigest(Float32Array.of(1));
  const point = { id: 1, version: 1, payload: null };
  const digests = [
    pointDigest(point, vector),
    pointDigest({ ...point, id: "1" }, vector),
    pointDigest({ ...point, version: 2 }, vector),
    pointDigest({ ...point, payload: "{}" }, vector),
    pointDigest(point, vectorDigest(Float32Array.of(2))),
  ];
  expect(new Set(digests.map((digest) => digest.toString("hex"))).size).toBe(digests.length);
});

test("what is written is seen at once; without a commit a crash takes it back, as a whole", () => {
  using directory = temporaryDirectory();
  const state = { nextLabel: 1, points: 1, hash: new StateHash() };
  const written = (label: number, applied: number, store: PointStore): void =>
    store.write(() => {
      put(store, label, label);
      store.setState({ ...state, applied });
    });
  {
    using store = openStore(directory.path);
    written(1, 1, store);
    store.commit();
    written(2, 2, store);
    written(3, 3, store);
    expect(store.state().applied).toBe(3);
    expect(store.find(3)?.label).toBe(3);
    // Closing commits nothing: to the file it is what a crash is.
  }
  using store = openStore(directory.path);
  expect(store.state().applied).toBe(1);
  expect(store.pointsFrom(null, 10).map(({ id }) => id)).toEqual([1]);
});

test("a write that throws takes everything since the last commit with it, and nothing follows it", () => {
  using directory = temporaryDirectory();
  using store = openStore(directory.path);
  store.write(() => put(store, 1, "a"));
  store.commit();
  store.write(() => put(store, 2, "b"));
  expect(() =>
    store.write(() => {
      put(store, 3, "c");
      throw new Error("half way");
    }),
  ).toThrow("half way");
  expect(store.pointsFrom(null, 10).map(({ id }) => id)).toEqual(["a"]);
  // What follows would follow what is no longer there.
  expect(() => store.write(() => put(store, 4, "d"))).toThrow("half way");
  expect(() => store.commit()).toThrow("half way");
});

test("a copy is made while writes go on, and holds what was written before it began", async () => {
  using directory = temporaryDirectory();
  const into = join(directory.path, "copy");
  using store = openStore(directory.path);
  for (let label = 0; label < 400; label++) store.write(() => put(store, label, label));
  let steps = 0;
  await store.copyTo(into, () => {
    if (steps++ < 5) store.write(() => put(store, 1_000 + steps, 1_000 + steps));
    return 1;
  });
  expect(steps).toBeGreaterThan(5);
  store.write(() => put(store, 2_000, 2_000));
  using copy = Object.assign(
    PointStore.open({ file: into, spec: SPEC, cacheBytes: 1 << 20, walBytes: 1 << 20 }),
    { [Symbol.dispose]: () => copy.close() },
  );
  const ids = copy.pointsFrom(null, 1_000).map(({ id }) => id);
  expect(ids.length).toBe(405);
  expect(ids).not.toContain(2_000);
});

test("each point is visited once, in order of labels, however many there are; others get the thread in between", async () => {
  using directory = temporaryDirectory();
  using store = openStore(directory.path);
  for (const count of [0, 1, 1_999, 2_000, 4_001]) {
    store.write(() => {
      for (let label = store.pointsFrom(null, 10_000).length; label < count; label++)
        put(store, label, `${label}`);
    });
    const seen: [number, PointId, number][] = [];
    let turns = 0;
    await store.each(
      (label, id, version) => seen.push([label, id, version]),
      async () => void turns++,
    );
    expect(turns).toBe(Math.floor(count / 2_000));
    expect(seen).toEqual(Array.from({ length: count }, (_, label) => [label, `${label}`, 1]));
  }
});
