import { spawn } from "node:child_process";
import { readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { once } from "node:events";
import { createInterface } from "node:readline";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import { openSqliteLog } from "../../shards/adapters.ts";
import type { SqliteLog } from "../../shards/adapters.ts";
import { LogIndex } from "../../shards/index.ts";
import { CHECKPOINT_BYTES } from "../../shards/log/sqlite-file.ts";
import { CONF, G1, entries, entry, hard, meta, plain } from "./log-conformance.ts";
import { scratch } from "./support/scratch.ts";

/** A log of 40 entries, 30 of them committed, and where it lies. Everything is in the file itself, not in the WAL. */
async function written(): Promise<string> {
  const path = join(scratch(), "raft.db");
  const log = await openSqliteLog({ path });
  await log.create(G1, meta(0, 0, CONF));
  await log.write([{ group: G1, entries: entries(1, 40), hardState: hard(1, 2, 30) }]);
  await log[Symbol.asyncDispose]();
  return path;
}

function sql(path: string, statement: string): void {
  const db = new Database(path);
  db.exec(statement);
  db.close();
}

async function readAll(log: SqliteLog): Promise<void> {
  const group = log.open(G1);
  group.entries(group.firstIndex(), LogIndex(group.lastIndex() + 1), Infinity);
}

test.each([
  ["a committed entry's data", "UPDATE entries SET data = x'00' WHERE idx = 7", 7],
  ["an uncommitted entry's data", "UPDATE entries SET data = x'00' WHERE idx = 33", 33],
  ["an entry's checksum", "UPDATE entries SET crc = crc + 1 WHERE idx = 8", 8],
  ["an entry's kind", "UPDATE entries SET kind = 1 WHERE idx = 9", 9],
  ["an entry's kind to one there is not", "UPDATE entries SET kind = 9 WHERE idx = 9", 9],
  ["an entry's place", "UPDATE entries SET data = (SELECT data FROM entries WHERE idx = 5) WHERE idx = 6", 6],
])("damage to %s is found when it is read, and names the entry", async (_, statement, index) => {
  const path = await written();
  sql(path, statement);
  const found = async (): Promise<void> => {
    await using log = await openSqliteLog({ path });
    await readAll(log);
  };
  await expect(found()).rejects.toMatchObject({ code: "LOG_CORRUPT", group: G1, index });
});

test.each([
  ["an entry in the middle is missing", "DELETE FROM entries WHERE idx = 12", 12],
  ["the last entries are missing", "DELETE FROM entries WHERE idx > 38", 39],
  ["the first entries are missing", "DELETE FROM entries WHERE idx < 3", 1],
  ["there are more entries than were written", "INSERT INTO entries VALUES (1, 41, 1, 0, 0, x'')", 41],
  ["an entry's term falls", "UPDATE entries SET term = 0 WHERE idx = 20", 20],
  ["an uncommitted entry is damaged", "UPDATE entries SET data = x'00' WHERE idx = 40", 40],
  ["the vote was changed", "UPDATE groups SET vote = 3", null],
  ["the commit index was changed", "UPDATE groups SET commit_index = 29", null],
  ["the membership was changed", "UPDATE groups SET boundary_conf = replace(boundary_conf, '3', '4')", null],
  ["the membership cannot be read", "UPDATE groups SET boundary_conf = '['", null],
  ["a number is larger than is exact", "UPDATE groups SET term = 9007199254740993", null],
])("a log does not open when %s", async (_, statement, index) => {
  const path = await written();
  sql(path, statement);
  await expect(openSqliteLog({ path })).rejects.toMatchObject({ code: "LOG_CORRUPT", group: G1, index });
});

test("flipped bytes anywhere in the file are found or harmless, never served", async () => {
  const path = await written();
  const whole = readFileSync(path);
  let found = 0;
  for (let at = 0; at < whole.length; at += 97) {
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] ?? 0) ^ 0x41;
    writeFileSync(path, damaged);
    try {
      await using log = await openSqliteLog({ path });
      const group = log.open(G1);
      expect(plain(group.entries(LogIndex(1), LogIndex(41), Infinity))).toEqual(plain(entries(1, 40)));
      expect(group.hardState()).toEqual(hard(1, 2, 30));
    } catch (error) {
      expect(error).toMatchObject({ name: "LogError", code: expect.stringMatching(/CORRUPT|VERSION|IO/) });
      found++;
    }
  }
  expect(found).toBeGreaterThan(0);
});

