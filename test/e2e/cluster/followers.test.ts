/** Whatever changes something, asked of a node that leads nothing: it gets into a log, or the leader is named. */
import { expect, test } from "vitest";
import type { Client } from "../support/client.ts";
import { ClusterProcess } from "./cluster-process.ts";
import { changingRoutes, ON, POINTS, redirecting, SAMPLES } from "./support/changing-routes.ts";

interface Asked {
  readonly name: string;
  readonly path: string;
  readonly body: object | null;
}

test(
  "every route that changes something, asked of a follower, gets into a log",
  { timeout: 180_000 },
  async () => {
    await using cluster = await ClusterProcess.of(3);
    await cluster.client.create("c", { size: 4, replicas: 3 });
    const [shard] = await cluster.untilVoters("c", 3);
    const leader = shard?.leader ?? 0;
    const catalogueLeader = await leaderOfCatalogue(cluster.client);
    const follower = [1, 2, 3].find((node) => node !== leader && node !== catalogueLeader) ?? 0;
    // Somebody else's place is taken away and given back: the follower has to keep its own.
    const other = [1, 2, 3].find((node) => node !== leader && node !== follower) ?? 0;
    const { client, process: node } = cluster.member(follower);

    expect(redirecting).toEqual(expect.arrayContaining([`PUT ${ON}/points`, `POST ${ON}/points/delete`]));
    for (const { name, path, body } of inOrder(other)) {
      const [method = ""] = name.split(" ");
      // What writes of points act on; some of them take it away.
      if (path.includes("/points")) await cluster.client.upsert("c", POINTS);
      if (redirecting.includes(name)) await namesTheLeader(node.url, { name, path, body });
      const logs = await sizeOfLogs(cluster, client);
      const answer = await client.call(method, path, body ?? undefined);
      expect(answer.status, `${name}: ${JSON.stringify(answer.body)}`).toBe(200);
      await cluster.until(`${name} is in a log`, async () => (await sizeOfLogs(cluster, client)) > logs);
    }
  },
);

async function namesTheLeader(url: string, { name, path, body }: Asked): Promise<void> {
  const [method = ""] = name.split(" ");
  const answer = await fetch(`${url}${path}?redirect=true`, {
    ...{ method, redirect: "manual", headers: { "content-type": "application/json" } },
    ...(body === null ? {} : { body: JSON.stringify(body) }),
  });
  expect(answer.status, name).toBe(307);
  const location = new URL(answer.headers.get("location") ?? "");
  expect(location.pathname, name).toBe(path);
  expect(location.host, name).not.toBe(new URL(url).host);
  expect(await answer.json(), name).toMatchObject({
    status: { code: "NOT_LEADER" },
    leader: { http: location.host },
  });
}

/** What takes something away comes last, and what it takes away was there. */
function inOrder(other: number): readonly Asked[] {
  const bodies: Record<string, object | null> = {
    ...SAMPLES,
    [`POST ${ON}/cluster`]: { drop_replica: { shard_id: 0, peer_id: other } },
    [`POST ${ON}/shards/:shard/voters`]: { node_id: other },
    [`POST ${ON}/shards/:shard/leader`]: { node_id: other },
  };
  const last = [
    `DELETE ${ON}/shards/:shard/voters/:node`,
    `POST ${ON}/shards/:shard/voters`,
    `POST ${ON}/shards/:shard/leader`,
    `POST ${ON}/cluster`,
    `DELETE ${ON}`,
    "DELETE /nodes/:node",
  ];
  const first = changingRoutes.filter((name) => !last.includes(name));
  return [...first, ...last].map((name) => {
    const [, url = ""] = name.split(" ");
    const collection = name === `PUT ${ON}` || name === `DELETE ${ON}` ? "made" : "c";
    const path = url
      .replace(":collection", collection)
      .replace(":shard", "0")
      .replace(":node", String(other));
    return { name, path, body: bodies[name] ?? null };
  });
}

/** The applied indexes of the catalogue and of the shard, added up: whatever is committed makes it larger. */
async function sizeOfLogs(cluster: ClusterProcess, client: Client): Promise<number> {
  const { body } = await client.call("GET", "/status");
  const { catalogue } = body.result as { readonly catalogue: { readonly applied: number } };
  const [shard] = await cluster.shards("c", client);
  return catalogue.applied + Math.max(...(shard?.replicas ?? []).map(({ applied }) => applied ?? 0));
}

async function leaderOfCatalogue(client: Client): Promise<number> {
  const { body } = await client.call("GET", "/status");
  const { catalogue } = body.result as { readonly catalogue: { readonly leader: number | null } };
  return catalogue.leader ?? 0;
}
