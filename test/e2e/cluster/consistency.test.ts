/**
 * What each level promises, on real nodes whose network is cut. How long an old leader still answers `leader` depends on
 * timing here; test/cluster/levels.test.ts holds each level against the next weaker one in one and the same state.
 */
import { expect, test } from "vitest";
import type { Answer } from "../support/client.ts";
import { ClusterProcess, type Member } from "./cluster-process.ts";

const POINT = { id: 1, vector: [1, 2, 3, 4] };
const LIMIT_SECONDS = 2;

async function read(member: Member, consistency: string, index: string | null = null): Promise<Answer> {
  return await member.client.call(
    "POST",
    `/collections/c/points?consistency=${consistency}&timeout=${LIMIT_SECONDS}`,
    { ids: [1, 2] },
    index === null ? {} : { "x-flotilla-index": index },
    AbortSignal.timeout(10_000),
  );
}
const ids = ({ body }: Answer): readonly number[] =>
  (body.result as readonly { readonly id: number }[]).map(({ id }) => id);

/** Point 1 is on all three; then one node is cut off, and point 2 is written by the other two. */
async function cutOff(which: "leader" | "follower") {
  const cluster = await ClusterProcess.of(3, [], { faultyNetwork: true });
  try {
    await cluster.client.create("c", { size: 4, replicas: 3 });
    const [shard] = await cluster.untilVoters("c", 3);
    const leader = cluster.member(shard?.leader ?? 0);
    const [follower] = cluster.running.filter((member) => member !== leader);
    const alone = which === "leader" ? leader : (follower ?? leader);
    expect((await leader.client.upsert("c", [POINT])).status).toBe(200);
    await cluster.until("the point on the node to cut off", async () =>
      ids(await read(alone, "eventual")).includes(1),
    );
    alone.aside = true;
    const others = cluster.answering;
    cluster.network.isolate(
      alone.number,
      others.map(({ number }) => number),
    );
    let index: string | null = null;
    await cluster.until("the majority writes", async () => {
      const [first] = others;
      const written = await (first ?? alone).client.call(
        "PUT",
        `/collections/c/points?timeout=${LIMIT_SECONDS}`,
        { points: [{ ...POINT, id: 2 }] },
        { "idempotency-key": "two" },
        AbortSignal.timeout(10_000),
      );
      index = written.index;
      return written.status === 200;
    });
    return { cluster, alone, others, index };
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

test("a leader that was cut off answers eventual only", { timeout: 120_000 }, async () => {
  const { cluster, alone, others, index } = await cutOff("leader");
  await using _ = cluster;
  // Weaker than asked for would be an answer without point 2, which was acknowledged elsewhere.
  const linearizable = await read(alone, "linearizable");
  expect([408, 503]).toContain(linearizable.status);
  const session = await read(alone, "session", index);
  expect([408, 503]).toContain(session.status);
  expect(ids(await read(alone, "eventual"))).toEqual([1]);
  // `leader` may answer until check-quorum has deposed it, and not after that.
  await cluster.until("the old leader is deposed", async () => (await read(alone, "leader")).status !== 200);
  expect([408, 503]).toContain((await read(alone, "leader")).status);
  for (const other of others)
    for (const level of ["leader", "linearizable"])
      expect(ids(await read(other, level)), `${level} on node ${other.number}`).toEqual([1, 2]);

  cluster.network.heal();
  await cluster.until("it sees the point again", async () => {
    const answer = await read(alone, "linearizable");
    return answer.status === 200 && ids(answer).length === 2;
  });
});

test("a follower that lags answers a session before its index not at all", { timeout: 120_000 }, async () => {
  const { cluster, alone, index } = await cutOff("follower");
  await using _ = cluster;
  expect(index).toMatch(/^0=\d+$/);
  const late = await read(alone, "session", index);
  expect([408, 503]).toContain(late.status);
  // One weaker: the same node at the same time, and a session that has seen less.
  expect(ids(await read(alone, "eventual"))).toEqual([1]);
  expect(ids(await read(alone, "session", "0=1"))).toEqual([1]);
  expect([408, 503]).toContain((await read(alone, "leader")).status);

  cluster.network.heal();
  await cluster.until("it has caught up", async () => {
    const answer = await read(alone, "session", index);
    return answer.status === 200 && ids(answer).length === 2;
  });
});
