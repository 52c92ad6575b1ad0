import { expect, test } from "vitest";
import { GroupId, LogError, LogIndex, NodeId, Term } from "../../shards/index.ts";
import type { LogStore, SnapshotMeta } from "../../shards/index.ts";
import type { ConfState, Entry, EntryKind, HardState } from "../../shards/raft/types.ts";

export const CONF: ConfState = {
  voters: [NodeId(1), NodeId(2), NodeId(3)],
  votersOutgoing: [],
  learners: [NodeId(7)],
  learnersNext: [],
  autoLeave: false,
};
const OTHER_CONF: ConfState = { ...CONF, voters: [NodeId(1)], votersOutgoing: [NodeId(2)], autoLeave: true };
export const G1 = GroupId(1);
export const G2 = GroupId(2);

export function entry(index: number, term = 1, data = `data ${index}`, kind: EntryKind = "normal"): Entry {
  return { index: LogIndex(index), term: Term(term), kind, data: new TextEncoder().encode(data) };
}
export function entries(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term));
}
export function hard(term: number, vote: number, commit: number): HardState {
  return { term: Term(term), vote: NodeId(vote), commit: LogIndex(commit) };
}
export function meta(index: number, term: number, conf = CONF): SnapshotMeta {
  return { index: LogIndex(index), term: Term(term), conf };
}
/** As plain values, so that a Buffer equals a Uint8Array. */
export function plain(list: readonly Entry[] | string): unknown {
  return typeof list === "string"
    ? list
    : list.map((e) => [e.index, e.term, e.kind, new TextDecoder().decode(e.data)]);
}
const all = (low: number, high: number): [LogIndex, LogIndex, number] => [
  LogIndex(low),
  LogIndex(high),
  Infinity,
];

/** A way to get at one store. `reopen` closes it and opens what it left behind; null when nothing outlives it. */
export interface StoreFactory {
  readonly name: string;
  open(): Promise<LogStore>;
  reopen: ((store: LogStore) => Promise<LogStore>) | null;
}

