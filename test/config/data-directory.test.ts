import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DataDirectory } from "../../src/config/data-directory.ts";
import { lockDirectory } from "../../src/config/directory-lock.ts";
import { temporaryDirectory } from "../e2e/support/node-process.ts";

/** A process that lives until killed. */
async function bystander() {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6); console.log(1)"]);
  await once(child.stdout, "data");
  return child;
}

function writeLock(path: string, holder: object): void {
  writeFileSync(join(path, "lock"), JSON.stringify(holder));
}

describe("the lock", () => {
  test("a second taker is told who holds it since when", () => {
    using directory = temporaryDirectory();
    using lock = lockDirectory(directory.path);
    expect(lock).toBeDefined();
    expect(() => lockDirectory(directory.path)).toThrow(
      new RegExp(`in use by process ${process.pid}, running since 20\\d\\d-`),
    );
  });

  test("is free again once released", () => {
    using directory = temporaryDirectory();
    lockDirectory(directory.path)[Symbol.dispose]();
    expect(existsSync(join(directory.path, "lock"))).toBe(false);
    using again = lockDirectory(directory.path);
    expect(again).toBeDefined();
  });

  test("of a dead process is taken over", async () => {
    using directory = temporaryDirectory();
    const child = await bystander();
    child.kill("SIGKILL");
    await once(child, "close");
    writeLock(directory.path, { pid: child.pid, startedAt: "then", birth: null });
    using lock = lockDirectory(directory.path);
    expect(lock).toBeDefined();
    expect(JSON.parse(readFileSync(join(directory.path, "lock"), "utf8"))).toMatchObject({
      pid: process.pid,
    });
  });

  test("of an older process whose id was reused is taken over", () => {
    using directory = temporaryDirectory();
    // As process 1 of a container that was killed and started again.
    writeLock(directory.path, { pid: process.pid, startedAt: "then", birth: "another-boot/17" });
    using lock = lockDirectory(directory.path);
    expect(lock).toBeDefined();
  });

  test("of a living process is respected even where the system tells no birth", async () => {
    using directory = temporaryDirectory();
    const child = await bystander();
    try {
      writeLock(directory.path, { pid: child.pid, startedAt: "then", birth: null });
      expect(() => lockDirectory(directory.path)).toThrow(`in use by process ${child.pid}`);
    } finally {
      child.kill("SIGKILL");
      await once(child, "close");
    }
  });

  test("half-written by a crash is taken over", () => {
    using directory = temporaryDirectory();
    writeFileSync(join(directory.path, "lock"), '{"pid":');
    using lock = lockDirectory(directory.path);
    expect(lock).toBeDefined();
  });
});

describe("the directory", () => {
  test("is made at the first start and keeps its identity", () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "new", "data");
    const first = DataDirectory.open(path, 7);
    expect(first.identity).toBeNull();
    first.assign({ nodeId: 7, clusterId: "c", founder: true });
    first[Symbol.dispose]();
    using second = DataDirectory.open(path, null);
    expect(second.identity).toEqual({ nodeId: 7, clusterId: "c", founder: true });
    expect(second.incarnation).toBe(first.incarnation);
    expect(second.incarnation).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("of another node is refused, and left unlocked", () => {
    using directory = temporaryDirectory();
    const first = DataDirectory.open(directory.path, 1);
    first.assign({ nodeId: 1, clusterId: "c", founder: true });
    first[Symbol.dispose]();
    expect(() => DataDirectory.open(directory.path, 2)).toThrow(/belongs to node 1, but --node-id says 2/);
    expect(existsSync(join(directory.path, "lock"))).toBe(false);
  });

  test("of somebody else is refused before anything is written", () => {
    using directory = temporaryDirectory();
    writeFileSync(join(directory.path, "thesis.tex"), "");
    expect(() => DataDirectory.open(directory.path, null)).toThrow(/not a data directory .*thesis\.tex/);
    expect(existsSync(join(directory.path, "node.json"))).toBe(false);
  });

  test.each([
    ["{", /node\.json is corrupt/],
    ['{"format":1}', /must hold format 1, an incarnation/],
    ['{"format":1,"incarnation":"x","nodeId":1}', /and, once known, nodeId, clusterId and founder/],
    ['{"format":99,"nodeId":1,"clusterId":"x"}', /written by a newer Flotilla/],
  ])("with node.json %s is refused", (text, message) => {
    using directory = temporaryDirectory();
    DataDirectory.open(directory.path, 1)[Symbol.dispose]();
    writeFileSync(join(directory.path, "node.json"), text);
    expect(() => DataDirectory.open(directory.path, null)).toThrow(message);
  });

  test("that lost its identity but not its log gets no new identity", () => {
    using directory = temporaryDirectory();
    writeFileSync(join(directory.path, "raft.db"), "x");
    expect(() => DataDirectory.open(directory.path, null)).toThrow(/node\.json is missing although raft\.db/);
  });

  test("that is a file, or lies where nothing may be made, is one clear error", () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "file");
    writeFileSync(file, "");
    expect(() => DataDirectory.open(file, null)).toThrow(/cannot be used: .*(EEXIST|ENOTDIR)/);
  });

  test.skipIf(process.getuid?.() === 0)("without write permission is one clear error", () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "data");
    mkdirSync(join(path, "shards"), { recursive: true });
    chmodSync(path, 0o500);
    expect(() => DataDirectory.open(path, null)).toThrow(/cannot be written/);
    chmodSync(path, 0o700);
  });
});
