import { expect, test } from "vitest";
import type { ShedReason } from "../../src/api/load-shedder.ts";
import { CITY, errorOf, startRest } from "../support/rest.ts";

const POINT = { points: [{ id: 1, vector: [1, 0, 0, 0] }] };
const UPSERT = ["PUT", "/collections/cities/points", POINT] as const;
const SEARCH = ["POST", "/collections/cities/points/search", { vector: [1, 0, 0, 0], limit: 1 }] as const;

test("503 with Retry-After while probes and administration are answered, and room again once one is done", async () => {
  await using rest = await startRest({ http: { inflightMax: 1 } });
  await rest.call("PUT", "/collections/cities", CITY);
  const held = rest.cluster.hold();
  const first = rest.call(...UPSERT);
  await held.arrived;
  const refused = await rest.call(...UPSERT);
  expect([refused.status, errorOf(refused).code, refused.headers.get("retry-after")]).toEqual([
    503,
    "OVERLOADED",
    "1",
  ]);
  for (const path of ["/readyz", "/metrics", "/collections", "/cluster"])
    expect([path, (await rest.call("GET", path)).status]).toEqual([path, 200]);
  held.release();
  expect((await first).status).toBe(200);
  expect((await rest.call(...UPSERT)).status).toBe(200);
});

test("reads of a busy collection are refused before their body is read; its writes and other reads are served", async () => {
  const shed: ShedReason[] = [];
  const isBusy = (collection: string): boolean => collection === "cities";
  await using rest = await startRest({ shed: { isBusy, shed: (reason) => shed.push(reason) } });
  await rest.call("PUT", "/collections/cities", CITY);
  await rest.call("PUT", "/collections/people", CITY);
  expect((await rest.call(...UPSERT)).status).toBe(200);
  const refused = await rest.call(...SEARCH);
  expect([refused.status, errorOf(refused).code]).toEqual([503, "OVERLOADED"]);
  const unread = await rest.raw(SEARCH[0], SEARCH[1], "{ no JSON", { "content-type": "application/json" });
  expect(unread.status).toBe(503);
  const others = await rest.call(SEARCH[0], "/collections/people/points/search", SEARCH[2]);
  expect(others.status).toBe(200);
  expect((await rest.call("GET", "/collections/cities")).status).toBe(200);
  expect(shed).toEqual(["queue", "queue"]);
});
