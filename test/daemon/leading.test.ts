import { describe, expect, test } from "vitest";
import { LogIndex, Term, type ReadOutcome } from "../../shards/index.ts";
import { hasCaughtUp } from "../../src/threads/leading.ts";

const READY: ReadOutcome = { kind: "ready", index: LogIndex(7) };
const FULL: ReadOutcome = { kind: "dropped", why: "overloaded" };

/** A group that refuses reads for want of room until the thread had `turns` turns; its leadership ends with `ends`. */
function crowded(turns: number, ends = Infinity) {
  const did = { asked: 0, waited: 0 };
  const group = {
    readIndex: (): Promise<ReadOutcome> => {
      if (++did.asked > 100) throw new Error("it asks without letting the thread have its turns");
      return Promise.resolve(did.waited < turns ? FULL : READY);
    },
    status: () => ({ role: did.waited < ends ? ("leader" as const) : ("follower" as const), term: Term(3) }),
  };
  return { did, group, wait: () => Promise.resolve(++did.waited) };
}

describe("an elected leader", () => {
  test("is heard of when its own read is answered", async () => {
    const { did, group, wait } = crowded(0);
    expect(await hasCaughtUp(group, Term(3), wait)).toBe(true);
    expect(did).toEqual({ asked: 1, waited: 0 });
  });

  test("lets the thread answer the reads that leave no room for its own", async () => {
    const { did, group, wait } = crowded(4);
    expect(await hasCaughtUp(group, Term(3), wait)).toBe(true);
    expect(did).toEqual({ asked: 5, waited: 4 });
  });

  test("is not heard of when another term came first", async () => {
    const { group, wait } = crowded(10, 2);
    expect(await hasCaughtUp(group, Term(3), wait)).toBe(false);
    expect(await hasCaughtUp(crowded(0).group, Term(2), wait)).toBe(false);
  });
});
