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
  store.transaction(() => {
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
      store.transaction(() => ids.forEach((id, label) => put(store, label, id)));
      expect(store.pointsFrom(null, 100).map((row) => row.id)).toEqual([...ids].sort(compareIds));
      for (const id of ids) expect(store.find(id)?.id).toBe(id);
    }),
    { seed: SEED, numRuns: 15 },
  );
});

test("the number 1 and the string 1 are two points", () => {
  using directory = temporaryDirectory();
  using store = openStore(directory.path);
  store.transaction(() => [1, "1"].forEach((id, label) => put(store, label, id)));
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
