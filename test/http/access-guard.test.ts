/** What stands before use cases besides permission: the record of who did what, rates, quotas. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Quotas } from "../../src/api/quotas.ts";
import { limits } from "../../src/api/limits.ts";
import { AuditLog } from "../../src/auth/audit-log.ts";
import { Guard, type GuardParts } from "../../src/auth/guard.ts";
import { RateLimit } from "../../src/auth/rate-limit.ts";
import { routes } from "../../src/http/routes.ts";
import { NOW_MS, token, tokens } from "../auth/support.ts";
import { CITY, errorOf, startRest, type Rest } from "../support/rest.ts";

const directory = mkdtempSync(join(tmpdir(), "flotilla-guard-"));
afterAll(() => rmSync(directory, { recursive: true }));

const KEYS = { apiKey: "manage", readOnlyApiKey: "read" };
const MANAGE = { "api-key": "manage" };
const POINTS = { points: [{ id: 1, vector: [1, 0, 0, 0] }] };
const UPSERT = ["PUT", "/collections/cities/points", POINTS] as const;

const guarded = (parts: GuardParts): Promise<Rest> =>
  startRest({ keys: KEYS, tokens: tokens().tokens, guard: new Guard(parts) });

let files = 0;
function auditLog(path = join(directory, `audit-${++files}.log`)) {
  const audit = new AuditLog(
    { path, fileBytes: 1 << 20, files: 1, refusalsPerSecond: 1_000 },
    { nowMs: () => NOW_MS, changed: () => undefined },
  );
  const lines = (): Record<string, unknown>[] =>
    readFileSync(path, "utf8")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { audit, lines };
}

describe("the audit log", () => {
  test("says who changed what, with the place in the log, before the answer is there", async () => {
    const { audit, lines } = auditLog();
    await using rest = await guarded({ audit });
    await rest.call("PUT", "/collections/cities", CITY, MANAGE);
    const app = token({ sub: "loader", access: [{ collection: "cities", access: "prw" }] });
    const upsert = await rest.call(...UPSERT, { authorization: `Bearer ${app}` });
    expect(lines()).toEqual([
      expect.objectContaining({ actor: "api_key", action: "manage", outcome: "done", status: 200 }),
      {
        time: new Date(NOW_MS).toISOString(),
        request: expect.stringMatching(/^[a-z0-9]+-2$/) as string,
        actor: "token:loader",
        credential: "token",
        action: "write",
        operation: "PUT /collections/:collection/points",
        target: { collection: "cities" },
        outcome: "done",
        status: 200,
        code: null,
        index: upsert.headers.get("x-flotilla-index"),
        why: null,
        remote: "127.0.0.1",
      },
    ]);
    expect(lines()[1]?.["index"]).toMatch(/^0=[0-9]+$/);
  });

  test("has what failed, was refused, and every failed login; never a credential", async () => {
    const { audit, lines } = auditLog();
    await using rest = await guarded({ audit });
    await rest.call(...UPSERT, MANAGE);
    await rest.call("DELETE", "/collections/cities", undefined, { "api-key": "read" });
    await rest.call("GET", "/collections", undefined, { "api-key": "guess-1" });
    await rest.call("GET", "/nothing");
    const forged = token({ access: "m" }, "guess-2");
    await rest.call("POST", "/collections/cities/points/search", {}, { authorization: `Bearer ${forged}` });
    expect(
      lines().map(({ actor, action, outcome, status, code }) => [actor, action, outcome, status, code]),
    ).toEqual([
      ["api_key", "write", "failed", 404, "COLLECTION_NOT_FOUND"],
      ["read_only_api_key", "manage", "refused", 403, "FORBIDDEN"],
      ["unknown", "list", "refused", 401, "UNAUTHENTICATED"],
      ["anonymous", "list", "refused", 401, "UNAUTHENTICATED"],
      ["refused-token", "read", "refused", 401, "UNAUTHENTICATED"],
    ]);
    const text = JSON.stringify(lines());
    for (const secret of ["guess-1", forged, 'manage"'])
      expect(text.replaceAll('"manage"', "")).not.toContain(secret);
  });

  test("says refused also of what only the body shows to need another right", async () => {
    const { audit, lines } = auditLog();
    await using rest = await guarded({ audit });
    await rest.call("PUT", "/collections/cities", CITY, MANAGE);
    const own = token({ sub: "app", access: [{ collection: "cities", access: "rw" }] });
    const fewer = { params: { replication_factor: 1 } };
    const answer = await rest.call("PATCH", "/collections/cities", fewer, { "api-key": own });
    expect(answer.status).toBe(403);
    expect(lines().at(-1)).toMatchObject({
      actor: "token:app",
      action: "configure",
      outcome: "refused",
      code: "FORBIDDEN",
    });
  });

  test("has a line for every route that changes something, and none for looking", async () => {
    const { audit, lines } = auditLog();
    await using rest = await guarded({ audit });
    const table = routes({ limits: limits(), metricsText: () => Promise.resolve("") });
    for (const { method, url } of table)
      await rest.call(method, url.replace(/:[a-z]+/g, "1"), method === "GET" ? undefined : {}, MANAGE);
    const changing = table.filter(({ rule }) => ["write", "configure", "manage"].includes(rule.action));
    expect(lines().map(({ operation }) => operation)).toEqual(
      changing.map(({ method, url }) => `${method} ${url}`),
    );
    expect(changing.length).toBeGreaterThan(15);
  });

  test("that cannot be written refuses changes when it is required, and only then", async () => {
    const { audit } = auditLog("/dev/full");
    await using strict = await guarded({ audit, auditRequired: true });
    // The first change is what finds out.
    await strict.call("PUT", "/collections/cities", CITY, MANAGE);
    const refused = await strict.call(...UPSERT, MANAGE);
    expect([refused.status, errorOf(refused).code]).toEqual([507, "OUT_OF_SPACE"]);
    expect(errorOf(refused).error).toMatch(/audit log cannot be written.*nothing was changed/);
    const count = await strict.call("POST", "/collections/cities/points/count", {}, MANAGE);
    expect(count.body.result).toEqual({ count: 0 });
    await using lax = await guarded({ audit });
    await lax.call("PUT", "/collections/cities", CITY, MANAGE);
    expect((await lax.call(...UPSERT, MANAGE)).status).toBe(200);
    expect(new Guard({ audit }).notes()).toEqual([
      expect.stringMatching(/audit log cannot be written: ENOSPC/),
    ]);
  });
});

test("each key has its own rate, strangers count by address, and probes are free", async () => {
  const clock = { nowMs: NOW_MS };
  const rate = new RateLimit({ perSecond: 2, burst: 3 }, { nowMs: () => clock.nowMs });
  await using rest = await guarded({ rate });
  const times = async (count: number, headers: Record<string, string>, path = "/collections") => {
    const statuses: number[] = [];
    for (let i = 0; i < count; i++) statuses.push((await rest.call("GET", path, undefined, headers)).status);
    return statuses;
  };
  expect(await times(5, MANAGE)).toEqual([200, 200, 200, 429, 429]);
  expect(await times(4, { "api-key": "read" })).toEqual([200, 200, 200, 429]);
  expect(await times(2, { "api-key": "guess" })).toEqual([401, 401]);
  expect(await times(2, { "api-key": "another guess" })).toEqual([401, 429]);
  expect(await times(1, {}, "/nothing")).toEqual([429]);
  expect(await times(4, {}, "/healthz")).toEqual([200, 200, 200, 200]);
  const told = await rest.call("GET", "/collections", undefined, MANAGE);
  expect([errorOf(told).code, told.headers.get("retry-after")]).toEqual(["RATE_LIMITED", "1"]);
  clock.nowMs += 500;
  expect(await times(2, MANAGE)).toEqual([200, 429]);
});

test("a quota refuses what adds data; reading and removing go on", async () => {
  const left = { free: 500, memory: 10 };
  using quotas = new Quotas(
    { diskFreeBytes: 400, memoryBytes: 100, directory },
    { everyMs: 0, probes: { freeBytes: () => Promise.resolve(left.free), memoryBytes: () => left.memory } },
  );
  await quotas.look();
  await using rest = await guarded({ quotas });
  await rest.call("PUT", "/collections/cities", CITY, MANAGE);
  expect((await rest.call(...UPSERT, MANAGE)).status).toBe(200);
  for (const [free, memory, message] of [
    [399, 10, /399 bytes of disk are free, at least 400.*`quota.disk_free_bytes`/],
    [500, 101, /101 bytes of memory, 100 are allowed.*`quota.memory_bytes`/],
  ] as const) {
    Object.assign(left, { free, memory });
    await quotas.look();
    const refused = await rest.call(...UPSERT, MANAGE);
    expect([refused.status, errorOf(refused).code]).toEqual([507, "OUT_OF_SPACE"]);
    expect(errorOf(refused).error).toMatch(message);
    expect((await rest.call("PUT", "/collections/more", CITY, MANAGE)).status).toBe(507);
    expect((await rest.call("GET", "/collections/cities/points/1", undefined, MANAGE)).status).toBe(200);
    const gone = await rest.call("POST", "/collections/cities/points/delete", { points: [7] }, MANAGE);
    expect(gone.status).toBe(200);
  }
  Object.assign(left, { free: 500, memory: 10 });
  await quotas.look();
  expect((await rest.call(...UPSERT, MANAGE)).status).toBe(200);
});

test("a disk that cannot be asked counts as full", async () => {
  const freeBytes = () => Promise.reject(new Error("EIO"));
  using quotas = new Quotas(
    { diskFreeBytes: 1, memoryBytes: 0, directory },
    { everyMs: 0, probes: { freeBytes, memoryBytes: () => 0 } },
  );
  await quotas.look();
  expect(quotas.problem).toMatch(/cannot be asked: EIO/);
});
