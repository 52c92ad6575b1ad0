/** What a replica must have before it answers, by what is known of it here. */
import { expect, test } from "vitest";
import { LogIndex, type ReadOutcome } from "../../shards/index.ts";
import { LocalReplica } from "../../src/cluster/local-replica.ts";
import { Roles } from "../../src/cluster/roles.ts";

const PLACE = { shard: 0, group: 7 };
const WAIT = { timeoutMs: 1_000, signal: new AbortController().signal };
const session = (index: number) => ({ level: "session", atLeast: index }) as const;
const EVENTUAL = { level: "eventual", atLeast: null } as const;

function setUp() {
  const waited: number[] = [];
  const roles = new Roles(() => 1);
  roles.changed(PLACE.group, { role: "follower", leader: 2, term: 1 });
  const local = new LocalReplica({
    roles,
    shards: { isOpen: () => true, error: () => null },
    consensus: {
      readIndex: () => Promise.reject(new Error("not asked")),
      waitApplied: (_, index): Promise<ReadOutcome> => {
        waited.push(index);
        return Promise.resolve({ kind: "ready", index: LogIndex(index) });
      },
    },
  });
  const ask = (fresh: Parameters<typeof local.answer>[1]) =>
    local.answer(PLACE, fresh, WAIT, () => Promise.resolve("points"));
  return { local, roles, waited, ask };
}
const ANSWER = { kind: "answer", answer: "points" };

test("a session that has seen no more than is known to be applied waits for nothing, one that has waits", async () => {
  const { local, ask, waited } = setUp();
  local.sawApplied(PLACE.group, 10);
  expect([await ask(session(9)), await ask(session(10)), waited]).toEqual([ANSWER, ANSWER, []]);
  expect([await ask(session(11)), await ask(session(11)), waited]).toEqual([ANSWER, ANSWER, [11]]);
});

test("a replica that was closed and came back may not have got there again: a session waits for it", async () => {
  const { local, roles, ask, waited } = setUp();
  local.sawApplied(PLACE.group, 10);
  roles.forget(PLACE.group);
  roles.changed(PLACE.group, { role: "follower", leader: 2, term: 1 });
  expect(await ask(session(10))).toEqual(ANSWER);
  expect(waited).toEqual([10]);
});

test("a replica that was taken out of service answers nobody, not even eventual reads", async () => {
  const { local, roles, ask } = setUp();
  expect([local.serves(PLACE.group), await ask(EVENTUAL)]).toEqual([true, ANSWER]);
  roles.changed(PLACE.group, {
    stopped: { why: "diverged: not what others hold", code: "REPLICA_DIVERGED" },
  });
  expect(local.serves(PLACE.group)).toBe(false);
  for (const fresh of [EVENTUAL, session(0)])
    await expect(ask(fresh)).rejects.toMatchObject({
      code: "SHARD_FAILED",
      message: expect.stringContaining("diverged"),
    });
});