test("a file that is no log, or of another format, is refused and left alone", async () => {
  const path = await written();
  sql(path, "PRAGMA user_version = 2");
  await expect(openSqliteLog({ path })).rejects.toMatchObject({
    code: "LOG_VERSION",
    message: expect.stringContaining("log format 2, and this version reads format 1"),
  });
  const other = join(scratch(), "raft.db");
  sql(other, "CREATE TABLE t(x)");
  await expect(openSqliteLog({ path: other })).rejects.toMatchObject({ code: "LOG_VERSION" });
  const text = join(scratch(), "raft.db");
  writeFileSync(text, "this is not a database, however long it may be ".repeat(500));
  await expect(openSqliteLog({ path: text })).rejects.toMatchObject({ code: "LOG_CORRUPT" });
});

test("a log cut short is refused", async () => {
  const path = await written();
  truncateSync(path, 20_000);
  await expect(openSqliteLog({ path })).rejects.toMatchObject({ code: "LOG_CORRUPT" });
});

test("a directory that is not there is said so", async () => {
  await expect(openSqliteLog({ path: join(scratch(), "no", "raft.db") })).rejects.toThrowError(/raft\.db/);
});

test("a log that is open cannot be opened again", async () => {
  const path = await written();
  await using first = await openSqliteLog({ path });
  await expect(openSqliteLog({ path })).rejects.toMatchObject({ code: "LOG_LOCKED" });
  expect(first.groups()).toEqual([G1]);
});

test("compacted and destroyed entries are freed bit by bit, and the file stops growing", async () => {
  const path = join(scratch(), "raft.db");
  const log = await openSqliteLog({ path, cacheBytesMax: 0 });
  await log.create(G1, meta(0, 0, CONF));
  const large = "x".repeat(100_000);
  const sizes: number[] = [];
  for (let at = 1; at <= 600; at++) {
    const compactTo = at % 50 === 0 ? { compactTo: meta(at - 10, 1) } : {};
    await log.write([{ group: G1, entries: [entry(at, 1, large)], hardState: hard(1, 0, at), ...compactTo }]);
    if (at % 200 === 0) sizes.push(pages(path));
  }
  expect(sizes[2]).toBeLessThanOrEqual((sizes[1] ?? 0) * 1.1);
  await log[Symbol.asyncDispose]();
  await using again = await openSqliteLog({ path });
  expect(again.open(G1).firstIndex()).toBe(591);
});

test("what was committed moves into the database between the turns, of large entries and of small ones", async () => {
  for (const [bytes, count] of [
    [300_000, 100],
    [100, 1_000],
  ] as const) {
    const path = join(scratch(), "raft.db");
    await using log = await openSqliteLog({ path });
    await log.create(G1, meta(0, 0, CONF));
    for (let at = 1; at <= count; at++) {
      await log.write([{ group: G1, entries: [entry(at, 1, "x".repeat(bytes))], hardState: hard(1, 0, at) }]);
      await new Promise(setImmediate);
    }
    expect(statSync(`${path}-wal`).size).toBeLessThan(3 * CHECKPOINT_BYTES);
  }
});

/** From the header: how many pages the file has, whatever still lies in the WAL. */
function pages(path: string): number {
  return readFileSync(path).readUInt32BE(28);
}

