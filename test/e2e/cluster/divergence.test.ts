/** A replica whose points were damaged on disk, behind the back of its node. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import { ClusterProcess, idsOnEach, Writer } from "./cluster-process.ts";

/** Another payload under the same id and version: neither SQLite nor the store can tell that it was not written so. */
function damage(dataDir: string, id: number): void {
  const [file = ""] = readdirSync(join(dataDir, "shards"), { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith("points.sqlite"),
  );
  const database = new Database(join(dataDir, "shards", file), { fileMustExist: true });
  try {
    const { changes } = database
      .prepare(
        `UPDATE points SET payload = '{"id":"another"}', digest = randomblob(length(digest)) WHERE id = ?`,
      )
      .run(BigInt(id));
    expect(changes).toBe(1);
  } finally {
    database.close();
  }
}

test.each(["that follows", "that leads"])(
  "a replica %s and was damaged raises the alarm, serves nobody, and is made anew while writes go on",
  { timeout: 120_000 },
  async (role) => {
    await using cluster = await ClusterProcess.of(3);
    await cluster.client.create("c", { size: 4, shards: 1, replicas: 3 });
    await cluster.untilVoters("c", 3);
    const writer = new Writer(cluster, "c").start();
    await writer.more(30);
    await writer.stop();
    const [shard] = await cluster.shards("c");
    const victim = cluster.member([1, 2, 3].find((node) => node !== shard?.leader) ?? 0);
    expect(await cluster.stop(victim)).toBe(0);
    const [id = 0] = writer.acknowledged;
    damage(victim.dataDir, id);
    await cluster.start(victim);
    await cluster.untilVoters("c", 3);

    if (role === "that leads") {
      // Refused while it has not answered the leader since its start.
      await cluster.until("it leads", async () => {
        const body = { node_id: victim.number };
        return (await cluster.client.call("POST", "/collections/c/shards/0/leader", body)).status === 200;
      });
    }
    // Overwritten, the damaged point takes another content out of the replica's hash than out of the others'.
    const vector = [9, 9, 9, 9];
    const written = await cluster.client.upsert("c", [{ id, vector, payload: { id } }]);
    expect(written.status).toBe(200);
    const later = new Writer(cluster, "c", 100_000).start();
    const alarms = async (): Promise<number> => {
      const texts = await Promise.all(
        cluster.answering.map(async ({ process }) => await (await fetch(`${process.url}/metrics`)).text()),
      );
      const line = new RegExp(
        `^flotilla_replica_divergences_total\\{collection="c",shard="0",node="${victim.number}"\\} (\\d+)$`,
        "m",
      );
      return texts.map((text) => Number(line.exec(text)?.[1] ?? 0)).reduce((sum, count) => sum + count, 0);
    };
    await cluster.until("the alarm", async () => (await alarms()) === 1);
    await cluster.until("the replica is made anew", () =>
      Promise.resolve(/shard removed[^]*shard serves/.test(victim.log)),
    );
    await cluster.untilVoters("c", 3);
    await later.stop();
    await cluster.untilEqual("c");
    for (const [node, ids] of await idsOnEach(cluster, "c"))
      expect(
        [...writer.acknowledged, ...later.acknowledged].filter((known) => !ids.has(known)),
        `lost on node ${node}`,
      ).toEqual([]);
    expect(later.failures).toEqual([]);
    expect(await alarms()).toBe(1);
    const told = cluster.running.map(({ log }) => log).join("");
    expect(told.match(/replica diverged: it serves no more and is made anew/g)).toHaveLength(1);
    expect((await victim.client.call("GET", "/readyz")).status).toBe(200);
  },
);
