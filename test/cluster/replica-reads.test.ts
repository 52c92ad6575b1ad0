/** How long each replica is given, and what a slow answer costs. */
import { expect, test } from "vitest";
import { Leaders } from "../../src/cluster/leaders.ts";
import { LocalReplica } from "../../src/cluster/local-replica.ts";
import { NodeCallError } from "../../src/cluster/node-calls/errors.ts";
import { ReplicaReads } from "../../src/cluster/replica-reads.ts";
import { Roles } from "../../src/cluster/roles.ts";
import type { Consistency } from "../../src/cluster/types.ts";

const PLACE = { shard: 0, group: 1024 };
const REPLICAS = [2, 3, 4];

/** Node `nodeId` asks for what takes each replica `answerMs`. Answers whom it asked, and how long it would have waited. */
async function asked(nodeId: number, level: Exclude<Consistency["level"], "session">, answerMs: number) {
  const roles = new Roles(() => nodeId);
  if (REPLICAS.includes(nodeId)) roles.changed(PLACE.group, { role: "follower", leader: 2, term: 1 });
  let nowMs = 0;
  const timers = {
    nowMs: () => nowMs,
    after: (ms: number, callback: () => void) => {
      const timer = setImmediate(() => {
        nowMs += ms;
        callback();
      });
      return () => clearImmediate(timer);
    },
  };
  const replicasOf = () => REPLICAS;
  const leaders = new Leaders({ nodeId }, { roles, peers: { stateOf: () => "open" }, replicasOf, timers });
  leaders.learned(PLACE.group, 2);
  const never = () => Promise.reject(new Error("not asked"));
  const local = new LocalReplica({
    roles,
    shards: { isOpen: () => false, error: () => null },
    consensus: { readIndex: never, waitApplied: never },
  });
  const reads = new ReplicaReads(
    { nodeId, timeoutMs: 60_000, tryMs: 1_000, leaderMs: 10_000 },
    { local, leaders, replicasOf, timers },
  );
  const tries: (readonly [node: number, timeoutMs: number])[] = [];
  const answer = await reads.ask(
    PLACE,
    { consistency: { level }, signal: new AbortController().signal },
    {
      here: never,
      there: (node, _place, _fresh, { timeoutMs }) => {
        if (level === "leader" && node !== 2) return Promise.resolve({ kind: "notLeader", leader: 2 });
        tries.push([node, timeoutMs]);
        nowMs += Math.min(timeoutMs, answerMs);
        return timeoutMs < answerMs
          ? Promise.reject(new NodeCallError({ code: "DEADLINE", node, sent: true }, "no answer in time"))
          : Promise.resolve({ kind: "answer", answer: "points" });
      },
    },
  );
  expect(answer).toBe("points");
  return tries;
}

test.each([1, 3])(
  "what takes the leader long is answered, also when node %i asks, and is asked twice",
  async (node) => {
    expect(await asked(node, "leader", 30_000)).toEqual([
      [2, 1_000],
      [2, 60_000],
    ]);
  },
);

test("what takes every replica long is waited for at the last of them", async () => {
  const tries = await asked(1, "eventual", 30_000);
  expect(tries.map(([, timeoutMs]) => timeoutMs)).toEqual([1_000, 1_000, 60_000]);
  expect(new Set(tries.map(([node]) => node)).size).toBe(3);
});