test("a WAL whose end was torn off loses only what was never acknowledged", async () => {
  const path = join(scratch(), "raft.db");
  const log = await openSqliteLog({ path });
  await log.create(G1, meta(0, 0, CONF));
  await log.write([{ group: G1, entries: entries(1, 3), hardState: hard(1, 1, 1) }]);
  const [db, walBefore] = [readFileSync(path), readFileSync(`${path}-wal`)];
  await log.write([{ group: G1, entries: entries(2, 6, 2), hardState: hard(2, 0, 1) }]);
  const wal = readFileSync(`${path}-wal`);
  await log[Symbol.asyncDispose]();
  for (let cut = walBefore.length; cut < wal.length; cut += 1_999) {
    writeFileSync(path, db);
    writeFileSync(`${path}-wal`, wal.subarray(0, cut));
    let again = await openSqliteLog({ path });
    expect(plain(again.open(G1).entries(LogIndex(1), LogIndex(4), Infinity))).toEqual(plain(entries(1, 3)));
    await again.write([{ group: G1, entries: entries(3, 4, 3), hardState: hard(3, 0, 2) }]);
    await again[Symbol.asyncDispose]();
    again = await openSqliteLog({ path });
    expect(again.open(G1).lastIndex()).toBe(4);
    await again[Symbol.asyncDispose]();
  }
});

test("damage in the WAL of what was acknowledged is told from a torn end", async () => {
  const path = join(scratch(), "raft.db");
  const log = await openSqliteLog({ path });
  await log.create(G1, meta(0, 0, CONF));
  const ends: number[] = [];
  for (let at = 1; at <= 5; at++) {
    await log.write([
      { group: G1, entries: [entry(at, 1, "x".repeat(40_000))], hardState: hard(1, 1, at - 1) },
    ]);
    ends.push(readFileSync(`${path}-wal`).length);
  }
  const [db, wal] = [readFileSync(path), readFileSync(`${path}-wal`)];
  await log[Symbol.asyncDispose]();
  const lastBegins = ends[3] ?? 0;
  for (let at = 40; at < wal.length; at += 4_099) {
    const damaged = Buffer.from(wal);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    writeFileSync(path, db);
    writeFileSync(`${path}-wal`, damaged);
    if (at < lastBegins) {
      await expect(openSqliteLog({ path })).rejects.toMatchObject({ code: "LOG_CORRUPT" });
      continue;
    }
    // Nothing follows the last transaction: its damage cannot be told from a crash before its fsync.
    await using again = await openSqliteLog({ path });
    expect(again.open(G1).lastIndex()).toBe(4);
  }
});

test("what was acknowledged before SIGKILL is there after it", async () => {
  const path = join(scratch(), "raft.db");
  let acknowledged = 0;
  for (let round = 0; round < 4; round++) {
    const child = spawn(process.execPath, [resolve("dist/test/shards/support/log-writer.js"), path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exit = once(child, "exit");
    // Killed at an arbitrary moment of its loop, some acknowledgements after it began.
    let left = 20 + round * 37;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      if (--left === 0) child.kill("SIGKILL");
    }
    expect((await exit)[1]).toBe("SIGKILL");
    await using log = await openSqliteLog({ path });
    const group = log.open(G1);
    expect(group.lastIndex()).toBeGreaterThanOrEqual(acknowledged);
    expect(group.hardState().commit).toBe(group.lastIndex());
    const all = group.entries(group.firstIndex(), LogIndex(group.lastIndex() + 1), Infinity);
    expect(plain(all)).toEqual(plain(entries(group.firstIndex(), group.lastIndex())));
  }
  expect(acknowledged).toBeGreaterThan(50);
});

test("a disk that is full is named, and nothing is written after it", async () => {
  const path = await written();
  const log = await openSqliteLog({ path, fileBytesMax: pages(path) * 16_384 });
  const large = entry(41, 1, "x".repeat(1 << 20));
  await expect(log.write([{ group: G1, entries: [large] }])).rejects.toMatchObject({ code: "LOG_FULL" });
  await expect(log.write([{ group: G1, entries: entries(41, 41) }])).rejects.toMatchObject({
    code: "LOG_POISONED",
  });
  expect(() => log.open(G1)).toThrowError();
  await using again = await openSqliteLog({ path });
  expect(again.open(G1).lastIndex()).toBe(40);
});
