import { describe, expect, test } from "vitest";
import { LogIndex, NodeId, Term, type ProposalOutcome } from "../../shards/index.ts";
import { ApiError } from "../../src/api/errors.ts";
import type { CatalogueCollection } from "../../src/catalog/types.ts";
import { KeyLedger } from "../../src/cluster/key-ledger.ts";
import { Leaders } from "../../src/cluster/leaders.ts";
import { NodeCallError } from "../../src/cluster/node-calls/errors.ts";
import type { Consensus } from "../../src/cluster/ports.ts";
import { Proposer } from "../../src/cluster/proposer.ts";
import { Roles } from "../../src/cluster/roles.ts";
import { WritePath } from "../../src/cluster/write-path.ts";
import { QuickTimers } from "./world.ts";
import type { Peers } from "../../src/cluster/ports.ts";
import type { WriteOp, WriteOptions } from "../../src/cluster/types.ts";
import { command, create, founded } from "../catalog/support.ts";

const collectionOf = (shards: number): CatalogueCollection => {
  const state = founded();
  state.apply(1, command(1, create("c", shards)));
  const made = state.collection("c");
  if (made === null) throw new Error("not made");
  return made;
};
const upsert = (...ids: readonly number[]): WriteOp => ({
  kind: "upsert",
  points: ids.map((id) => ({ id, vector: new Float32Array(8), payload: null })),
});
const at = (index: number) => ({ term: Term(1), index: LogIndex(index) });
const applied = (index: number, duplicate = false): ProposalOutcome => ({
  kind: "applied",
  ...at(index),
  result: { kind: "applied", version: index, touched: 1, duplicate },
});

