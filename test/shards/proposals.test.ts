import { expect, test } from "vitest";
import { LogIndex, NodeId, Term } from "../../shards/index.ts";
import type { ProposalOutcome } from "../../shards/index.ts";
import { Proposals } from "../../shards/proposals.ts";
import { Patience } from "../../shards/waiting.ts";

const patient = (): Patience => new Patience({}, { tick: 0, tickMs: 10 });

function proposals(countMax = 10, bytesMax = 100): Proposals {
  return new Proposals({
    countMax,
    bytesMax,
    nowMs: () => 0,
    onEnd: () => undefined,
    onCommit: () => undefined,
  });
}
function add(to: Proposals, bytes: number, patience = patient()): Promise<ProposalOutcome> {
  return to.add({ kind: "data", data: new Uint8Array(bytes), wait: "applied" }, patience);
}
function enter(into: Proposals, index: number, term: number): void {
  into.entered(into.next(Infinity), LogIndex(index), Term(term));
}
function entry(index: number, term: number) {
  return { index: LogIndex(index), term: Term(term), kind: "normal" as const };
}

test("what exceeds the limits of count or bytes is dropped, and room comes back as others end", async () => {
  const few = proposals(2, 100);
  const first = [add(few, 1), add(few, 1)];
  expect(await add(few, 1)).toEqual({ kind: "dropped", why: "overloaded" });
  enter(few, 5, 1);
  few.applied(entry(5, 1), "five");
  few.applied(entry(6, 1), "six");
  expect(await Promise.all(first)).toMatchObject([{ result: "five" }, { result: "six" }]);
  expect(few.count).toBe(0);
  const small = proposals(10, 100);
  void add(small, 60);
  expect(await add(small, 60)).toEqual({ kind: "dropped", why: "overloaded" });
  void add(small, 40);
  expect(small.count).toBe(2);
});

test("a single proposal above the limit of bytes fits when nothing else is there", () => {
  const small = proposals(10, 100);
  void add(small, 1_000);
  expect(small.waiting).toBe(1);
});

test("an index filled twice settles each proposal by the term that was committed there", async () => {
  const all = proposals();
  const old = add(all, 1);
  enter(all, 7, 1);
  all.leadershipLost(NodeId(2), 100);
  all.leadershipWon();
  const young = add(all, 1);
  enter(all, 7, 3);
  all.applied(entry(7, 3), "young");
  expect(await old).toEqual({ kind: "overwritten", term: 1, index: 7 });
  expect(await young).toMatchObject({ kind: "applied", term: 3, result: "young" });
});

test("a committed entry of a later term leaves no room for what an earlier one had behind it", async () => {
  const all = proposals();
  const old = [add(all, 1), add(all, 1)];
  enter(all, 7, 1);
  all.leadershipLost(NodeId(2), 100);
  all.leadershipWon();
  // Leads again with a shorter log, and nobody proposes anything more.
  all.applied(entry(6, 3), "the new reign's first");
  expect(await Promise.all(old)).toEqual([7, 8].map((index) => ({ kind: "overwritten", term: 1, index })));
  expect(all.count).toBe(0);
  const young = add(all, 1);
  enter(all, 7, 3);
  all.applied(entry(7, 3), "young");
  expect(await young).toMatchObject({ kind: "applied", result: "young" });
});

test("losing leadership refuses what was not proposed, and doubts the rest only after a while", async () => {
  const all = proposals();
  const logged = add(all, 1);
  enter(all, 7, 1);
  const waiting = add(all, 1);
  all.leadershipLost(NodeId(2), 50);
  expect(await waiting).toEqual({ kind: "notLeader", leader: 2 });
  all.tick(49);
  expect(all.count).toBe(1);
  all.tick(50);
  expect(await logged).toEqual({ kind: "unknown", term: 1, index: 7, why: "leadershipLost" });
});

test("a snapshot over its place leaves a proposal in doubt", async () => {
  const all = proposals();
  const outcome = add(all, 1);
  enter(all, 7, 1);
  all.skippedTo(LogIndex(7));
  expect(await outcome).toMatchObject({ kind: "unknown", why: "snapshotInstalled" });
});

test("a deadline is rounded up to whole ticks and never early", async () => {
  const all = proposals();
  const outcome = add(all, 1, new Patience({ timeoutMs: 25 }, { tick: 4, tickMs: 10 }));
  all.tick(7);
  expect(all.count).toBe(1);
  all.tick(8);
  expect(await outcome).toEqual({ kind: "dropped", why: "deadline" });
});
