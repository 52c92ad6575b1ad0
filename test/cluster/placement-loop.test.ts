import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PlacementLoop } from "../../src/cluster/placement-loop.ts";
import type { CatalogueNode } from "../../src/catalog/types.ts";

const EVERY_MS = 300;
const CALM_MS = 2_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function node(nodeId: number): CatalogueNode {
  return {
    nodeId,
    incarnation: `incarnation ${nodeId}`,
    version: "0.1.0",
    state: "active",
    joined: nodeId,
    peer: `127.0.0.1:${7000 + nodeId}`,
    http: `127.0.0.1:${6000 + nodeId}`,
    grpc: `127.0.0.1:${5000 + nodeId}`,
  };
}

/** A group that all three nodes hold and the first leads, as node `nodeId` tells it; learners and who was heard of. */
function reported(group: number, nodeId: number, learners: ReadonlyMap<number, boolean> = new Map()) {
  const status = {
    ...{ group, node: nodeId, state: "running", role: nodeId === 1 ? "leader" : "follower" },
    ...{ term: 1, commit: 9 },
    conf: { voters: [1, 2, 3], learners: [...learners.keys()], votersOutgoing: [] },
    peers: [...learners].map(([node, recentlyActive]) => ({
      ...{ node, recentlyActive, match: 9, state: "replicate", learner: true },
    })),
  };
  return { group, status, engine: { appliedIndex: 9, stateHash: "a", hashMarks: [] }, error: null };
}

