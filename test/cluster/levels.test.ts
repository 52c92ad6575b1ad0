/** Each level in a state in which the next weaker one gives an older answer. */
import { afterEach, expect, test } from "vitest";
import { ApiError } from "../../src/api/errors.ts";
import { freshRead } from "../../src/cluster/replica-reads.ts";
import type { Consistency } from "../../src/cluster/types.ts";
import { reading, start, stop, upsert, world, writing } from "./routing-support.ts";

afterEach(stop);

/**
 * Point 1 is everywhere, point 2 is not on the old leader, node 1: it is cut off, and has not heard yet that node 2
 * was elected and took a write.
 */
async function replacedLeader() {
  const [group = -1] = await start(3);
  world().lead(group, 1);
  await world()
    .router(1)
    .write("c", [upsert(1)], writing());
  world().group(group).held.set(1, 1);
  world().group(group).leader = 2;
  for (const node of [2, 3]) {
    const role = node === 2 ? "leader" : "follower";
    world().node(node).roles.changed(group, { role, leader: 2, term: 9 });
  }
  const { indexes } = await world()
    .router(2)
    .write("c", [upsert(2)], writing());
  world().fault = (from, to) => (from === 1 || to === 1 ? "refused" : null);
  return { group, indexes };
}
const count = (node: number, consistency: Consistency): Promise<number> =>
  world().router(node).count("c", reading(consistency));
const unanswered = { code: expect.stringMatching(/^(NO_LEADER|NOT_READY|DEADLINE_EXCEEDED)$/) as string };

test("linearizable is not answered by a replaced leader, which still answers leader", async () => {
  await replacedLeader();
  expect(await count(1, { level: "leader" })).toBe(1);
  await expect(count(1, { level: "linearizable" })).rejects.toMatchObject(unanswered);
  expect(await count(3, { level: "linearizable" })).toBe(2);
});

test("leader is not answered by one that knows that it was deposed, which still answers a session", async () => {
  const { group } = await replacedLeader();
  world().node(1).roles.changed(group, { role: "follower", leader: null, term: 9 });
  await expect(count(1, { level: "leader" })).rejects.toMatchObject(unanswered);
  expect(await count(1, { level: "session", atLeast: [{ shard: 0, index: 1 }] })).toBe(1);
  expect(await count(3, { level: "leader" })).toBe(2);
});

test("session is not answered by a replica before its index, which still answers eventual", async () => {
  const { indexes } = await replacedLeader();
  await expect(count(1, { level: "session", atLeast: indexes })).rejects.toMatchObject(unanswered);
  expect(await count(1, { level: "eventual" })).toBe(1);
  expect(await count(3, { level: "session", atLeast: indexes })).toBe(2);
});

test("a session that joined the answers of several writes has seen all of them", async () => {
  const { indexes } = await replacedLeader();
  const joined = [{ shard: 0, index: 1 }, ...indexes];
  await expect(count(1, { level: "session", atLeast: joined })).rejects.toMatchObject(unanswered);
  expect(await count(3, { level: "session", atLeast: joined })).toBe(2);
});

test("a session of another collection is told so, at once by its shards or at the deadline by its index", async () => {
  await start(3);
  await expect(count(1, { level: "session", atLeast: [{ shard: 1, index: 1 }] })).rejects.toMatchObject({
    code: "INVALID",
    message: expect.stringContaining("shard 1, and collection `c` has 1"),
  });
  const deadline = new AbortController();
  const asked = world()
    .router(1)
    .count("c", {
      ...reading({ level: "session", atLeast: [{ shard: 0, index: 99 }] }),
      signal: deadline.signal,
    });
  deadline.abort(new ApiError("DEADLINE_EXCEEDED", "Timeout error: the deadline passed"));
  await expect(asked).rejects.toMatchObject({
    code: "DEADLINE_EXCEEDED",
    message: expect.stringMatching(/^Timeout error: the deadline passed: shard 0 .* index 99/),
  });
});

test("a session waits in each shard for what it saw there, and in one it has not seen for nothing", () => {
  const atLeast = [
    { shard: 2, index: 5 },
    { shard: 0, index: 9 },
  ];
  const read = reading({ level: "session", atLeast });
  const waits = [0, 1, 2].map((shard) => freshRead({ shard, group: 40 + shard }, read));
  expect(waits.map(({ group, atLeast }) => [group, atLeast])).toEqual([
    [40, 9],
    [41, 0],
    [42, 5],
  ]);
});

test("a write that a leader here could not take says nothing of how far its own replica is", async () => {
  const { group } = await replacedLeader();
  world().fault = () => null;
  const { indexes } = await world()
    .router(1)
    .write("c", [upsert(3)], writing());
  expect(world().node(1).roles.leads(group)).toBe(true);
  expect(await count(1, { level: "session", atLeast: indexes })).toBe(3);
});
