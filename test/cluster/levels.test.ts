/** Each level in a state in which the next weaker one gives an older answer. */
import { afterEach, expect, test } from "vitest";
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
