/** More searches than a node serves, from outside: refused in words at either door, and nothing else suffers. */
import { expect, test } from "vitest";
import { GrpcClient } from "../support/grpc.ts";
import { Client } from "./support/client.ts";
import { NodeProcess } from "./support/node-process.ts";

const POINTS = 1_000;
const DIMENSION = 32;
/** Searches of all points in one request: long enough that those sent with it find it at work. */
const SEARCHES = 20;
const CLIENTS = 24;
const MAX = 4;

const vector = (seed: number): number[] =>
  Array.from({ length: DIMENSION }, (_, at) => Math.sin(seed * DIMENSION + at));

test("a queue of searches that is too long refuses reads at both doors; writes, probes and administration go on", async () => {
  await using node = await NodeProcess.start({
    args: [
      "--http-read-queue-max",
      String(MAX),
      "--http-read-queue-overloaded",
      "1",
      "--engine-threads",
      "1",
    ],
  });
  const client = new Client(node.url);
  for (const name of ["busy", "fresh"])
    expect(
      (await client.call("PUT", `/collections/${name}`, { vectors: { size: DIMENSION, distance: "Dot" } }))
        .status,
    ).toBe(200);
  const points = Array.from({ length: POINTS }, (_, id) => ({ id, vector: vector(id) }));
  expect((await client.call("PUT", "/collections/busy/points", { points })).status).toBe(200);

  const long = {
    searches: Array.from({ length: SEARCHES }, (_, at) => ({
      vector: vector(at),
      limit: 1,
      params: { exact: true },
    })),
  };
  let refusedOne = (): void => undefined;
  const refusal = new Promise<void>((resolve) => (refusedOne = resolve));
  const searches = Array.from({ length: CLIENTS }, async () => {
    const { status } = await client.call("POST", "/collections/busy/points/search/batch", long);
    if (status === 503) refusedOne();
    return status;
  });
  await Promise.race([refusal, Promise.all(searches)]);
  using grpc = new GrpcClient(/grpc=(\S+)/.exec(node.readyLine)?.[1] ?? "");
  const [read, write, administration, ready, statuses] = await Promise.all([
    grpc.call("Points/Count", { collection: "busy" }),
    grpc.call("Points/Upsert", { collection: "busy", points: [{ id: { num: 1 }, vector: vector(1) }] }),
    client.call("GET", "/collections/busy"),
    fetch(`${node.url}/readyz`),
    Promise.all(searches),
  ]);
  expect(read).toMatchObject({ code: "UNAVAILABLE", metadata: { "flotilla-code": "OVERLOADED" } });
  expect([write.code, administration.status, ready.status]).toEqual(["OK", 200, 200]);
  const refused = statuses.filter((status) => status === 503).length;
  expect([refused > 0, statuses.filter((status) => status === 200).length]).toEqual([
    true,
    CLIENTS - refused,
  ]);
  expect(CLIENTS - refused).toBeGreaterThanOrEqual(MAX);
  const metrics = await (await fetch(`${node.url}/metrics`)).text();
  expect(metrics).toContain(`flotilla_requests_shed_total{reason="queue"} ${refused + 1}\n`);
  // Nobody waits there any more.
  expect((await client.call("POST", "/collections/busy/points/search/batch", long)).status).toBe(200);
});
