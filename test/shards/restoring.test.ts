import { expect, test } from "vitest";
import { GroupId, NodeId } from "../../shards/index.ts";
import { TestCluster, conf } from "./support/cluster.ts";

const OTHER = GroupId(2);
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

test("a compaction decided while a snapshot was restored is given up, and no other group suffers", async () => {
  const cluster = await TestCluster.of(3, { compactBytes: 2_000, keepBytes: 500 });
  const leader = await cluster.electLeader();
  const [late] = [1, 2, 3].filter((id) => id !== leader) as [number];
  await cluster.open(late, conf([late]), OTHER);
  const machine = cluster.machine(late);
  machine.durableAtOnce = false;
  const [checkpoint, restore] = [gate(), gate()];
  const realCheckpoint = machine.checkpoint.bind(machine);
  machine.checkpoint = async () => {
    await checkpoint.opened;
    return await realCheckpoint();
  };
  machine.mayRestore = restore.opened;
  // Enough for a compaction, which waits for the state machine's disk.
  for (let at = 0; at < 35; at++) await cluster.propose(leader, `line ${at}`);
  await cluster.tick(3);
  expect(cluster.status(late)).toMatchObject({ firstIndex: 2, applied: 37 });
  // Away for so long that it needs a snapshot.
  cluster.network.isolate(NodeId(late));
  for (let at = 0; at < 60; at++) await cluster.propose(leader, `missed ${at}`);
  cluster.network.heal();
  await cluster.tick(60);
  expect(machine.restores).toBe(1);
  // The state machine answers both before the next turn.
  restore.open();
  await pause();
  checkpoint.open();
  await pause();
  await cluster.tick(20);
  expect(cluster.group(late, OTHER).status()).toMatchObject({ state: "running", failure: null });
  expect(cluster.status(late)).toMatchObject({ state: "running", failure: null });
  await cluster.propose(leader, "after");
  await cluster.tick(5);
  expect(machine.lines.at(-1)).toBe("after");
});
