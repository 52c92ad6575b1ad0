import { describe, expect, test } from "vitest";
import { SHARDS_BOUND } from "../../src/catalog/shapes.ts";
import { ReadQueues } from "../../src/cluster/read-queues.ts";

/** Ids of the groups of a collection's shards. */
const groups = (collection: number, shards = 1): readonly { readonly group: number }[] =>
  Array.from({ length: shards }, (_, shard) => ({ group: collection * SHARDS_BOUND + shard }));
const groupOf = (collection: number): number => collection * SHARDS_BOUND;

const queues = (): ReadQueues =>
  new ReadQueues({ max: 4, overloaded: 1 }, { nowMs: () => 0, look: () => undefined });

/** Calls that are answered when told to. */
class Held {
  readonly #ends: (() => void)[] = [];
  readonly #calls: Promise<void>[] = [];
  add(begin: (call: () => Promise<void>) => Promise<void>): void {
    this.#calls.push(begin(() => new Promise((resolve) => this.#ends.push(resolve))));
  }
  async release(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    await Promise.all(this.#calls.splice(0));
  }
}

describe("reads are refused where they would wait", () => {
  test("collections of the same engine thread share its queue, those of another one do not", async () => {
    const reads = queues();
    const held = new Held();
    for (let call = 0; call < 3; call++) held.add((end) => reads.here(groupOf(1), 0, end));
    held.add((end) => reads.here(groupOf(2), 0, end));
    held.add((end) => reads.here(groupOf(3), 1, end));
    expect([1, 2, 3, 4].map((collection) => reads.refuses(groups(collection)))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(
      [...reads.threads()].map(([thread, { waiting, overloaded }]) => [thread, waiting, overloaded]),
    ).toEqual([
      [0, 4, true],
      [1, 1, false],
    ]);
    await held.release();
    expect([1, 2].map((collection) => reads.refuses(groups(collection)))).toEqual([false, false]);
  });

  test("a search of all shards of a thread is one read, not as many as it has shards", async () => {
    const reads = queues();
    const held = new Held();
    const search = (): void => {
      for (const { group } of groups(1, 6)) held.add((end) => reads.here(group, group % 2, end));
    };
    search();
    await held.release();
    for (let client = 0; client < 3; client++) search();
    expect(reads.refuses(groups(1, 6))).toBe(false);
    expect([...reads.threads()].map(([, { waiting }]) => Math.round(waiting * 1e6) / 1e6)).toEqual([3, 3]);
    search();
    expect(reads.refuses(groups(1, 6))).toBe(true);
    await held.release();
  });

  test("shards that another node answers for have a queue each, where they were asked last", async () => {
    const reads = queues();
    const held = new Held();
    for (const collection of [1, 2]) await reads.there(groupOf(collection), 2, () => Promise.resolve());
    for (let call = 0; call < 4; call++) held.add((end) => reads.there(groupOf(1), 2, end));
    held.add((end) => reads.there(groupOf(2), 2, end));
    expect([1, 2].map((collection) => reads.refuses(groups(collection)))).toEqual([true, false]);
    // Another node leads it by now: what still waits at the old one is no reason to refuse.
    held.add((end) => reads.there(groupOf(1), 3, end));
    expect(reads.refuses(groups(1))).toBe(false);
    held.add((end) => reads.here(groupOf(1), 0, end));
    expect(reads.refuses(groups(1))).toBe(false);
    await held.release();
  });

  test("a node that answers nothing is not overloaded: whoever waits for it goes on waiting", async () => {
    let nowMs = 0;
    const reads = new ReadQueues({ max: 4, overloaded: 1 }, { nowMs: () => nowMs, look: () => undefined });
    const held = new Held();
    await reads.there(groupOf(1), 2, () => Promise.resolve());
    for (let call = 0; call < 5; call++) held.add((end) => reads.there(groupOf(1), 2, end));
    const refused = [99, 100, 10_000].map((at) => {
      nowMs = at;
      return reads.refuses(groups(1));
    });
    expect(refused).toEqual([true, false, false]);
    await expect(reads.there(groupOf(1), 2, () => Promise.reject(new Error("cut off")))).rejects.toThrow();
    expect(reads.refuses(groups(1))).toBe(false);
    await reads.there(groupOf(1), 2, () => Promise.resolve());
    expect(reads.refuses(groups(1))).toBe(true);
    await held.release();
  });

  test("a refusal makes room for what was answered in the same turn", async () => {
    const held = new Held();
    const looked: Promise<void>[] = [];
    const look = (thread: number): void => {
      if (thread === 5) looked.push(held.release());
    };
    const reads = new ReadQueues({ max: 4, overloaded: 1 }, { nowMs: () => 0, look });
    for (let call = 0; call < 4; call++) held.add((end) => reads.here(groupOf(1), 5, end));
    expect([reads.refuses(groups(1)), looked.length]).toEqual([true, 1]);
    await Promise.all(looked);
    expect(reads.refuses(groups(1))).toBe(false);
  });

  test("a call that fails waits no longer", async () => {
    const reads = queues();
    const fails = reads.here(groupOf(1), 0, () => Promise.reject(new Error("gone")));
    expect([...reads.threads()].map(([, { waiting }]) => waiting)).toEqual([1]);
    await expect(fails).rejects.toThrow("gone");
    expect([...reads.threads()].map(([, { waiting }]) => waiting)).toEqual([0]);
  });

  test("a collection that is no more is forgotten; its calls still count for the thread", async () => {
    const reads = queues();
    const held = new Held();
    for (let call = 0; call < 4; call++) held.add((end) => reads.here(groupOf(1), 0, end));
    await Promise.all([reads.here(groupOf(2), 0, () => Promise.resolve())]);
    reads.retain([groupOf(2)]);
    expect([1, 2].map((collection) => reads.refuses(groups(collection)))).toEqual([false, true]);
    await held.release();
  });
});
