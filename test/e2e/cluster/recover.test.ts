import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ClusterProcess } from "./cluster-process.ts";

const run = promisify(execFile);
const PROGRAM = join(import.meta.dirname, "../../../dist/src/main.js");

test(
  "after two of three are lost for good, the third goes on by an operator's word, with all it held",
  {
    timeout: 90_000,
  },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    const created = await cluster.client.call("PUT", "/collections/c", {
      vectors: { size: 4, distance: "Dot" },
      shard_number: 2,
    });
    expect(created.status).toBe(200);
    await cluster.untilVoters("c", 3);
    // One replica of each shard: with two nodes two of them go.
    const single = { vectors: { size: 4, distance: "Dot" }, shard_number: 3, replication_factor: 1 };
    expect((await cluster.client.call("PUT", "/collections/single", single)).status).toBe(200);
    const points = Array.from({ length: 50 }, (_, id) => ({ id, vector: [id, 1, 2, 3] }));
    expect((await cluster.client.upsert("c", points)).status).toBe(200);
    await cluster.untilEqual("c");
    const survivor = cluster.member(2);
    const recover = async (...more: readonly string[]) => {
      const { stdout } = await run(process.execPath, [
        PROGRAM,
        "recover",
        "--data-dir",
        survivor.dataDir,
        ...more,
      ]);
      return stdout;
    };
    // Not while it runs.
    await expect(recover("--yes")).rejects.toThrow(/in use by process/);
    for (const member of [...cluster.running]) await cluster.kill(member);

    const planned = JSON.parse(await recover("--json")) as {
      readonly groups: readonly object[];
      readonly missing: readonly object[];
    };
    expect(planned.groups).toMatchObject([{ group: 0, kind: "recovered", voters: [1, 2, 3] }, {}, {}, {}]);
    expect(planned.missing).toMatchObject([{ collection: "single" }, { collection: "single" }]);
    const shown = await recover();
    expect(shown).toMatch(/Not recovered, since node 2 has no replica: shard \d, \d of single\./);
    expect(shown).toMatch(/Nothing was changed: --yes does it/);
    expect(await recover("--yes")).toMatch(/Done\. Start node 2/);

    await cluster.start(survivor, { join: [] });
    await cluster.until("a write by the survivor alone", async () => {
      const { status } = await survivor.client.upsert("c", [{ id: 1000, vector: [1, 2, 3, 4] }]);
      return status === 200;
    });
    const { body } = await survivor.client.call(
      "POST",
      "/collections/c/points/count?consistency=linearizable",
      {},
    );
    expect(body.result).toEqual({ count: 51 });
    const again = JSON.parse(await recoverJson(survivor.dataDir, cluster)) as {
      readonly groups: readonly object[];
    };
    expect(again.groups).toMatchObject(Array.from({ length: 4 }, () => ({ voters: [2] })));
  },
);

async function recoverJson(dataDir: string, cluster: ClusterProcess): Promise<string> {
  await cluster.stop(cluster.member(2));
  const { stdout } = await run(process.execPath, [PROGRAM, "recover", "--data-dir", dataDir, "--json"]);
  return stdout;
}
