/** The gRPC API of real processes: one node from its first second on, and three of which one leads. */
import { Client, credentials } from "@grpc/grpc-js";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { service as HEALTH } from "grpc-health-check";
import type { MethodDefinition } from "@grpc/proto-loader";
import { expect, test } from "vitest";
import { ended, GrpcClient } from "../support/grpc.ts";
import { ClusterProcess } from "./cluster/cluster-process.ts";
import { NodeProcess, temporaryDirectory } from "./support/node-process.ts";

const C = { collection: "c" };
const addressOf = ({ readyLine }: NodeProcess): string => /grpc=(\S+)/.exec(readyLine)?.[1] ?? "";

async function health(address: string): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = HEALTH["Check"] as MethodDefinition<object, object>;
  const client = new Client(address, credentials.createInsecure());
  try {
    return await new Promise((resolve) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, (error, answer) =>
        resolve(error === null ? answer : error.message),
      );
    });
  } finally {
    client.close();
  }
}

test("a node serves gRPC once it is ready: keys, points by a stream, searches, and an orderly end", async () => {
  await using node = await NodeProcess.start({
    args: ["--api-key", "manage", "--read-only-api-key", "read"],
  });
  const address = addressOf(node);
  expect(await health(address)).toMatchObject({ status: "SERVING" });
  using client = new GrpcClient(address);
  const metadata = { "api-key": "manage" };
  const call = (path: string, request: object) => client.call(path, request, { metadata });
  expect((await client.call("Collections/List", {})).code).toBe("UNAUTHENTICATED");
  const made = { ...C, dimension: 8, distance: "DISTANCE_DOT", shardNumber: 2, replicationFactor: 1 };
  expect(await call("Collections/Create", made)).toMatchObject({ code: "OK" });

  const stream = client.stream("Points/UpsertStream", { metadata: { authorization: "Bearer manage" } });
  const end = ended(stream);
  const session = new Map<number, number>();
  stream.on("data", ({ indexes }: { readonly indexes: readonly { shard?: number; index: number }[] }) => {
    for (const { shard = 0, index } of indexes) session.set(shard, index);
  });
  for (let batch = 0; batch < 5; batch++) {
    const points = Array.from({ length: 40 }, (_, at) => {
      const num = batch * 40 + at;
      const vector = Array.from({ length: 8 }, (_, i) => Math.sin(num * 8 + i));
      return { id: { num }, vector, payloadJson: JSON.stringify({ num, text: "ü" }) };
    });
    stream.write({ ...C, points });
  }
  stream.end();
  expect(await end).toMatchObject({ code: "OK" });
  expect(session.size).toBe(2);

  const seen = [...session].map(([shard, index]) => ({ shard, index }));
  const options = { consistency: "CONSISTENCY_SESSION", session: seen };
  expect((await call("Points/Count", { ...C, options })).answer).toEqual({ count: 200 });
  const vector = Array.from({ length: 8 }, (_, i) => Math.sin(77 * 8 + i));
  const query = { vector, limit: 5, exact: true, withPayload: { mode: "MODE_ALL" }, withVector: true };
  const found = await call("Points/Search", { ...C, query });
  const hits = found.answer["hits"] as readonly {
    vector: readonly number[];
    payloadJson: string;
    score: number;
  }[];
  const expected = Array.from({ length: 200 }, (_, num) =>
    vector.reduce((sum, value, i) => sum + value * Math.sin(num * 8 + i), 0),
  ).sort((a, b) => b - a);
  expect(hits.map(({ score }) => score)).toEqual(
    expected.slice(0, 5).map((score) => expect.closeTo(score, 4) as number),
  );
  for (const { payloadJson, vector: own } of hits) {
    const { num } = JSON.parse(payloadJson) as { readonly num: number };
    expect(own).toEqual(Array.from({ length: 8 }, (_, i) => Math.fround(Math.sin(num * 8 + i))));
  }
  // REST sees the same points.
  const rest = await fetch(`${node.url}/collections/c/points/count`, {
    method: "POST",
    headers: { "content-type": "application/json", "api-key": "read" },
    body: "{}",
  });
  expect(await rest.json()).toMatchObject({ result: { count: 200 } });
  expect(await (await fetch(`${node.url}/metrics`, { headers: { "api-key": "read" } })).text()).toMatch(
    /route="\/flotilla\.v1\.Points\/Search"/,
  );

  // An open stream does not hold up the end.
  const open = client.stream("Points/UpsertStream", { metadata });
  const closed = ended(open.resume());
  open.write({ ...C, points: [{ id: { num: 1 }, vector }] });
  await once(open, "data");
  const stopping = node.stop();
  expect(await closed).toMatchObject({ code: "UNAVAILABLE", metadata: { "flotilla-code": "NOT_READY" } });
  expect((await stopping).code).toBe(0);
});

test("the example of the README does what it says", async () => {
  const block = /<!-- tested:grpc -->\n+```js\n([^]*?)```\n+<!-- \/tested:grpc -->/;
  const example = block.exec(readFileSync("README.md", "utf8"))?.[1] ?? "";
  await using node = await NodeProcess.start();
  using directory = temporaryDirectory();
  symlinkSync(join(process.cwd(), "node_modules"), join(directory.path, "node_modules"));
  const program = join(directory.path, "example.mjs");
  writeFileSync(program, example.replace("127.0.0.1:6334", addressOf(node)));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program]);
  expect(stderr).toBe("");
  expect(stdout).toMatch(/\[ 1, (1|0\.999\d+), '\{"word":"one"\}' \]/);
  expect(stdout).toMatch(/\[ 'a-name', 0\.714\d+, '\{\}' \]/);
  expect(stdout).toContain("true [ 'POINT_NOT_FOUND' ]");
});

test("of three nodes each takes a write, or says who leads when asked to", { timeout: 60_000 }, async () => {
  await using cluster = await ClusterProcess.of(3);
  const nodes = [1, 2, 3].map((number) => cluster.member(number).node as NodeProcess);
  const clients = nodes.map((node) => new GrpcClient(addressOf(node)));
  try {
    const [first] = clients as [GrpcClient];
    const made = { ...C, dimension: 2, distance: "DISTANCE_DOT", replicationFactor: 3 };
    expect((await first.call("Collections/Create", made)).code).toBe("OK");
    const leader = (await cluster.untilVoters("c", 3))[0]?.leader ?? 0;
    const outcomes = await Promise.all(
      clients.map(async (client, at) => {
        const request = (num: number) => ({ ...C, points: [{ id: { num }, vector: [1, num] }] });
        const forwarded = await client.call("Points/Upsert", request(at));
        const metadata = { "flotilla-redirect": "true" };
        return { forwarded, redirected: await client.call("Points/Upsert", request(10 + at), { metadata }) };
      }),
    );
    for (const [at, { forwarded, redirected }] of outcomes.entries()) {
      expect(forwarded.code).toBe("OK");
      if (at + 1 === leader) expect(redirected.code).toBe("OK");
      else
        expect(redirected).toMatchObject({
          code: "UNAVAILABLE",
          metadata: {
            "flotilla-code": "NOT_LEADER",
            "flotilla-leader-id": String(leader),
            "flotilla-leader-grpc": addressOf(nodes[leader - 1] as NodeProcess),
            "flotilla-term": expect.stringMatching(/^[1-9][0-9]*$/) as string,
          },
        });
    }
    for (const client of clients) {
      const options = { consistency: "CONSISTENCY_LINEARIZABLE" };
      expect((await client.call("Points/Count", { ...C, options })).answer).toEqual({ count: 4 });
    }
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
});
