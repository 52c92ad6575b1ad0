import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Client } from "./support/client.ts";
import { NodeProcess, temporaryDirectory } from "./support/node-process.ts";

const code = (body: { readonly status?: unknown }): unknown =>
  (body.status as { readonly code?: unknown } | undefined)?.code;
const vectors = { size: 4, distance: "Dot" };

describe("collections", () => {
  test("of concurrent creates of one name exactly one wins", async () => {
    await using node = await NodeProcess.start();
    const client = new Client(node.url);
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => client.call("PUT", "/collections/c", { vectors })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    const losers = answers.filter(({ status }) => status !== 200);
    expect(new Set(losers.map(({ body }) => code(body)))).toEqual(new Set(["COLLECTION_EXISTS"]));
    expect((await client.upsert("c", [{ id: 1, vector: [1, 0, 0, 0] }])).status).toBe(200);
  });

  test("deleted and made again under writes: nothing of the old one comes back", async () => {
    await using node = await NodeProcess.start();
    const client = new Client(node.url);
    for (let round = 0; round < 6; round++) {
      await client.create("c", { size: 4, shards: 2 });
      expect(await client.count("c")).toBe(0);
      let running = true;
      const writers = Array.from({ length: 4 }, async (_, lane) => {
        for (let n = 0; running; n++) {
          const { status, body } = await client.upsert("c", [
            { id: lane * 10_000 + n, vector: [round, lane, n, 1] },
          ]);
          // While it is deleted a write is refused for the collection's sake, never by a defect.
          if (status !== 200) expect(["COLLECTION_NOT_FOUND", "OUTCOME_UNKNOWN"]).toContain(code(body));
        }
      });
      await client.upsert("c", [{ id: 999_999, vector: [1, 1, 1, 1] }]);
      const gone = await client.drop("c");
      expect(gone.status).toBe(200);
      // From the answer on nothing can be acknowledged.
      const late = await client.upsert("c", [{ id: 5, vector: [1, 1, 1, 1] }]);
      expect(code(late.body)).toBe("COLLECTION_NOT_FOUND");
      running = false;
      await Promise.all(writers);
    }
  });

  test("what a delete could not finish before a kill is finished at the next start", async () => {
    using directory = temporaryDirectory();
    await using node = await NodeProcess.start({ dataDir: directory.path });
    const client = new Client(node.url);
    await client.create("keep", { size: 4 });
    await client.upsert("keep", [{ id: 1, vector: [1, 0, 0, 0] }]);
    await client.create("c", { size: 4, shards: 4 });
    await client.upsert("c", [{ id: 1, vector: [1, 0, 0, 0] }]);
    // Killed as soon as the delete is answered: logs and directories may still be there.
    await client.drop("c");
    await node.kill();

    await using again = await NodeProcess.start({ dataDir: directory.path });
    const after = new Client(again.url);
    const { body } = await after.call("GET", "/collections");
    expect((body.result as { collections: { name: string }[] }).collections).toEqual([{ name: "keep" }]);
    expect(await after.count("keep")).toBe(1);
    expect(readdirSync(join(directory.path, "shards"))).toHaveLength(1);
  });

  test("created and killed at once, a collection is either there and usable or not there", async () => {
    using directory = temporaryDirectory();
    for (let round = 0; round < 3; round++) {
      await using node = await NodeProcess.start({ dataDir: directory.path });
      const creating = new Client(node.url)
        .call("PUT", `/collections/c${round}`, { vectors, shard_number: 3 })
        .catch(() => null);
      if (round !== 0) await creating;
      await node.kill();
      const answer = await creating;
      await using again = await NodeProcess.start({ dataDir: directory.path });
      const client = new Client(again.url);
      const wrote = await client.upsert(`c${round}`, [{ id: 1, vector: [1, 0, 0, 0] }]);
      if (answer !== null) expect(wrote.status).toBe(200);
      else expect([200, 404]).toContain(wrote.status);
      await again.stop();
    }
  });
});

