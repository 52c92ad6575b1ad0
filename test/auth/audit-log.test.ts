import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AuditLog, type AuditEntry, type AuditOptions } from "../../src/auth/audit-log.ts";
import type { WriteBytes } from "../../src/auth/rotating-file.ts";
import { NOW_MS } from "./support.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-audit-"));
  path = join(directory, "audit.log");
});
afterEach(() => rmSync(directory, { recursive: true }));

const ENTRY: AuditEntry = {
  request: "r-1",
  actor: "token:app",
  credential: "token",
  action: "write",
  operation: "PUT /collections/:collection/points",
  target: { collection: "cities" },
  outcome: "done",
  status: 200,
  code: null,
  index: "0=7",
  why: null,
  remote: "127.0.0.1",
};

function open(options: Partial<AuditOptions> = {}, write?: WriteBytes) {
  const clock = { nowMs: NOW_MS };
  const changes: (string | null)[] = [];
  const log = new AuditLog(
    { path, fileBytes: 1 << 20, files: 3, refusalsPerSecond: 100, ...options },
    {
      nowMs: () => clock.nowMs,
      changed: (failure) => changes.push(failure?.message ?? null),
      ...(write === undefined ? {} : { write }),
    },
  );
  return { log, clock, changes };
}

const lines = (of = path): Record<string, unknown>[] =>
  readFileSync(of, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test("an entry is one line of JSON with its time, in the file when record returns", () => {
  const { log } = open();
  log.record(ENTRY);
  expect(lines()).toEqual([{ time: new Date(NOW_MS).toISOString(), ...ENTRY }]);
  log.record({ ...ENTRY, actor: 'a"b\nc' });
  expect(lines()).toHaveLength(2);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("an existing file is continued, and half a line that a crash left is ended first", () => {
  writeFileSync(path, '{"whole":1}\n{"half');
  const { log } = open();
  log.record(ENTRY);
  const [whole, half, own] = readFileSync(path, "utf8").split("\n");
  expect([whole, half]).toEqual(['{"whole":1}', '{"half']);
  expect(JSON.parse(own ?? "")).toMatchObject({ actor: "token:app" });
});

test("a full file is set aside, so many are kept, and no line is divided", () => {
  const { log } = open({ fileBytes: 4_096, files: 2 });
  for (let i = 0; i < 200; i++) log.record({ ...ENTRY, request: `r-${i}` });
  const kept = [`${path}.2`, `${path}.1`, path];
  for (const one of kept) expect(statSync(one).size).toBeLessThanOrEqual(4_096);
  expect(existsSync(`${path}.3`)).toBe(false);
  const requests = kept.flatMap((one) => lines(one)).map(({ request }) => request);
  const last = requests.length;
  expect(last).toBeGreaterThan(20);
  expect(requests).toEqual(Array.from({ length: last }, (_, i) => `r-${200 - last + i}`));
});

test("a file that somebody took away is begun anew, and those set aside stay as they are", () => {
  const { log, changes } = open({ fileBytes: 4_096, files: 3 });
  writeFileSync(`${path}.1`, "older\n");
  log.record(ENTRY);
  rmSync(path);
  for (let i = 0; i < 30; i++) log.record({ ...ENTRY, request: `r-${i}` });
  expect([log.failure, log.waiting, changes.length]).toEqual([null, 0, 0]);
  expect(lines().at(-1)).toMatchObject({ request: "r-29" });
  const kept = [1, 2, 3].map((at) => `${path}.${at}`).filter((one) => existsSync(one));
  expect(kept.map((one) => readFileSync(one, "utf8"))).toContain("older\n");
});

describe("a full disk", () => {
  test("shows, keeps lines in order, continues the one that was cut, and ends", () => {
    const disk = { free: 1_000 };
    const write: WriteBytes = (fd, bytes, offset) => {
      if (disk.free === 0) throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
      const written = writeSync(fd, bytes, offset, Math.min(disk.free, bytes.length - offset));
      disk.free -= written;
      return written;
    };
    const { log, changes } = open({}, write);
    for (let i = 0; i < 10; i++) log.record({ ...ENTRY, request: `r-${i}` });
    expect(log.failure?.message).toMatch(/ENOSPC/);
    expect(log.waiting).toBeGreaterThan(5);
    expect(readFileSync(path).length).toBe(1_000);
    disk.free = Infinity;
    log.retry();
    expect([log.failure, log.waiting, log.lost]).toEqual([null, 0, 0]);
    expect(lines().map(({ request }) => request)).toEqual(Array.from({ length: 10 }, (_, i) => `r-${i}`));
    expect(changes).toEqual([expect.stringMatching(/ENOSPC/), null]);
  });

  test("of the system looks the same, and what is lost is counted", () => {
    const { log } = open({ path: "/dev/full" });
    for (let i = 0; i < 5_000; i++) log.record(ENTRY);
    expect(log.failure).toMatchObject({ code: "ENOSPC" });
    expect([log.waiting, log.lost]).toEqual([4_096, 904]);
  });
});

test("refusals beyond so many in a second become one line that counts them", () => {
  const { log, clock } = open({ refusalsPerSecond: 3 });
  const refused = { ...ENTRY, outcome: "refused", status: 401 } as const;
  for (let i = 0; i < 10; i++) log.record(refused);
  log.record(ENTRY);
  clock.nowMs += 1_000;
  log.record(refused);
  expect(lines().map(({ outcome, suppressed }) => suppressed ?? outcome)).toEqual([
    "refused",
    "refused",
    "refused",
    "done",
    7,
    "refused",
  ]);
  for (let i = 0; i < 5; i++) log.record(refused);
  log[Symbol.dispose]();
  expect(lines().at(-1)).toMatchObject({ suppressed: 3 });
});

test("a path that cannot be opened is an error at the start", () => {
  expect(() => open({ path: join(directory, "missing", "audit.log") })).toThrow(/ENOENT/);
});
