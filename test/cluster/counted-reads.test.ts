import { expect, test } from "vitest";
import { SHARDS_BOUND } from "../../src/catalog/shapes.ts";
import { countedEngines, countedPeers } from "../../src/cluster/counted-reads.ts";
import type { Engines, Peers } from "../../src/cluster/ports.ts";
import { ReadQueues } from "../../src/cluster/read-queues.ts";

const GROUP = SHARDS_BOUND;
const GROUPS = [{ group: GROUP }];
const SHAPE = { withPayload: { kind: "none" }, withVector: false } as const;
const FRESH = { group: GROUP, level: "leader", atLeast: null, caller: null } as const;

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);
/** One read that waits is as many as it takes. */
const queues = (): ReadQueues =>
  new ReadQueues({ max: 1, overloaded: 1 }, { nowMs: () => 0, look: () => undefined });

test("whatever reads points of an engine thread waits in its queue; asking how it is does not", () => {
  const silent: Engines = { search: never, retrieve: never, scroll: never, count: never, stats: never };
  const { signal } = new AbortController();
  const refused = (call: (engines: Engines) => Promise<unknown>): boolean => {
    const reads = queues();
    void call(countedEngines(silent, reads, (group) => group % 2));
    return reads.refuses(GROUPS);
  };
  expect([
    refused((engines) => engines.search(GROUP, [], signal)),
    refused((engines) => engines.retrieve(GROUP, [], SHAPE, signal)),
    refused((engines) => engines.scroll(GROUP, { ...SHAPE, from: null, limit: 1 }, signal)),
    refused((engines) => engines.count(GROUP, signal)),
    refused((engines) => engines.stats(GROUP, signal)),
  ]).toEqual([true, true, true, true, false]);
});

test("whatever reads points of another node waits in its shard's queue; nothing else does", async () => {
  const silent: Peers = { stateOf: () => "open", call: never };
  const options = { timeoutMs: 1_000, signal: new AbortController().signal };
  const refused = async (call: (peers: Peers) => Promise<unknown>): Promise<boolean> => {
    const reads = queues();
    await reads.there(GROUP, 2, () => Promise.resolve());
    void call(countedPeers(silent, reads));
    return reads.refuses(GROUPS);
  };
  expect([
    await refused((peers) => peers.call(2, "search", { ...FRESH, queries: [] }, options)),
    await refused((peers) => peers.call(2, "retrieve", { ...FRESH, ...SHAPE, ids: [] }, options)),
    await refused((peers) => peers.call(2, "scroll", { ...FRESH, ...SHAPE, from: null, limit: 1 }, options)),
    await refused((peers) => peers.call(2, "count", FRESH, options)),
    await refused((peers) => peers.call(2, "readIndex", { group: GROUP, timeoutMs: 1_000 }, options)),
    await refused((peers) => peers.call(2, "groups", {}, options)),
  ]).toEqual([true, true, true, true, false, false]);
  expect(countedPeers(silent, queues()).stateOf(2)).toBe("open");
});