test("a request to many shards is not taken for a leak of listeners, which would fill the log", async () => {
  await using node = await NodeProcess.start();
  const client = new Client(node.url);
  await client.create("c", { size: 4, shards: 12 });
  const points = Array.from({ length: 100 }, (_, id) => ({ id, vector: [id, 1, 0, 0] }));
  expect((await client.upsert("c", points)).status).toBe(200);
  const query = { query: [1, 0, 0, 0], limit: 3 };
  const { body } = await client.call("POST", "/collections/c/points/query", query);
  expect((body.result as { readonly points: readonly object[] }).points).toHaveLength(3);
  for (const path of ["/collections/c/shards", "/collections/c", "/readyz", "/metrics"])
    await client.call("GET", path);
  await node.stop();
  const { stderr } = await node.ended;
  // Nothing but lines of the log.
  for (const line of stderr.trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("msg");
});

describe("writes and reads", () => {
  test("a repeated Idempotency-Key is applied once, for other operations it is a conflict", async () => {
    await using node = await NodeProcess.start();
    const client = new Client(node.url);
    await client.create("c", { size: 4 });
    const key = { "idempotency-key": "load-1" };
    const first = await client.upsert("c", [{ id: 1, vector: [1, 0, 0, 0] }], key);
    const again = await client.upsert("c", [{ id: 1, vector: [1, 0, 0, 0] }], key);
    expect([first.status, again.status]).toEqual([200, 200]);
    const { body } = await client.call("GET", "/collections/c/points/1");
    expect(`0=${(body.result as { readonly version: number }).version}`).toBe(first.index);
    const other = await client.upsert("c", [{ id: 2, vector: [1, 0, 0, 0] }], key);
    expect([other.status, code(other.body)]).toEqual([409, "CONFLICT"]);
  });

  test("the key still works after a restart", async () => {
    using directory = temporaryDirectory();
    const key = { "idempotency-key": "load-1" };
    await using node = await NodeProcess.start({ dataDir: directory.path });
    const client = new Client(node.url);
    await client.create("c", { size: 4 });
    const first = await client.upsert("c", [{ id: 1, vector: [1, 0, 0, 0] }], key);
    await node.kill();
    await using restarted = await NodeProcess.start({ dataDir: directory.path });
    const after = new Client(restarted.url);
    await after.upsert("c", [{ id: 1, vector: [1, 0, 0, 0] }], key);
    const { body } = await after.call("GET", "/collections/c/points/1");
    expect(`0=${(body.result as { readonly version: number }).version}`).toBe(first.index);
  });

  test.each(["eventual", "leader", "linearizable", "session"])(
    "a %s read over several shards sees what was acknowledged before",
    async (consistency) => {
      await using node = await NodeProcess.start();
      const client = new Client(node.url);
      await client.create("c", { size: 4, shards: 3 });
      const points = Array.from({ length: 30 }, (_, id) => ({ id, vector: [id, 0, 0, 1] }));
      const { index } = await client.upsert("c", points);
      expect(index).toMatch(/^0=\d+,1=\d+,2=\d+$/);
      const headers = { "x-flotilla-index": index ?? "" };
      const { body } = await client.call(
        "POST",
        `/collections/c/points/query?consistency=${consistency}`,
        { query: [1, 0, 0, 0], limit: 3, offset: 2 },
        headers,
      );
      const hits = (body.result as { readonly points: readonly { readonly id: number }[] }).points;
      expect(hits.map(({ id }) => id)).toEqual([27, 26, 25]);
    },
  );

  test("a write larger than one entry is in order and whole", async () => {
    await using node = await NodeProcess.start({ args: ["--limits-entry-bytes", "4096"] });
    const client = new Client(node.url);
    await client.create("c", { size: 64, shards: 2 });
    const vector = Array.from({ length: 64 }, () => 0.25);
    const points = Array.from({ length: 500 }, (_, id) => ({ id, vector, payload: { id } }));
    expect((await client.upsert("c", points)).status).toBe(200);
    expect(await client.count("c")).toBe(500);
  });

  test("who waits for a collection that is dropped meanwhile is told so at once, not at the deadline", async () => {
    await using node = await NodeProcess.start();
    const client = new Client(node.url);
    const soon = async (method: string, path: string, body: object): Promise<number> =>
      (await client.call(method, path, body, {}, AbortSignal.timeout(15_000))).status;
    const shape = { vectors: { size: 2, distance: "Dot" }, shard_number: 2 };
    const points = { points: [1, 2, 3].map((id) => ({ id, vector: [1, 2] })) };
    for (let lead = 0; lead < 12; lead++) {
      const made = soon("PUT", "/collections/c", shape);
      // Steps of the event loop, so that the end of the collection meets its beginning at many places.
      for (let step = 0; step < lead * 20; step++) await new Promise((resolve) => setImmediate(resolve));
      const written = soon("PUT", "/collections/c/points", points);
      await client.drop("c");
      expect(await made).toBe(200);
      expect([200, 404, 503]).toContain(await written);
      await client.drop("c");
    }
  });

  test("metrics tell of threads, log and shards", async () => {
    await using node = await NodeProcess.start();
    const client = new Client(node.url);
    await client.create("c", { size: 4 });
    await client.upsert("c", [{ id: 1, vector: [1, 0, 0, 0] }]);
    const text = await (await fetch(`${node.url}/metrics`)).text();
    expect(text).toMatch(/^flotilla_shard_points\{collection="c",shard="0"\} 1$/m);
    expect(text).toMatch(/^flotilla_consensus_turn_delay_ms \d/m);
    expect(text).toMatch(
      /^flotilla_http_request_seconds_count\{route="\/collections\/:collection\/points",method="PUT",status="200"\} 1$/m,
    );
  });
});
