/** The record of who did what over gRPC: the same lines as for REST, and quotas before anything is proposed. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { limits } from "../../src/api/limits.ts";
import { Quotas } from "../../src/api/quotas.ts";
import { AuditLog } from "../../src/auth/audit-log.ts";
import { Guard } from "../../src/auth/guard.ts";
import { RateLimit } from "../../src/auth/rate-limit.ts";
import { methods } from "../../src/grpc/methods.ts";
import { NOW_MS, token, tokens } from "../auth/support.ts";
import { ended, startGrpc } from "../support/grpc.ts";

const directory = mkdtempSync(join(tmpdir(), "flotilla-grpc-audit-"));
afterAll(() => rmSync(directory, { recursive: true }));

const REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const KEYS = { apiKey: "manage", readOnlyApiKey: "read" };
const manage = { metadata: { "api-key": "manage" } };
const C = { collection: "c" };
const NEW = { ...C, dimension: 1, distance: "DISTANCE_DOT" };
const POINTS = { ...C, points: [{ id: { num: 1 }, vector: [1] }] };

let files = 0;
function auditLog() {
  const path = join(directory, `audit-${++files}.log`);
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

test("a change is one line, with its place in the log; each message of a stream is one", async () => {
  const { audit, lines } = auditLog();
  await using grpc = await startGrpc({ keys: KEYS, tokens: tokens().tokens, guard: new Guard({ audit }) });
  await grpc.call("Collections/Create", NEW, manage);
  const app = token({ sub: "loader", access: [{ collection: "c", access: "prw" }] });
  const stream = grpc.client.stream("Points/UpsertStream", { metadata: { authorization: `Bearer ${app}` } });
  const end = ended(stream.resume());
  stream.write(POINTS);
  stream.write({ ...POINTS, collection: "other" });
  expect((await end).code).toBe("PERMISSION_DENIED");
  const line = {
    time: new Date(NOW_MS).toISOString(),
    request: expect.stringMatching(/^[a-z0-9]+-g2$/) as string,
    actor: "token:loader",
    credential: "token",
    action: "write",
    operation: "/flotilla.v1.Points/UpsertStream",
    target: { collection: "c" },
    outcome: "done",
    status: 200,
    code: null,
    index: "0=1",
    why: null,
    remote: "127.0.0.1",
  };
  expect(lines()).toEqual([
    expect.objectContaining({
      actor: "api_key",
      action: "manage",
      outcome: "done",
      target: { collection: "c" },
    }),
    line,
    expect.objectContaining({
      actor: "token:loader",
      target: { collection: "other" },
      outcome: "refused",
      code: "FORBIDDEN",
      status: 403,
    }),
  ]);
});

test("a change of the cluster says where", async () => {
  const { audit, lines } = auditLog();
  await using grpc = await startGrpc({ guard: new Guard({ audit }) });
  await grpc.call("Collections/Create", NEW);
  await grpc.call("Cluster/AddVoter", { ...C, nodeId: 2 });
  await grpc.call("Cluster/RemoveNode", { nodeId: 9 });
  expect(lines().slice(1)).toEqual([
    expect.objectContaining({ target: { collection: "c", shard: "0", node: "2" }, outcome: "done" }),
    expect.objectContaining({ target: { node: "9" }, outcome: "failed", code: "INVALID" }),
  ]);
});

test("every method that changes something leaves a line, looking leaves none, strangers always do", async () => {
  const { audit, lines } = auditLog();
  await using grpc = await startGrpc({ keys: KEYS, guard: new Guard({ audit }) });
  const table = methods(limits()).filter(({ streams }) => !streams);
  for (const { path } of table) await grpc.client.raw(path, Buffer.from([0x0a, 0]), manage);
  const changing = table.filter(({ rule }) => ["write", "configure", "manage"].includes(rule.action));
  expect(lines().map(({ operation }) => operation)).toEqual(changing.map(({ path }) => path));
  expect(changing.length).toBeGreaterThan(15);
  await grpc.call("Points/Count", C);
  await grpc.call("Points/Count", C, { metadata: { "api-key": "guess" } });
  expect(lines().slice(-2)).toEqual([
    expect.objectContaining({
      actor: "anonymous",
      action: "read",
      outcome: "refused",
      code: "UNAUTHENTICATED",
    }),
    expect.objectContaining({
      actor: "unknown",
      action: "read",
      outcome: "refused",
      code: "UNAUTHENTICATED",
    }),
  ]);
  expect(JSON.stringify(lines())).not.toContain("guess");
});

test("guessing at reflection leaves lines and counts as elsewhere", async () => {
  const { audit, lines } = auditLog();
  const rate = new RateLimit({ perSecond: 1, burst: 2 }, { nowMs: () => NOW_MS });
  await using grpc = await startGrpc({ keys: KEYS, guard: new Guard({ audit, rate }) });
  const codes: string[] = [];
  for (const version of ["v1", "v1alpha", "v1"]) {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const end = ended(grpc.client.rawStream(path, { metadata: { "api-key": "guess" } }).resume());
    codes.push((await end).code);
  }
  expect(codes).toEqual(["UNAUTHENTICATED", "UNAUTHENTICATED", "RESOURCE_EXHAUSTED"]);
  expect(lines().map(({ actor, action, outcome, code }) => [actor, action, outcome, code])).toEqual([
    ["unknown", "list", "refused", "UNAUTHENTICATED"],
    ["unknown", "list", "refused", "UNAUTHENTICATED"],
    ["unknown", "list", "refused", "RATE_LIMITED"],
  ]);
  const known = { metadata: { "api-key": "read" } };
  const asked = () => ended(grpc.client.rawStream(REFLECT, known).resume().end());
  expect([(await asked()).code, (await asked()).code]).toEqual(["OK", "OK"]);
  expect((await asked()).code).toBe("RESOURCE_EXHAUSTED");
});

test("a quota refuses what adds data; reading and removing go on", async () => {
  const left = { free: 500 };
  using quotas = new Quotas(
    { diskFreeBytes: 400, memoryBytes: 0, directory },
    { everyMs: 0, probes: { freeBytes: () => Promise.resolve(left.free), memoryBytes: () => 0 } },
  );
  await quotas.look();
  await using grpc = await startGrpc({ guard: new Guard({ quotas }) });
  await grpc.call("Collections/Create", NEW);
  expect((await grpc.call("Points/Upsert", POINTS)).code).toBe("OK");
  left.free = 399;
  await quotas.look();
  const refused = await grpc.call("Points/Upsert", POINTS);
  expect([refused.code, refused.metadata["flotilla-code"]]).toEqual(["RESOURCE_EXHAUSTED", "OUT_OF_SPACE"]);
  expect((await grpc.call("Collections/Create", { ...NEW, collection: "d" })).code).toBe(
    "RESOURCE_EXHAUSTED",
  );
  expect((await grpc.call("Points/Get", { ...C, id: { num: 1 } })).code).toBe("OK");
  expect((await grpc.call("Points/Delete", { ...C, ids: [{ num: 1 }] })).code).toBe("OK");
});
