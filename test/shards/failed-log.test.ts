import { expect, test } from "vitest";
import { join } from "node:path";
import { noPeers, openSqliteLog, systemClock, systemRandom, systemScheduler } from "../../shards/adapters.ts";
import { GroupId, NodeId, openHost } from "../../shards/index.ts";
import type { Group } from "../../shards/index.ts";
import { conf } from "./support/cluster.ts";
import { RecordingMachine } from "./support/machine.ts";
import { scratch } from "./support/scratch.ts";

function leading(group: Group): Promise<void> {
  return new Promise((resolve) => {
    if (group.status().role === "leader") return resolve();
    const unsubscribe = group.subscribe((notice) => {
      if (notice.kind !== "role" || notice.role !== "leader") return;
      unsubscribe();
      resolve();
    });
  });
}

test("every group of a node whose disk is full says that it is stopped, and why", async () => {
  await using log = await openSqliteLog({ path: join(scratch(), "raft.db"), fileBytesMax: 40 * 16_384 });
  await using host = openHost(
    { identity: { cluster: "c", node: NodeId(1), incarnation: "i" } },
    {
      log,
      transport: noPeers(),
      clock: systemClock,
      random: systemRandom,
      scheduler: systemScheduler,
      events: { event: () => undefined },
    },
  );
  const groups: Group[] = [];
  for (const group of [1, 2].map(GroupId))
    groups.push(await host.openGroup({ group, applyOp: new RecordingMachine(), bootstrap: conf([1]) }));
  for (const group of groups) await leading(group);
  const outcomes: string[] = [];
  do {
    const outcome = await groups[0]?.propose(new Uint8Array(100_000).fill(65));
    outcomes.push(outcome?.kind ?? "");
  } while (outcomes.at(-1) === "applied");
  expect(outcomes.at(-1)).toBe("unknown");
  for (const group of groups)
    expect(group.status()).toMatchObject({
      group: group.id,
      state: "stopped",
      failure: expect.stringContaining("disk is full"),
      firstIndex: 2,
    });
});
