import { describe, expect, test } from "vitest";
import { bytes, cluster, conf, Cluster, Member } from "./support/cluster.ts";
import { confChange, LEAVE_JOINT } from "../../../shards/raft/conf-change.ts";
import { LogIndex, NodeId } from "../../../shards/raft/types.ts";
import { MemoryLog } from "./support/memory-log.ts";

describe("a group of one", () => {
  test("elects itself when its election timeout has passed, and commits what it is given", () => {
    const group = cluster(1);
    group.tick(9);
    expect(group.leaders()).toEqual([]);
    group.tick(1);
    expect(group.leaders()).toEqual([1]);
    expect(group.core(1).propose([bytes("a"), bytes("b")])).toMatchObject({ kind: "accepted", first: 2 });
    group.settle();
    expect(group.member(1).commands()).toEqual(["a", "b"]);
  });

  test("counts neither its vote nor its entries before they are durable", () => {
    const group = cluster(1);
    const member = group.member(1);
    member.slowDisk = true;
    member.core.campaign();
    member.work();
    expect(member.core.isLeader).toBe(false);
    member.flush();
    member.work();
    member.flush();
    member.work();
    expect(member.core.isLeader).toBe(true);
    member.flush();
    member.work();
    member.core.propose([bytes("a")]);
    member.work();
    const before = member.core.status().commit;
    member.flush();
    expect(member.core.status().commit).toBe(before + 1);
  });
});

describe("a group of three", () => {
  test("replicates what the leader accepts to everybody", () => {
    const group = cluster(3).elect(2);
    group.core(2).propose([bytes("x")]);
    group.settle();
    for (const id of [1, 2, 3]) expect(group.member(id).commands()).toEqual(["x"]);
  });

  test("reads are confirmed by a quorum, on the leader and on a follower", () => {
    const group = cluster(3).elect(1);
    expect(group.core(1).readIndex("at-leader")).toEqual({ kind: "accepted" });
    expect(group.core(3).readIndex("at-follower")).toEqual({ kind: "accepted" });
    group.settle();
    expect(group.member(1).reads).toEqual([{ token: "at-leader", index: 1 }]);
    expect(group.member(3).reads).toEqual([{ token: "at-follower", index: 1 }]);
  });

  test("a leader hands over to whom it is told", () => {
    const group = cluster(3).elect(1);
    expect(group.core(1).transferLeader(NodeId(3))).toBeNull();
    group.settle();
    expect(group.leaders()).toEqual([3]);
  });
});

test("a group of one grows to three by simple changes, and shrinks back by a joint one", () => {
  const boundary = { conf: conf([1]) };
  const members = [
    new Member(1, new MemoryLog(boundary)),
    new Member(2, new MemoryLog(boundary)),
    new Member(3, new MemoryLog(boundary)),
  ];
  const group = new Cluster(members).elect(1);
  for (const node of [2, 3].map(NodeId)) {
    group.core(1).proposeConfChange(confChange([{ kind: "addLearner", node }]));
    group.settle();
    group.core(1).proposeConfChange(confChange([{ kind: "addVoter", node }]));
    group.settle();
  }
  expect(group.member(3).conf).toEqual(conf([1, 2, 3]));
  group.core(1).proposeConfChange(
    confChange(
      [
        { kind: "remove", node: NodeId(2) },
        { kind: "remove", node: NodeId(3) },
      ],
      { transition: "explicit" },
    ),
  );
  group.settle();
  expect(group.member(1).conf.votersOutgoing).toEqual([1, 2, 3]);
  expect(group.core(1).proposeConfChange(LEAVE_JOINT).kind).toBe("accepted");
  group.settle();
  expect(group.member(1).conf).toEqual(conf([1]));
  expect(group.core(1).status().commit).toBe(LogIndex(7));
});

test.each([
  ["abandoned later", (group: Cluster) => group.tick(10)],
  [
    "called back by asking for the leader itself",
    (group: Cluster) => {
      expect(group.core(1).transferLeader(NodeId(1))).toBe("1 leads already");
      group.settle();
    },
  ],
])(
  "a joint configuration is left even when a transfer, %s, stood in the way (raft.md, never 14)",
  (_, ends) => {
    const group = cluster(3).elect(1);
    const leader = group.core(1);
    leader.proposeConfChange(confChange([{ kind: "remove", node: NodeId(3) }], { transition: "implicit" }));
    // The transfer begins before the joint configuration is applied, and its target never hears of it.
    group.cut = ({ kind }) => kind === "timeoutNow";
    expect(leader.transferLeader(NodeId(2))).toBeNull();
    group.settle();
    expect(group.member(1).conf.votersOutgoing).toEqual([1, 2, 3]);
    ends(group);
    group.tick();
    expect(group.leaders()).toEqual([1]);
    for (const id of [1, 2]) expect(group.member(id).conf).toEqual(conf([1, 2]));
  },
);
