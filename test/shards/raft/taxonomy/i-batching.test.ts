/** I: batches, and the limits they are cut at. */
import { describe, expect, test } from "vitest";
import { bytes, cluster, type TestOptions } from "../support/cluster.ts";
import { ENTRY_OVERHEAD_BYTES } from "../../../../shards/raft/sizes.ts";
import { LogIndex } from "../../../../shards/raft/types.ts";

const block = (size: number): Uint8Array => new Uint8Array(size).fill(7);

test("one command goes at once", () => {
  const group = cluster(3).elect(1);
  group.core(1).propose([bytes("x")]);
  expect(group.core(1).ready().send).toHaveLength(2);
});

test("several payloads are one proposal: contiguous, in one append per peer", () => {
  const group = cluster(3).elect(1);
  expect(group.core(1).propose(["a", "b", "c"].map(bytes))).toMatchObject({ first: 2 });
  const [append] = group.core(1).ready().send;
  expect(append).toMatchObject({ kind: "append", entries: [{ index: 2 }, { index: 3 }, { index: 4 }] });
});

test("a burst is cut at the size of a message; a larger entry goes alone", () => {
  const group = cluster(3, { maxMessageBytes: 1000 }).elect(1);
  group.core(1).propose([block(300), block(300), block(300), block(3000), block(10)]);
  group.settle();
  const sizes = group.delivered
    .filter((each) => each.to === 2)
    .flatMap((each) =>
      each.kind === "append" && each.entries.length > 0 ? [each.entries.map((one) => one.data.length)] : [],
    );
  expect(sizes).toEqual([[0], [300, 300, 300], [3000], [10]]);
});

test("an empty flush is nothing", () => {
  const group = cluster(3).elect(1);
  expect(group.core(1).ready()).toEqual({
    send: [],
    persist: null,
    thenSend: [],
    thenApply: [],
    reads: [],
    events: [],
  });
});

test("reads and writes mix: each read sees what was committed when it was confirmed", () => {
  const group = cluster(3).elect(1);
  for (let n = 0; n < 10; n++) {
    group.core(1).propose([bytes(`${n}`)]);
    group.settle();
    group.core(1).readIndex(`r${n}`);
  }
  group.settle();
  expect(group.member(1).reads.map((read) => read.index)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

describe("limits", () => {
  const appendsTo2 = (options: TestOptions): number => {
    const group = cluster(3, options).elect(1);
    group.isolate(2);
    for (let n = 0; n < 20; n++) group.core(1).propose([block(100)]);
    return group
      .member(1)
      .work()
      .filter((each) => each.kind === "append" && each.to === 2).length;
  };

  test("messages in flight to one peer", () => {
    expect(appendsTo2({ maxInflightMessages: 4 })).toBe(4);
  });

  test("bytes in flight to one peer", () => {
    const entryBytes = 100 + ENTRY_OVERHEAD_BYTES;
    expect(appendsTo2({ maxInflightBytes: 3 * entryBytes, maxMessageBytes: entryBytes })).toBe(3);
  });

  test("uncommitted bytes: the excess is dropped, a single proposal always fits when none is in flight", () => {
    const group = cluster(3, { maxUncommittedBytes: 250 }).elect(1);
    group.isolate(1);
    expect(group.core(1).propose([block(1000)]).kind).toBe("accepted");
    expect(group.core(1).propose([block(1)])).toEqual({
      kind: "dropped",
      why: "1000 bytes are waiting, at most 250 may",
    });
    group.cut = () => false;
    group.tick(3);
    expect(group.core(1).status().uncommittedBytes).toBe(0);
    expect(group.core(1).propose([block(1)]).kind).toBe("accepted");
  });

  test("bytes in the state machine's hands: the rest waits until it reports", () => {
    const group = cluster(1, { maxApplyBytes: 500 }).elect(1);
    group.member(1).slowDisk = true;
    group.core(1).propose(Array.from({ length: 10 }, () => block(100)));
    group.member(1).work();
    const write = group.member(1).pending[0]?.persist;
    if (write === null || write === undefined) throw new Error("nothing to write");
    group.member(1).log.write(write);
    group.core(1).persisted(write.receipt);
    const sizes: number[] = [];
    for (let ready = group.core(1).ready(); ready.thenApply.length > 0; ready = group.core(1).ready()) {
      sizes.push(ready.thenApply.length);
      expect(group.core(1).hasReady()).toBe(false);
      group.core(1).applied(LogIndex(ready.thenApply.at(-1)?.index ?? 0));
    }
    expect(sizes).toEqual([4, 4, 2]);
  });

  test("reads that wait", () => {
    const group = cluster(3, { maxPendingReads: 2 }).elect(1);
    group.isolate(1);
    const outcomes = ["a", "b", "c"].map((token) => group.core(1).readIndex(token).kind);
    expect(outcomes).toEqual(["accepted", "accepted", "dropped"]);
  });
});

test("recovery after a burst: a member that missed a thousand entries has them a few rounds later", () => {
  const group = cluster(3, { maxMessageBytes: 4096, maxInflightMessages: 8 }).elect(1);
  group.isolate(3);
  for (let n = 0; n < 1000; n++) group.core(1).propose([block(64)]);
  group.settle();
  group.cut = () => false;
  group.tick(3);
  expect(group.member(3).applied).toHaveLength(1001);
});