/** A consensus thread that answers what it is told to, entry by entry. */
function setUp(
  answers: readonly (ProposalOutcome | Error)[],
  { shards = 1, entryBytes = 1 << 20, bytesMax = 1 << 30 } = {},
) {
  const proposed: { readonly group: number; readonly text: string }[] = [];
  const roles = new Roles(() => 1);
  const collection = collectionOf(shards);
  for (const { group } of collection.shards) roles.changed(group, { role: "leader", leader: 1, term: 1 });
  const consensus: Consensus = {
    propose: async (group, data) => {
      proposed.push({ group, text: new TextDecoder().decode(data) });
      // Proposing gives the bytes away, as sending them to another thread does.
      structuredClone(null, { transfer: [data.buffer as ArrayBuffer] });
      const answer = answers[proposed.length - 1] ?? applied(proposed.length);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    readIndex: () => Promise.reject(new Error("not asked")),
    waitApplied: () => Promise.reject(new Error("not asked")),
    status: () => Promise.resolve(null),
    statuses: () => Promise.resolve([]),
    changeMembership: () => Promise.reject(new Error("not asked")),
    transfer: () => Promise.reject(new Error("not asked")),
  };
  const peers: Peers = {
    stateOf: () => "down",
    call: (node: number) =>
      Promise.reject(new NodeCallError({ code: "UNREACHABLE", node, sent: false }, "nobody is there")),
  };
  const timers = new QuickTimers();
  const leaders = new Leaders({ nodeId: 1 }, { roles, peers, timers, replicasOf: () => [1] });
  const proposer = new Proposer(
    { nodeId: 1, timeoutMs: 1_000, leaderMs: 5_000 },
    { consensus, peers, roles, leaders, timers },
  );
  const path = new WritePath(
    { run: "run", entryBytes, bytesMax },
    {
      proposer,
      encode: (key, operations) => {
        const ids = operations.flatMap((op) => ("points" in op ? op.points.map(({ id }) => id) : op.ids));
        return new TextEncoder().encode(JSON.stringify([key.origin, key.sequence, ids]));
      },
    },
  );
  const write = (operations: readonly WriteOp[], options: Partial<WriteOptions> = {}) =>
    path.write(collection, operations, {
      wait: true,
      idempotencyKey: null,
      signal: new AbortController().signal,
      ...options,
    });
  return { write, proposed, roles, collection, path };
}

/** 8 floats, an id and an empty payload: two points to an entry. */
const TWO_POINTS = 120;

test("a write is answered with the highest index per touched shard", async () => {
  const { write, proposed, collection } = setUp([applied(4), applied(9)], { shards: 2 });
  const receipt = await write([upsert(1, 2, 3, 4, 5, 6)]);
  expect(receipt).toEqual({
    indexes: [
      { shard: 0, index: 4 },
      { shard: 1, index: 9 },
    ],
    duplicate: false,
  });
  expect(proposed.map(({ group }) => group)).toEqual(collection.shards.map(({ group }) => group));
});

test("parts of a write carry its name and their number, the same ones when it is repeated on any node", async () => {
  const parts = async (key: string, ...ids: readonly number[]): Promise<readonly unknown[]> => {
    const { write, proposed } = setUp([], { entryBytes: TWO_POINTS });
    await write([upsert(...ids)], { idempotencyKey: key });
    return proposed.map(({ text }) => JSON.parse(text) as unknown);
  };
  const first = await parts("k", 1, 2, 3);
  const name: unknown = expect.stringMatching(/^key\/.{44}$/);
  expect(first).toEqual([
    [name, 0, [1, 2]],
    [name, 1, [3]],
  ]);
  expect(await parts("k", 1, 2, 3)).toEqual(first);
});

test("a key used for other operations on another node is no repetition: they would be acknowledged and lost", async () => {
  const nameOf = async (key: string, ...ids: readonly number[]): Promise<unknown> => {
    const { write, proposed } = setUp([]);
    await write([upsert(...ids)], { idempotencyKey: key });
    return (JSON.parse(proposed[0]?.text ?? "[]") as readonly unknown[])[0];
  };
  const names = [await nameOf("k", 1), await nameOf("k", 2), await nameOf("l", 1), await nameOf("run/1", 1)];
  expect(new Set([...names, "run/1"]).size).toBe(5);
});

test("a repetition is a duplicate when every part was there before", async () => {
  const all = setUp([applied(1, true), applied(2, true)], { entryBytes: TWO_POINTS });
  expect((await all.write([upsert(1, 2, 3)], { idempotencyKey: "k" })).duplicate).toBe(true);
  const some = setUp([applied(1, true), applied(2)], { entryBytes: TWO_POINTS });
  expect((await some.write([upsert(1, 2, 3)], { idempotencyKey: "k" })).duplicate).toBe(false);
});

test("a key used for other operations is a conflict, and nothing is proposed", async () => {
  const { write, proposed } = setUp([]);
  await write([upsert(1)], { idempotencyKey: "k" });
  await expect(write([upsert(2)], { idempotencyKey: "k" })).rejects.toMatchObject({ code: "CONFLICT" });
  expect(proposed).toHaveLength(1);
});

test("the ledger forgets the key that was not used for longest", () => {
  const ledger = new KeyLedger(2);
  const bytes = (n: number) => [new Uint8Array([n])];
  ledger.claim(1, "a", bytes(1));
  ledger.claim(1, "b", bytes(1));
  ledger.claim(1, "a", bytes(1));
  ledger.claim(1, "c", bytes(1));
  expect(() => ledger.claim(1, "a", bytes(2))).toThrow(ApiError);
  expect(() => ledger.claim(1, "b", bytes(2))).not.toThrow();
  expect(() => ledger.claim(2, "c", bytes(2))).not.toThrow();
});

test("a leader that was replaced while it hung may have taken the write: it is no duplicate, and late it is unknown", async () => {
  const roles = new Roles(() => 1);
  const [group = -1] = collectionOf(1).shards.map((shard) => shard.group);
  const asked: number[] = [];
  const late = new AbortController();
  const start = () => {
    roles.changed(group, { role: "follower", leader: 2, term: 1 });
    asked.length = 0;
  };
  const peers: Peers = {
    stateOf: () => "open",
    // Node 2 hangs, and this node hears that node 3 leads; there the entry is already, if node 3 answers at all.
    call: async (node: number, _method: string, _request: unknown, { signal }: { signal: AbortSignal }) => {
      asked.push(node);
      if (node === 2) setImmediate(() => roles.changed(group, { leader: 3, term: 2 }));
      else if (late.signal.aborted)
        throw new NodeCallError({ code: "UNREACHABLE", node, sent: false }, "gone");
      else return applied(5, true);
      return await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(new Error("given up"))),
      );
    },
  };
  const unused = () => Promise.reject(new Error("not asked"));
  const consensus = {
    ...{ propose: unused, readIndex: unused, waitApplied: unused, status: unused, statuses: unused },
    ...{ changeMembership: unused, transfer: unused },
  };
  const timers = new QuickTimers();
  const leaders = new Leaders({ nodeId: 1 }, { roles, peers, timers, replicasOf: () => [2, 3] });
  const proposer = new Proposer(
    { nodeId: 1, timeoutMs: 1_000, leaderMs: 5_000 },
    { consensus, peers, roles, leaders, timers },
  );
  const propose = (signal: AbortSignal) =>
    proposer.propose({ shard: 0, group }, new Uint8Array(1), {
      ...{ wait: "applied", signal, caller: null, adds: true },
    });
  start();
  expect(await propose(new AbortController().signal)).toMatchObject({ index: 5, repeated: true });
  expect(asked).toEqual([2, 3]);
  start();
  late.abort();
  await expect(propose(new AbortController().signal)).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
});

