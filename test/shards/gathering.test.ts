import { describe, expect, test } from "vitest";
import { LogIndex } from "../../shards/index.ts";
import type { ProposalOutcome } from "../../shards/index.ts";
import { TestCluster, bytes } from "./support/cluster.ts";

/** Three members, of which the followers' disks can be held: nothing commits meanwhile. */
async function three(limits = {}) {
  const cluster = await TestCluster.of(3, limits);
  const leader = await cluster.electLeader();
  await cluster.tick(3);
  const followers = [1, 2, 3].filter((id) => id !== leader) as [number, number];
  const { log } = cluster.node(leader);
  const written = log.batches.length;
  return {
    cluster,
    leader,
    followers,
    hold: () => followers.forEach((id) => cluster.node(id).log.hold()),
    release: () => followers.forEach((id) => cluster.node(id).log.release()),
    propose: (lines: readonly string[]): Promise<ProposalOutcome[]> =>
      Promise.all(lines.map((line) => cluster.group(leader).propose(bytes(line)))),
    /** Entries of each transaction of the leader's disk that had some. */
    rounds: (): number[] =>
      log.batches
        .slice(written)
        .map((batch) => batch.reduce((sum, { entries = [] }) => sum + entries.length, 0))
        .filter((entries) => entries > 0),
  };
}

const lines = (count: number): string[] => Array.from({ length: count }, (_, at) => `line ${at}`);

describe("proposals that come while others are being replicated", () => {
  test("are one round once those are committed", async () => {
    const { cluster, leader, hold, release, propose, rounds } = await three();
    hold();
    const first = propose(["first"]);
    await cluster.settle();
    const rest: Promise<ProposalOutcome[]>[] = [];
    for (const line of lines(50)) {
      rest.push(propose([line]));
      await cluster.settle();
    }
    expect(rounds()).toEqual([1]);
    release();
    await cluster.settle();
    expect(rounds()).toEqual([1, 50]);
    for (const outcome of [...(await first), ...(await Promise.all(rest)).flat()])
      expect(outcome.kind).toBe("applied");
    expect(cluster.machine(leader).lines).toEqual(["first", ...lines(50)]);
  });

  test("wait no longer than a tick: a slow follower, or a long way to it, delays no round", async () => {
    const { cluster, hold, release, propose, rounds } = await three();
    hold();
    const outcomes = [propose(["first"])];
    await cluster.settle();
    for (let round = 0; round < 3; round++) {
      outcomes.push(propose(lines(7)));
      await cluster.tick();
    }
    expect(rounds()).toEqual([1, 7, 7, 7]);
    release();
    await cluster.tick(2);
    for (const outcome of (await Promise.all(outcomes)).flat()) expect(outcome.kind).toBe("applied");
  });

  test("do not wait when they fill a round by themselves, nor does a change of membership", async () => {
    const { cluster, leader, followers, hold, release, propose, rounds } = await three({ gatherBytes: 20 });
    hold();
    const outcomes = [propose(["first"])];
    await cluster.settle();
    outcomes.push(propose(["short"]));
    await cluster.settle();
    expect(rounds()).toEqual([1]);
    outcomes.push(propose(["but these are enough bytes"]));
    await cluster.settle();
    expect(rounds()).toEqual([1, 2]);
    const change = cluster
      .group(leader)
      .changeMembership([{ kind: "remove", node: cluster.node(followers[0]).id }]);
    await cluster.settle();
    expect(rounds()).toEqual([1, 2, 1]);
    release();
    await cluster.tick(5);
    for (const outcome of [...(await Promise.all(outcomes)).flat(), await change])
      expect(outcome.kind).toBe("applied");
  });
});

describe("a follower that nobody waits for", () => {
  test("applies what a tick brought in one call, and the leader each round at once", async () => {
    const { cluster, leader, followers } = await three();
    const calls = (id: number): number => cluster.machine(id).calls;
    const before = followers.map(calls);
    const led = calls(leader);
    for (const line of lines(20))
      expect(await cluster.propose(leader, line)).toMatchObject({ kind: "applied" });
    expect(calls(leader) - led).toBe(20);
    expect(followers.map((id, at) => calls(id) - (before[at] ?? 0))).toEqual([1, 1]);
    await cluster.tick(2);
    for (const id of followers) expect(cluster.machine(id).lines).toEqual(lines(20));
    expect(Math.max(...followers.map((id, at) => calls(id) - (before[at] ?? 0)))).toBeLessThanOrEqual(3);
  });

  test("applies at once what somebody reads", async () => {
    const { cluster, leader, followers } = await three();
    const [follower] = followers;
    const outcomes: ProposalOutcome[] = [];
    for (const line of lines(5)) outcomes.push(await cluster.propose(leader, line));
    expect(cluster.machine(follower).lines.length).toBeLessThan(3);
    // The last one's commit is not known there yet; the one before came with it.
    const known = outcomes[3];
    const index = LogIndex(known?.kind === "applied" ? known.index : 0);
    const session = cluster.group(follower).waitApplied(index);
    await cluster.settle();
    expect(await session).toMatchObject({ kind: "ready" });
    expect(cluster.machine(follower).lines).toEqual(lines(4));
    const linearizable = cluster.group(follower).readIndex();
    await cluster.tick();
    expect(await linearizable).toMatchObject({ kind: "ready" });
    expect(cluster.machine(follower).lines).toEqual(lines(5));
  });

  test("applies a large backlog before the tick is over", async () => {
    const { cluster, leader, followers } = await three({ applyBytesMax: 1_000 });
    const [follower] = followers;
    const before = cluster.machine(follower).calls;
    for (const line of lines(100)) await cluster.propose(leader, line);
    expect(cluster.machine(follower).calls - before).toBeGreaterThan(3);
    expect(cluster.status(follower).applyLagBytes).toBeLessThan(1_000);
  });
});
