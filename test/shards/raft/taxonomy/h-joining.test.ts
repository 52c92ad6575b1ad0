/** H: joining. (Discovery and asking to join are the cluster's; here is what the group does with a newcomer.) */
import { describe, expect, test } from "vitest";
import { bytes, Cluster, conf, Member } from "../support/cluster.ts";
import { confChange, type ConfChangeKind } from "../../../../shards/raft/conf-change.ts";
import { LogIndex, NodeId } from "../../../../shards/raft/types.ts";
import { MemoryLog } from "../support/memory-log.ts";

const founding = { conf: conf([1]) };

function group(joiners: number): Cluster {
  const ids = Array.from({ length: joiners + 1 }, (_, at) => at + 1);
  return new Cluster(ids.map((id) => new Member(id, new MemoryLog(founding)))).elect(1);
}

function change(all: Cluster, kind: ConfChangeKind, node: number): void {
  expect(all.core(1).proposeConfChange(confChange([{ kind, node: NodeId(node) }])).kind).toBe("accepted");
  all.settle();
}

test("a newcomer catches up from the log when the log reaches back", () => {
  const all = group(1);
  all.core(1).propose([bytes("a"), bytes("b")]);
  all.settle();
  change(all, "addLearner", 2);
  expect(all.member(2).commands()).toEqual(["a", "b"]);
  expect(all.delivered.some((each) => each.kind === "snapshot")).toBe(false);
});

test("from a snapshot when it does not, and from the log from there on", () => {
  const all = group(1);
  all.core(1).propose([bytes("a"), bytes("b")]);
  all.settle();
  all.member(1).log.compact(LogIndex(3), conf([1]));
  change(all, "addLearner", 2);
  all.tick(2);
  expect(all.delivered.some((each) => each.kind === "snapshot")).toBe(true);
  all.core(1).propose([bytes("c")]);
  all.settle();
  expect(all.core(2).status()).toMatchObject({ commit: all.core(1).status().commit });
  expect(all.member(2).commands()).toEqual(["c"]);
});

test("a snapshot that is not ready yet is asked for again", () => {
  const all = group(1);
  all.core(1).propose([bytes("a")]);
  all.settle();
  const { log } = all.member(1);
  log.compact(LogIndex(2), conf([1]));
  const ready = log.newestSnapshot;
  log.newestSnapshot = () => "temporarilyUnavailable";
  change(all, "addLearner", 2);
  all.tick(3);
  expect(all.delivered.some((each) => each.kind === "snapshot")).toBe(false);
  log.newestSnapshot = ready;
  all.tick(3);
  expect(all.core(2).status().commit).toBe(all.core(1).status().commit);
});

test("into an empty log", () => {
  const all = new Cluster([1, 2].map((id) => new Member(id, new MemoryLog(founding))));
  all.elect(1);
  change(all, "addLearner", 2);
  expect(all.core(2).status()).toMatchObject({ commit: 2, leader: 1 });
});

test("several, one at a time: 1 voter, 2 voters, 3 voters, and writes go on during all of it", () => {
  const all = group(2);
  const quorums: number[] = [];
  let written = 0;
  for (const [kind, node] of [
    ["addLearner", 2],
    ["addLearner", 3],
    ["addVoter", 2],
    ["addVoter", 3],
  ] as const) {
    all.core(1).propose([bytes(`${written++}`)]);
    change(all, kind, node);
    quorums.push(all.core(1).status().conf.voters.length);
  }
  expect(quorums).toEqual([1, 1, 2, 3]);
  for (const id of [1, 2, 3]) expect(all.member(id).commands()).toEqual(["0", "1", "2", "3"]);
  expect(all.leaders()).toEqual([1]);
});

describe("failures on the way", () => {
  test("the newcomer dies while it catches up, restarts with the same data and goes on", () => {
    const all = group(1);
    all.core(1).propose([bytes("a")]);
    all.settle();
    all.cut = (each) => each.from === 2;
    change(all, "addLearner", 2);
    all.member(2).restart();
    all.cut = () => false;
    all.tick(3);
    expect(all.member(2).commands()).toEqual(["a"]);
  });

  test("the leader dies while somebody joins: the next one finishes catching it up", () => {
    const all = group(3);
    for (const node of [2, 3]) {
      change(all, "addLearner", node);
      change(all, "addVoter", node);
    }
    all.cut = (each) => each.to === 4;
    change(all, "addLearner", 4);
    all.isolate(1);
    all.tick(40);
    expect(all.leaders().some((id) => id !== 1)).toBe(true);
    expect(all.core(4).status().commit).toBeGreaterThanOrEqual(6);
    expect(all.member(4).conf).toEqual(conf([1, 2, 3], [4]));
  });

  test("a learner neither commits nor counts: cutting it off changes nothing", () => {
    const all = group(1);
    change(all, "addLearner", 2);
    all.isolate(2);
    all.tick(40);
    all.core(1).propose([bytes("x")]);
    all.settle();
    expect(all.member(1).commands()).toEqual(["x"]);
    expect(all.core(1).isLeader).toBe(true);
  });
});

test("without a leader nothing comes; who joined meanwhile is found by the next one and told who leads", () => {
  const all = group(2);
  change(all, "addVoter", 2);
  all.isolate(1);
  all.core(1).proposeConfChange(confChange([{ kind: "addLearner", node: NodeId(3) }]));
  all.tick(40);
  expect(all.leaders()).toEqual([]);
  expect(all.core(3).readIndex("r")).toMatchObject({ kind: "dropped" });
  expect(all.member(3).events).toEqual([]);
  all.cut = () => false;
  all.tick(40);
  const [leader] = all.leaders();
  expect(leader).toBeDefined();
  all.core(leader ?? 0).proposeConfChange(confChange([{ kind: "addLearner", node: NodeId(3) }]));
  all.tick(2);
  const told = all.member(3).events.filter((event) => event.kind === "leaderChanged");
  expect(told).toMatchObject([{ leader }]);
  expect(all.core(3).status()).toMatchObject({ commit: all.core(leader ?? 0).status().commit });
});
