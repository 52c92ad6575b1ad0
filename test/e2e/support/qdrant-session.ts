/**
 * A program that uses Qdrant's client over TLS. It is a process of its own because the client makes its connections by
 * itself: the authority that signed the nodes' certificates can only come from NODE_EXTRA_CA_CERTS, at the start.
 *
 *     qdrant-session KEY URL URL URL     says what it has done, line by line; after "lose one" it goes on without the
 *                                        last node, and ends with "done"
 */
import { strict as assert } from "node:assert";
import { QdrantClient } from "@qdrant/js-client-rest";

const [apiKey = "", ...urls] = process.argv.slice(2);
const clients = urls.map((url) => new QdrantClient({ url, apiKey, checkCompatibility: false }));
const VECTORS = { size: 4, distance: "Dot" } as const;
const PATIENCE_MS = 30_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

interface Node {
  readonly role: string;
}
interface Shard {
  readonly replicas: readonly { readonly role: string; readonly state: string }[];
}

async function look<T>(path: string): Promise<T> {
  const response = await fetch(`${urls[0]}${path}`, { headers: { "api-key": apiKey } });
  return ((await response.json()) as { readonly result: T }).result;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    assert(performance.now() < deadline, `not within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}

/** Everything applications do, each step at another node than the one before. */
async function life(nodes: readonly QdrantClient[], name: string): Promise<void> {
  let turn = 0;
  const next = (): QdrantClient => {
    const client = nodes[turn++ % nodes.length];
    assert(client !== undefined);
    return client;
  };
  assert.equal(await next().createCollection(name, { vectors: VECTORS, shard_number: 2 }), true);
  assert.deepEqual(await next().collectionExists(name), { exists: true });
  const points = Array.from({ length: 20 }, (_, id) => ({ id, vector: [id, 1, 0, 0], payload: { id } }));
  assert.equal((await next().upsert(name, { points })).status, "completed");
  for (const client of nodes) {
    const best = await client.search(name, { vector: [1, 0, 0, 0], limit: 3, with_payload: true });
    assert.deepEqual(
      best.map(({ id, payload }) => [id, payload]),
      [19, 18, 17].map((id) => [id, { id }]),
    );
    const near = await client.query(name, { query: [-1, 0, 0, 0], limit: 2 });
    assert.deepEqual(
      near.points.map(({ id }) => id),
      [0, 1],
    );
    assert.deepEqual(await client.count(name, { exact: true }), { count: 20 });
    const page = await client.scroll(name, { limit: 5, offset: 10 });
    assert.deepEqual([page.points.map(({ id }) => id), page.next_page_offset], [[10, 11, 12, 13, 14], 15]);
  }

  const payload = async (id: number): Promise<unknown> =>
    (await next().retrieve(name, { ids: [id] }))[0]?.payload;
  await next().setPayload(name, { points: [1], payload: { city: "Berlin" } });
  assert.deepEqual(await payload(1), { id: 1, city: "Berlin" });
  await next().deletePayload(name, { points: [1], keys: ["id"] });
  assert.deepEqual(await payload(1), { city: "Berlin" });
  await next().overwritePayload(name, { points: [1, 2], payload: { a: 1 } });
  assert.deepEqual([await payload(1), await payload(2)], [{ a: 1 }, { a: 1 }]);
  await next().clearPayload(name, { points: [1] });
  assert.deepEqual(await payload(1), {});

  const alias = `${name}-alias`;
  const actions = [{ create_alias: { collection_name: name, alias_name: alias } }];
  assert.equal(await next().updateCollectionAliases({ actions }), true);
  assert.deepEqual((await next().getCollectionAliases(name)).aliases, [
    { alias_name: alias, collection_name: name },
  ]);
  await next().delete(alias, { points: [19, 18] });
  const [left] = await next().search(alias, { vector: [1, 0, 0, 0], limit: 1 });
  assert.equal(left?.id, 17);
  assert.equal(
    await next().updateCollectionAliases({ actions: [{ delete_alias: { alias_name: alias } }] }),
    true,
  );
  const filter = { must: [{ key: "a", match: { value: 1 } }] };
  await assert.rejects(next().search(name, { vector: [1, 0, 0, 0], filter }), { status: 400 });
  assert.equal(await next().deleteCollection(name), true);
  assert.deepEqual(await next().collectionExists(name), { exists: false });
}

async function main(): Promise<void> {
  await until("three voters for the catalogue", async () => {
    const { nodes } = await look<{ readonly nodes: readonly Node[] }>("/nodes");
    return nodes.length === urls.length && nodes.every(({ role }) => role === "voter");
  });
  await life(clients, "first");
  say("a whole life on three nodes");

  const [first] = clients;
  assert(first !== undefined);
  await first.createCollection("kept", { vectors: VECTORS, shard_number: 3, replication_factor: 3 });
  await until("three voters of each shard", async () => {
    const { shards } = await look<{ readonly shards: readonly Shard[] }>("/collections/kept/shards");
    return shards.every(
      ({ replicas }) =>
        replicas.length === 3 &&
        replicas.every(({ role, state }) => role !== "learner" && state === "active"),
    );
  });

  const survivors = clients.slice(0, -1);
  const acknowledged: number[] = [];
  const refused: string[] = [];
  let lost = false;
  for (let id = 0; !lost || acknowledged.length < 200; id++) {
    const client = survivors[id % survivors.length];
    assert(client !== undefined);
    if (acknowledged.length === 50 && !lost) {
      lost = true;
      say("lose one");
    }
    try {
      await client.upsert("kept", { points: [{ id, vector: [id % 7, 1, 2, 3] }] });
      acknowledged.push(id);
    } catch (error) {
      refused.push(String(error));
      assert(refused.length < 20, `too many writes failed: ${refused.join("; ")}`);
    }
  }
  for (const client of survivors) {
    const found = await client.retrieve("kept", { ids: acknowledged });
    assert.deepEqual(new Set(found.map(({ id }) => id)), new Set(acknowledged));
  }
  say(`${acknowledged.length} writes across the loss`);
  await life(survivors, "second");
  await assert.rejects(
    new QdrantClient({ url: urls[0] ?? "", apiKey: "wrong", checkCompatibility: false }).getCollections(),
    { status: 401 },
  );
  say("done");
}

await main();