/** Three nodes with so many shards; `silent` do not answer. Counts the looks: each asks every node once. */
function watched(shards = 0): {
  loop: PlacementLoop;
  looks: () => number;
  silent: Set<number>;
  leads: { now: boolean };
  /** Of every shard, that hold all of it; and whether the leader heard of them since it last counted. */
  learners: Map<number, boolean>;
} {
  let asked = 0;
  const silent = new Set<number>();
  const leads = { now: true };
  const learners = new Map<number, boolean>();
  const loop = new PlacementLoop(
    { nodeId: 1, everyMs: EVERY_MS, replaceAfterMs: 600_000 },
    {
      catalogue: { nodes: () => [1, 2, 3].map(node), collections: () => [] },
      leads: () => leads.now,
      ask: async (of) => {
        if (of === 1) asked++;
        if (silent.has(of)) throw new Error(`node ${of} does not answer`);
        return {
          node: of,
          groups: Array.from({ length: shards }, (_, at) => reported(1024 + at, of, learners)),
        } as never;
      },
      command: () => Promise.reject(new Error("nothing is to be commanded")),
      decided: (decision) => expect(decision).toBeUndefined(),
      diverged: (divergence) => expect(divergence).toBeUndefined(),
      failed: (decision, error) => expect([decision, error]).toEqual([]),
      nowMs: () => Date.now(),
    },
  );
  return { loop, looks: () => asked, silent, leads, learners };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test("while all is as it should be it looks less and less often, up to every two seconds", async () => {
  const { loop, looks } = watched();
  using _ = loop;
  await pass(300);
  expect(looks()).toBe(1);
  await pass(10 * CALM_MS);
  const before = looks();
  await pass(10 * CALM_MS);
  expect(looks() - before).toBe(10);
});

test("the more shards there are, the rarer it looks while all is as it should be, but a change it sees at once", async () => {
  const { loop, looks } = watched(500);
  using _ = loop;
  await pass(60_000);
  const before = looks();
  await pass(50_000);
  expect(looks() - before).toBe(5);
  loop.nudge();
  await pass(100);
  expect(looks() - before).toBe(7);
});

test("a change is looked at at once, again within a tenth of a second, and then less and less often", async () => {
  const { loop, looks } = watched();
  using _ = loop;
  await pass(10 * CALM_MS);
  const before = looks();
  loop.nudge();
  await pass(0);
  expect(looks() - before).toBe(1);
  await pass(100);
  expect(looks() - before).toBe(2);
  await pass(2 * EVERY_MS);
  expect(looks() - before).toBe(5);
});

test("while a node does not answer it looks at every interval", async () => {
  const { loop, looks, silent } = watched();
  using _ = loop;
  await pass(10 * CALM_MS);
  silent.add(3);
  await pass(CALM_MS);
  const before = looks();
  await pass(10 * EVERY_MS);
  expect(looks() - before).toBe(10);
});

test("while a learner that holds everything was not heard of for a moment it looks at every interval: it is to vote", async () => {
  const { loop, looks, learners } = watched(1);
  using _ = loop;
  await pass(10 * CALM_MS);
  learners.set(4, false);
  await pass(CALM_MS);
  const before = looks();
  await pass(10 * EVERY_MS);
  expect(looks() - before).toBe(10);
});

test("who does not lead the catalogue asks nobody, and looks soon after it does", async () => {
  const { loop, looks, leads } = watched();
  using _ = loop;
  leads.now = false;
  await pass(10 * CALM_MS);
  expect(looks()).toBe(0);
  leads.now = true;
  await pass(EVERY_MS);
  expect(looks()).toBe(1);
});

test("a divergence is told once, and the replica taken out of service until that has happened", async () => {
  const told: unknown[] = [];
  const withdrawn: unknown[] = [];
  const failures: string[] = [];
  const out = { refuses: true, why: null as string | null, gone: false };
  const reportOf = (nodeId: number) => {
    const report = reported(1024, nodeId);
    const isOut = nodeId === 2 && !out.gone;
    return isOut ? { ...report, engine: { ...report.engine, stateHash: "x" }, error: out.why } : report;
  };
  using _ = new PlacementLoop(
    { nodeId: 1, everyMs: EVERY_MS, replaceAfterMs: 600_000 },
    {
      catalogue: { nodes: () => [1, 2, 3].map(node), collections: () => [] },
      leads: () => true,
      ask: (of, method, request) => {
        if (method !== "withdraw") return Promise.resolve({ node: of, groups: [reportOf(of)] } as never);
        withdrawn.push([of, request]);
        if (out.refuses) return Promise.reject(new Error("busy"));
        out.why = (request as { readonly why: string }).why;
        return Promise.resolve({ kind: "done" } as never);
      },
      command: () => Promise.reject(new Error("nothing is to be commanded")),
      decided: () => undefined,
      diverged: (divergence) => told.push(divergence),
      failed: (_decision, error) => failures.push(error.message),
      nowMs: () => Date.now(),
    },
  );
  await pass(EVERY_MS);
  expect(failures).toEqual(["busy"]);
  out.refuses = false;
  await pass(10 * EVERY_MS);
  expect(withdrawn).toHaveLength(2);
  const why = "diverged: as of entry 9 its content is not what the other replicas hold";
  expect(withdrawn.at(-1)).toEqual([2, { group: 1024, why }]);
  expect(told).toMatchObject([{ group: 1024, node: 2, index: 9, stateHash: "x", expected: "a" }]);

  // Made anew, and damaged again: that is another alarm.
  out.gone = true;
  out.why = null;
  await pass(10 * CALM_MS);
  out.gone = false;
  await pass(10 * CALM_MS);
  expect(told).toHaveLength(2);
});

test("once disposed of it looks no more", async () => {
  const { loop, looks } = watched();
  loop[Symbol.dispose]();
  loop.nudge();
  await pass(10 * CALM_MS);
  expect(looks()).toBe(0);
});

test("a decision that fails at once, over and over, is tried at every interval and no more often", async () => {
  let looks = 0;
  let tries = 0;
  using loop = new PlacementLoop(
    { nodeId: 1, everyMs: EVERY_MS, replaceAfterMs: 600_000 },
    {
      catalogue: { nodes: () => [1, 2, 3].map(node), collections: () => [] },
      leads: () => true,
      // Node 3 is no member of the catalogue's group, whose leader refuses to take it in.
      ask: (of, method) => {
        if (method === "changeMembership")
          return Promise.resolve({ kind: "dropped", why: "refusedByCore" } as never);
        if (of === 1) looks++;
        const { status, ...report } = reported(0, of);
        const conf = { ...status.conf, voters: [1, 2] };
        return Promise.resolve({ node: of, groups: [{ ...report, status: { ...status, conf } }] } as never);
      },
      command: () => Promise.reject(new Error("nothing is to be commanded")),
      decided: () => {
        // Ends what would never let time pass.
        if (++tries === 1_000) loop[Symbol.dispose]();
      },
      diverged: () => undefined,
      failed: () => undefined,
      nowMs: () => Date.now(),
    },
  );
  await pass(20 * EVERY_MS);
  expect(tries).toBe(looks);
  expect(looks).toBeGreaterThan(15);
  expect(looks).toBeLessThan(30);
});

test("a command that the catalogue rejects has failed", async () => {
  const failures: string[] = [];
  using _ = new PlacementLoop(
    { nodeId: 1, everyMs: EVERY_MS, replaceAfterMs: 600_000 },
    {
      // Drained, and no member of anything.
      catalogue: {
        nodes: () => [...[1, 2, 3].map(node), { ...node(4), state: "leaving" }],
        collections: () => [],
      },
      leads: () => true,
      ask: (of) => Promise.resolve({ node: of, groups: [reported(0, of)] } as never),
      command: () =>
        Promise.resolve({ kind: "rejected", code: "NODE_IN_USE", message: "node 4 still holds 1 replicas" }),
      decided: () => undefined,
      diverged: () => undefined,
      failed: (decision, error) => failures.push(`${decision?.kind}: ${error.message}`),
      nowMs: () => Date.now(),
    },
  );
  await pass(EVERY_MS);
  expect(failures).toEqual(["removeNode: node 4 still holds 1 replicas"]);
});
