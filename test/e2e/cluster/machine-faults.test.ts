/** What machines do to nodes: disks that are full or do not flush, and clocks that jump. */
import { afterAll, beforeAll, expect, test, type TestContext } from "vitest";
import { ClusterProcess, idsOnEach, LONG, Writer } from "./cluster-process.ts";
import { FaultyLibc } from "./support/faulty-libc.ts";

let built: FaultyLibc | string = "not built";
beforeAll(() => {
  built = FaultyLibc.build();
});
afterAll(() => {
  if (built instanceof FaultyLibc) built[Symbol.dispose]();
});
function libcOf(context: TestContext): FaultyLibc {
  if (built instanceof FaultyLibc) return built;
  return context.skip(built);
}

async function threeNodes(libc: FaultyLibc): Promise<ClusterProcess> {
  const cluster = new ClusterProcess();
  for (const number of [1, 2, 3]) await cluster.add({ env: libc.env(number) });
  await cluster.client.create("c", { size: 4, shards: 2, replicas: 3 });
  await cluster.untilVoters("c", 3);
  return cluster;
}

for (const { fault, says } of [
  { fault: "full", says: /full/i },
  { fault: "fsync", says: /I\/O error|EIO|SQLITE_IOERR/i },
]) {
  // In short only the flush: what a full disk does to one node is tested elsewhere.
  test.skipIf(!LONG && fault === "full")(
    `a leader whose disk fails (${fault}) ends and says so; the others go on without it until it returns`,
    { timeout: 120_000 },
    async (context) => {
      const libc = libcOf(context);
      await using cluster = await threeNodes(libc);
      const writer = new Writer(cluster, "c").start();
      await writer.more(20);
      const [shard] = await cluster.shards("c");
      const victim = cluster.member(shard?.leader ?? 0);
      libc.set(victim.number, fault);
      // Nothing that it could not write may be acknowledged: it ends rather than go on from memory.
      expect(await cluster.ended(victim)).toBe(1);
      expect(victim.log).toMatch(says);
      await writer.more(20);

      await cluster.start(victim, { env: libc.env(victim.number) });
      await cluster.untilVoters("c", 3);
      const acknowledged = await writer.stop();
      await cluster.untilEqual("c");
      for (const [node, ids] of await idsOnEach(cluster, "c"))
        expect(
          [...acknowledged].filter((id) => !ids.has(id)),
          `lost on node ${node}`,
        ).toEqual([]);
    },
  );
}

test(
  "a clock that jumps an hour ahead, and back two, disturbs no leader and no write",
  { timeout: 120_000 },
  async (context) => {
    const libc = libcOf(context);
    await using cluster = await threeNodes(libc);
    const writer = new Writer(cluster, "c").start();
    await writer.more(20);
    const before = await cluster.shards("c");
    const victim = cluster.member(before[0]?.leader ?? 0);
    for (const seconds of [3_600, -3_600]) {
      libc.set(victim.number, `clock ${seconds}`);
      const hour = new Date(Date.now() + seconds * 1000).toISOString().slice(0, 13);
      await writer.more(40);
      // The node believes it: its answers are dated so.
      await cluster.until("an answer of the other hour", async () => {
        const { headers } = await fetch(victim.process.url);
        return new Date(headers.get("date") ?? 0).toISOString().startsWith(hour);
      });
    }
    expect(writer.failures).toEqual([]);
    const after = await cluster.shards("c");
    expect(after.map(({ leader, term }) => ({ leader, term }))).toEqual(
      before.map(({ leader, term }) => ({ leader, term })),
    );
    await writer.stop();
    await cluster.untilEqual("c");
  },
);
