import { expect, test } from "vitest";
import { GroupId, LogIndex, NodeId, Term, type GroupStatus, type PeerProgress } from "../../shards/index.ts";
import type { Placement } from "../../src/catalog/types.ts";
import type { GroupReport } from "../../src/cluster/node-calls/contract.ts";
import type { EngineStats } from "../../src/cluster/types.ts";
import { shardView } from "../../src/cluster/views.ts";

const GROUP = 1024;
const placement = (...nodes: readonly number[]): Placement => ({
  shard: 0,
  group: GROUP,
  founders: nodes,
  replicas: nodes.map((node) => ({ node, founding: true })),
  wanted: null,
});
const status = (node: number, more: Partial<GroupStatus> = {}): GroupStatus => ({
  group: GroupId(GROUP),
  node: NodeId(node),
  state: "running",
  failure: null,
  role: "follower",
  resting: false,
  learner: false,
  term: Term(3),
  leader: NodeId(1),
  commit: LogIndex(5_000),
  applied: LogIndex(5_000),
  durable: LogIndex(5_000),
  firstIndex: LogIndex(1),
  lastIndex: LogIndex(5_000),
  logBytes: 0,
  applyLagEntries: 0,
  applyLagBytes: 0,
  proposalsWaiting: 0,
  conf: {
    voters: [1, 2, 3].map(NodeId),
    votersOutgoing: [],
    learners: [NodeId(4)],
    learnersNext: [],
    autoLeave: false,
  },
  peers: [],
  ...more,
});
const peer = (node: number, more: Partial<PeerProgress> = {}): PeerProgress => ({
  node: NodeId(node),
  match: LogIndex(5_000),
  state: "replicate",
  learner: false,
  recentlyActive: true,
  ...more,
});
const engine = (applied: number, marks: readonly (readonly [number, string])[] = []): EngineStats => ({
  points: 7,
  indexed: 7,
  tail: 0,
  tombstones: 0,
  appliedIndex: applied,
  durableIndex: applied,
  stateHash: `at ${applied}`,
  hashMarks: marks.map(([index, stateHash]) => ({ index, stateHash })),
  graphSaves: 0,
  graphSaveFailures: 0,
  rebuilds: 0,
  rebuilding: null,
  bytes: { graph: 0, tail: 0, tables: 0, bytesPerPoint: 0 },
  diskBytes: 0,
  failure: null,
});
const reported = (
  ...reports: readonly (readonly [number, Partial<GroupReport> | "nothing" | "away"])[]
): Parameters<typeof shardView>[1] =>
  new Map(
    reports.map(([node, what]) => {
      if (what === "away") return [node, null];
      if (what === "nothing") return [node, new Map()];
      const report = { group: GROUP, status: status(node), engine: engine(5_000), error: null, ...what };
      return [node, new Map([[GROUP, report]])];
    }),
  );
const leads = (...peers: readonly PeerProgress[]) => ({ status: status(1, { role: "leader", peers }) });

test("each replica is shown in the state it is in", () => {
  const { replicas, leader, term } = shardView(
    placement(1, 2, 3, 4, 5, 6),
    reported(
      [1, leads(peer(2), peer(3, { state: "snapshot", match: LogIndex(0) }), peer(4, { learner: true }))],
      [2, { status: status(2, { applied: LogIndex(3_900) }) }],
      [3, {}],
      [4, { status: status(4, { learner: true }) }],
      [5, "nothing"],
      [6, "away"],
    ),
  );
  expect({ leader, term }).toEqual({ leader: 1, term: 3 });
  expect(replicas.map(({ nodeId, role, state, match, lag }) => [nodeId, role, state, match, lag])).toEqual([
    [1, "leader", "active", 5_000, 0],
    [2, "voter", "catching_up", 5_000, 1_100],
    [3, "voter", "snapshot", 0, 0],
    [4, "learner", "catching_up", 5_000, 0],
    [5, "learner", "catching_up", null, null],
    [6, "learner", "unreachable", null, null],
  ]);
});

test("who votes is known without a leader: by whoever has applied most", () => {
  const old = { voters: [NodeId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const reports = reported(
    [1, { status: status(1, { applied: LogIndex(4), conf: old }) }],
    [2, {}],
    [3, "away"],
    [4, "away"],
  );
  const { leader, replicas } = shardView(placement(1, 2, 3, 4), reports);
  expect(leader).toBeNull();
  expect(replicas.map(({ nodeId, role, state }) => [nodeId, role, state])).toEqual([
    [1, "voter", "active"],
    [2, "voter", "active"],
    [3, "voter", "unreachable"],
    [4, "learner", "unreachable"],
  ]);
  const roles = shardView(placement(1, 2), reported([1, "away"], [2, "nothing"])).replicas;
  expect(roles.map(({ role, state }) => [role, state])).toEqual([
    ["voter", "unreachable"],
    ["learner", "catching_up"],
  ]);
});

test("a replica that stopped, or never opened, has failed and says why", () => {
  const { replicas } = shardView(
    placement(1, 2, 3),
    reported(
      [1, leads(peer(2), peer(3))],
      [2, { status: status(2, { state: "stopped" }), engine: null, error: "the disk is full" }],
      [3, { status: null, engine: null, error: "corrupt" }],
    ),
  );
  expect(replicas.map(({ state, error }) => [state, error])).toEqual([
    ["active", null],
    ["failed", "the disk is full"],
    ["failed", "corrupt"],
    ["unreachable", null],
  ]);
});

test("of two that say that they lead the one of the higher term is believed", () => {
  const view = shardView(
    placement(1, 2),
    reported(
      [1, { status: status(1, { role: "leader" }) }],
      [2, { status: status(2, { role: "leader", term: Term(4) }) }],
    ),
  );
  expect(view).toMatchObject({ leader: 2, term: 4 });
});

test("hashes are shown at the last index at which all know theirs, or else at each one's own", () => {
  const marks = [
    [100, "x"],
    [200, "y"],
  ] as const;
  const hashes = (second: EngineStats) =>
    shardView(
      placement(1, 2),
      reported([1, { ...leads(), engine: engine(250, marks) }], [2, { engine: second }]),
    ).replicas.map(({ stateHash, hashIndex }) => [hashIndex, stateHash]);
  expect(hashes(engine(150, marks.slice(0, 1)))).toEqual([
    [100, "x"],
    [100, "x"],
    [null, null],
    [null, null],
  ]);
  expect(hashes(engine(250, marks)).slice(0, 2)).toEqual([
    [250, "at 250"],
    [250, "at 250"],
  ]);
  expect(hashes(engine(50)).slice(0, 2)).toEqual([
    [250, "at 250"],
    [50, "at 50"],
  ]);
});