/** What every log store promises (shards/ports.ts). */
export function logConformance(factory: StoreFactory): void {
  const again = async (store: LogStore): Promise<LogStore> =>
    factory.reopen === null ? store : await factory.reopen(store);
  const rule = (name: string, body: (store: LogStore) => Promise<void>): void => {
    test(`${factory.name}: ${name}`, async () => {
      const store = await factory.open();
      await store.create(G1, meta(0, 0, CONF));
      await body(store);
    });
  };

  rule("a new log is empty and begins with its configuration", async (store) => {
    const log = (await again(store)).open(G1);
    expect(log.boundary()).toEqual(meta(0, 0));
    expect(log.hardState()).toEqual(hard(0, 0, 0));
    expect([log.firstIndex(), log.lastIndex(), log.bytes()]).toEqual([1, 0, 0]);
    expect(log.term(LogIndex(0))).toBe(0);
    expect(log.term(LogIndex(1))).toBe("unavailable");
  });

  rule("entries, kinds and hard state are there after the write, in every read", async (store) => {
    const written = [entry(1), entry(2, 1, "change", "confChangeV2"), entry(3, 2, "", "confChange")];
    await store.write([{ group: G1, entries: written, hardState: hard(2, 3, 2) }]);
    const log = (await again(store)).open(G1);
    expect(plain(log.entries(...all(1, 4)))).toEqual(plain(written));
    expect(log.hardState()).toEqual(hard(2, 3, 2));
    expect([0, 1, 2, 3, 4].map((index) => log.term(LogIndex(index)))).toEqual([0, 1, 1, 2, "unavailable"]);
    expect(plain(log.membershipEntries(LogIndex(1), LogIndex(4)))).toEqual(plain(written.slice(1)));
    expect(plain(log.membershipEntries(LogIndex(3), LogIndex(4)))).toEqual(plain(written.slice(2)));
  });

  rule("entries replace everything from their first index on", async (store) => {
    await store.write([{ group: G1, entries: entries(1, 9) }]);
    await store.write([{ group: G1, entries: entries(4, 5, 2) }]);
    const log = (await again(store)).open(G1);
    expect(log.lastIndex()).toBe(5);
    expect(plain(log.entries(...all(1, 6)))).toEqual(plain([...entries(1, 3), ...entries(4, 5, 2)]));
    expect(log.term(LogIndex(6))).toBe("unavailable");
  });

  rule("a torn tail, further writes and two restarts leave one log", async (store) => {
    await store.write([{ group: G1, entries: entries(1, 6), hardState: hard(1, 1, 2) }]);
    const second = await again(store);
    await second.write([{ group: G1, entries: entries(4, 4, 3), hardState: hard(3, 0, 3) }]);
    const third = await again(second);
    await third.write([{ group: G1, entries: entries(5, 7, 3) }]);
    const log = (await again(third)).open(G1);
    expect(plain(log.entries(...all(1, 8)))).toEqual(plain([...entries(1, 3), ...entries(4, 7, 3)]));
    expect(log.hardState()).toEqual(hard(3, 0, 3));
  });

  rule("a read gives at least one entry and then as many as fit", async (store) => {
    await store.write([
      { group: G1, entries: [entry(1, 1, "x".repeat(10)), entry(2, 1, "yy"), entry(3, 1, "zz")] },
    ]);
    const log = (await again(store)).open(G1);
    const read = (maxBytes: number): number =>
      (log.entries(LogIndex(1), LogIndex(4), maxBytes) as readonly Entry[]).length;
    expect([0, 11, 12, 13, 14].map(read)).toEqual([1, 1, 2, 2, 3]);
    expect(log.entries(...all(2, 2))).toEqual([]);
  });

  rule("compaction moves the beginning up and keeps the term of the boundary", async (store) => {
    await store.write([
      { group: G1, entries: [...entries(1, 3), ...entries(4, 6, 2)], hardState: hard(2, 0, 6) },
    ]);
    await store.write([{ group: G1, compactTo: meta(4, 2, OTHER_CONF) }]);
    const log = (await again(store)).open(G1);
    expect(log.boundary()).toEqual(meta(4, 2, OTHER_CONF));
    expect([log.firstIndex(), log.lastIndex()]).toEqual([5, 6]);
    expect([3, 4, 5].map((index) => log.term(LogIndex(index)))).toEqual(["compacted", 2, 2]);
    expect(log.entries(...all(4, 6))).toBe("compacted");
    expect(log.entries(...all(5, 8))).toBe("unavailable");
    expect(plain(log.entries(...all(5, 7)))).toEqual(plain(entries(5, 6, 2)));
  });

  rule("a log compacted to its end goes on after it", async (store) => {
    await store.write([
      { group: G1, entries: entries(1, 3), hardState: hard(1, 0, 3), compactTo: meta(3, 1) },
    ]);
    const second = await again(store);
    expect([second.open(G1).firstIndex(), second.open(G1).lastIndex(), second.open(G1).bytes()]).toEqual([
      4, 3, 0,
    ]);
    await second.write([{ group: G1, entries: entries(4, 4, 2) }]);
    expect(plain((await again(second)).open(G1).entries(...all(4, 5)))).toEqual(plain(entries(4, 4, 2)));
  });

  rule("a snapshot replaces the log up to its boundary, and entries may follow it at once", async (store) => {
    await store.write([{ group: G1, entries: entries(1, 20), hardState: hard(1, 0, 2) }]);
    await store.write([
      {
        group: G1,
        snapshot: meta(10, 4, OTHER_CONF),
        entries: entries(11, 12, 4),
        hardState: hard(4, 0, 10),
      },
    ]);
    const log = (await again(store)).open(G1);
    expect(log.boundary()).toEqual(meta(10, 4, OTHER_CONF));
    expect([log.firstIndex(), log.lastIndex()]).toEqual([11, 12]);
    expect(plain(log.entries(...all(11, 13)))).toEqual(plain(entries(11, 12, 4)));
  });

  rule("an entry without bytes is there after a restart", async (store) => {
    await store.write([{ group: G1, entries: [entry(1, 1, ""), entry(2)] }]);
    const reopened = await again(store);
    expect(plain(reopened.open(G1).entries(...all(1, 3)))).toEqual(plain([entry(1, 1, ""), entry(2)]));
  });

  rule("one batch writes several groups, and one group more than once, in order", async (store) => {
    await store.create(G2, meta(0, 0, OTHER_CONF));
    await store.write([
      { group: G1, entries: entries(1, 4) },
      { group: G2, entries: entries(1, 1, 5), hardState: hard(5, 1, 0) },
      { group: G1, entries: entries(3, 3, 2), hardState: hard(2, 2, 1) },
    ]);
    const reopened = await again(store);
    expect(reopened.groups()).toEqual([G1, G2]);
    expect(plain(reopened.open(G1).entries(...all(1, 4)))).toEqual(plain([...entries(1, 2), entry(3, 2)]));
    expect(reopened.open(G2).hardState()).toEqual(hard(5, 1, 0));
    expect(reopened.open(G2).boundary().conf).toEqual(OTHER_CONF);
  });

  rule("a destroyed group is gone, and its name can be used for an empty log", async (store) => {
    await store.create(G2, meta(0, 0, CONF));
    await store.write([
      { group: G1, entries: entries(1, 5) },
      { group: G2, entries: entries(1, 2) },
    ]);
    await store.destroy(G1);
    const second = await again(store);
    expect(second.groups()).toEqual([G2]);
    expect(() => second.open(G1)).toThrowError(expect.objectContaining({ code: "LOG_MISSING", group: G1 }));
    await second.create(G1, meta(0, 0, CONF));
    const third = await again(second);
    expect([third.open(G1).lastIndex(), third.open(G2).lastIndex()]).toEqual([0, 2]);
  });

  rule("creating what exists is refused", async (store) => {
    await expect(store.create(G1, meta(0, 0, CONF))).rejects.toMatchObject({ code: "LOG_EXISTS", group: G1 });
  });

  rule("bytes and the cut for compaction count every entry with its overhead", async (store) => {
    await store.write([
      {
        group: G1,
        entries: [1, 2, 3, 4].map((at) => entry(at, 1, "x".repeat(36))),
        hardState: hard(1, 0, 4),
      },
    ]);
    const log = (await again(store)).open(G1);
    expect(log.bytes()).toBe(400);
    expect([0, 1, 100, 101, 399, 400, 9_999].map((keep) => log.cutKeeping(keep))).toEqual([
      4, 3, 3, 2, 0, 0, 0,
    ]);
  });

  rule("numbers at the edge of what is exact come back as they were", async (store) => {
    const edge = Number.MAX_SAFE_INTEGER;
    await store.write([{ group: G1, snapshot: meta(edge - 2, edge), hardState: hard(edge, edge, edge - 2) }]);
    await store.write([{ group: G1, entries: [entry(edge - 1, edge)] }]);
    const log = (await again(store)).open(G1);
    expect(log.hardState()).toEqual(hard(edge, edge, edge - 2));
    expect(plain(log.entries(...all(edge - 1, edge)))).toEqual(plain([entry(edge - 1, edge)]));
  });

  rule("after an illegal write nothing is written or served any more", async (store) => {
    await store.write([{ group: G1, entries: entries(1, 2) }]);
    await expect(store.write([{ group: G1, entries: entries(4, 4) }])).rejects.toThrowError(/4 on fit/);
    await expect(store.write([{ group: G1, entries: entries(3, 3) }])).rejects.toMatchObject({
      code: "LOG_POISONED",
    });
    expect(() => store.open(G1)).toThrowError(LogError);
  });

  test.each([
    ["the term falls", { hardState: hard(1, 0, 0) }],
    ["the vote changes within a term", { hardState: hard(2, 3, 1) }],
    ["the commit index falls", { hardState: hard(2, 1, 0) }],
    ["the commit index lies behind the log", { hardState: hard(2, 1, 9) }],
    ["a snapshot is older than the boundary", { snapshot: meta(0, 0) }],
    ["compaction goes beyond the commit index", { compactTo: meta(2, 2) }],
    ["terms fall", { entries: entries(3, 3, 1) }],
  ])(`${factory.name}: a write is refused when %s`, async (_, write) => {
    const store = await factory.open();
    await store.create(G1, meta(0, 0, CONF));
    await store.write([{ group: G1, entries: entries(1, 2, 2), hardState: hard(2, 1, 1) }]);
    await expect(store.write([{ group: G1, ...write }])).rejects.toThrowError();
  });
}
