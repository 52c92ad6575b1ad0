/** Nodes that send writes to the leader instead of passing them on, and clients that follow. */
import { QdrantClient } from "@qdrant/js-client-rest";
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { ClusterProcess } from "./cluster-process.ts";

const CURL = spawnSync("curl", ["--version"]).error === undefined;
const point = (id: number) => ({ points: [{ id, vector: [id, 1] }] });

test("fetch, curl -L and Qdrant's client follow a 307 from a follower to the leader, body and all", async () => {
  await using cluster = await ClusterProcess.of(3, ["--routing-writes", "redirect"]);
  await cluster.client.create("c", { size: 2, replicas: 3 });
  const [shard] = await cluster.untilVoters("c", 3);
  const leader = shard?.leader ?? 0;
  const follower = cluster.member([1, 2, 3].find((node) => node !== leader) ?? 0).process;
  const path = "/collections/c/points";
  const json = { "content-type": "application/json" };

  const asked = { method: "PUT", headers: json, body: JSON.stringify(point(1)) };
  const refused = await fetch(`${follower.url}${path}`, { ...asked, redirect: "manual" });
  expect(refused.status).toBe(307);
  const followed = await fetch(`${follower.url}${path}`, asked);
  expect([followed.status, followed.redirected]).toEqual([200, true]);
  expect(new URL(followed.url).host).toBe(new URL(cluster.member(leader).process.url).host);

  const qdrant = new QdrantClient({ url: follower.url, checkCompatibility: false });
  expect(await qdrant.upsert("c", { wait: true, ...point(2) })).toMatchObject({ status: "completed" });

  let written = 2;
  if (CURL) {
    const body = JSON.stringify(point(3));
    const curl = spawnSync(
      "curl",
      ["-sSL", "-X", "PUT", "-H", "content-type: application/json", "-d", body, `${follower.url}${path}`],
      { encoding: "utf8" },
    );
    expect(JSON.parse(curl.stdout), curl.stderr).toMatchObject({ status: "ok" });
    written++;
  }
  expect(await cluster.client.count("c")).toBe(written);
}, 60_000);