describe("how proposals end", () => {
  const rejectedAs = (
    code: "VERSION_CONFLICT" | "POINT_NOT_FOUND" | "BAD_VECTOR" | "BAD_ENTRY",
  ): ProposalOutcome => ({
    kind: "applied",
    ...at(3),
    result: { kind: "rejected", code, message: "why", operation: 0, duplicate: false },
  });
  test.each([
    [rejectedAs("VERSION_CONFLICT"), "VERSION_CONFLICT"],
    [rejectedAs("POINT_NOT_FOUND"), "POINT_NOT_FOUND"],
    [rejectedAs("BAD_VECTOR"), "INVALID"],
    [rejectedAs("BAD_ENTRY"), "INTERNAL"],
    [{ kind: "dropped", why: "overloaded" }, "OVERLOADED"],
    [{ kind: "dropped", why: "tooLarge" }, "TOO_LARGE"],
    [{ kind: "dropped", why: "deadline" }, "DEADLINE_EXCEEDED"],
    [{ kind: "unknown", ...at(3), why: "deadline" }, "OUTCOME_UNKNOWN"],
    [{ kind: "stopped", why: "closed" }, "NOT_READY"],
    [Object.assign(new Error("full"), { code: "OVERLOADED" }), "OVERLOADED"],
    [Object.assign(new Error("gone"), { code: "THREAD_GONE" }), "OUTCOME_UNKNOWN"],
  ] as const)("%j is %s", async (outcome, code) => {
    const { write } = setUp([outcome]);
    await expect(write([upsert(1)])).rejects.toMatchObject({ code });
  });

  test("what promises no effect is proposed again, the same bytes", async () => {
    const { write, proposed } = setUp([
      { kind: "dropped", why: "refusedByCore" },
      { kind: "overwritten", ...at(4) },
      { kind: "unknown", ...at(5), why: "leadershipLost" },
      applied(6),
    ]);
    expect((await write([upsert(1)])).indexes).toEqual([{ shard: 0, index: 6 }]);
    expect(proposed.map(({ text }) => text)).toEqual(Array(4).fill('["run/1",0,[1]]'));
  });

  test("unknown names the place in the log", async () => {
    const { write } = setUp([{ kind: "unknown", ...at(7), why: "aborted" }]);
    await expect(write([upsert(1)])).rejects.toMatchObject({
      details: { unknown: [{ shard: 0, term: 1, index: 7 }] },
    });
  });

  test("a group that stopped for good is SHARD_FAILED, for want of space OUT_OF_SPACE", async () => {
    for (const [code, expected] of [
      ["STORE_IO", "SHARD_FAILED"],
      ["STORE_FULL", "OUT_OF_SPACE"],
    ] as const) {
      const { write, roles, collection } = setUp([{ kind: "stopped", why: "it stopped" }]);
      roles.changed(collection.shards[0]?.group ?? 0, { stopped: { why: "disk", code } });
      await expect(write([upsert(1)])).rejects.toMatchObject({ code: expected });
    }
  });

  test("after losing leadership it waits for leadership, then proposes again", async () => {
    const { write, proposed, roles, collection } = setUp([
      { kind: "notLeader", leader: NodeId(2) },
      applied(5),
    ]);
    const group = collection.shards[0]?.group ?? 0;
    roles.changed(group, { role: "follower", leader: 2, term: 2 });
    const writing = write([upsert(1)]);
    await Promise.resolve();
    roles.changed(group, { role: "leader", leader: 1, term: 3 });
    expect((await writing).indexes).toEqual([{ shard: 0, index: 5 }]);
    expect(proposed[1]).toEqual(proposed[0]);
  });

  test("nothing of a shard follows a part that was rejected; what is in already is said", async () => {
    const { write, proposed } = setUp([applied(1), rejectedAs("VERSION_CONFLICT")], {
      entryBytes: TWO_POINTS,
    });
    await expect(write([upsert(1, 2, 3, 4, 5, 6)])).rejects.toMatchObject({
      code: "VERSION_CONFLICT",
      message: expect.stringContaining("1 of 3 parts of this write were applied"),
    });
    expect(proposed).toHaveLength(2);
  });

  test("an error that promises that nothing was changed is not given when something was", async () => {
    const { write } = setUp([applied(1), { kind: "dropped", why: "overloaded" }], { entryBytes: TWO_POINTS });
    await expect(write([upsert(1, 2, 3)])).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  });
});

test("a request that is over before it begins proposes nothing and ends with its own reason", async () => {
  const { write, proposed } = setUp([]);
  const late = new ApiError("DEADLINE_EXCEEDED", "too late");
  await expect(write([upsert(1)], { signal: AbortSignal.abort(late) })).rejects.toBe(late);
  expect(proposed).toEqual([]);
});

test("bytes in flight are bounded, and given back", async () => {
  const { write, path } = setUp([], { bytesMax: 10 });
  const first = write([upsert(1)]);
  await expect(write([upsert(2)])).rejects.toMatchObject({ code: "OVERLOADED" });
  await first;
  expect(path.bytesInFlight).toBe(0);
  await write([upsert(3)]);
});
