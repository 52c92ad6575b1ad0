import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSqliteLog } from "../../shards/adapters.ts";
import { DataDirectory } from "../../src/config/data-directory.ts";
import { ConfigError } from "../../src/config/load.ts";
import { recoverDirectory } from "../../src/recovery.ts";

/** The directory of a node that has its place in a cluster, and nothing else yet. */
function placed(): Disposable & { readonly path: string; readonly raftFile: string } {
  const path = mkdtempSync(join(tmpdir(), "flotilla-"));
  using data = DataDirectory.open(path, null);
  data.assign({ nodeId: 2, clusterId: "c", founder: false });
  const { raftFile } = data;
  return { path, raftFile, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const refusal = async (path: string): Promise<string> => {
  const error: unknown = await recoverDirectory(path, { dryRun: true }).catch((why: unknown) => why);
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).message;
};

test("a directory that is none of a node is refused and stays as it is", async () => {
  using node = placed();
  const missing = join(node.path, "absent");
  expect(await refusal(missing)).toContain("never had a place in a cluster");
  expect(existsSync(missing)).toBe(false);
  const empty = join(node.path, "shards");
  mkdirSync(empty, { recursive: true });
  expect(await refusal(empty)).toContain("never had a place in a cluster");
  expect(readdirSync(empty)).toEqual([]);
});

test("no log is made where it was lost: a node would start with it and forget what it promised", async () => {
  using node = placed();
  expect(await refusal(node.path)).toMatch(/raft\.db is missing or empty: there is nothing to recover from/);
  expect(existsSync(node.raftFile)).toBe(false);
  writeFileSync(node.raftFile, "");
  expect(await refusal(node.path)).toMatch(/raft\.db is missing or empty/);
});

test("a log without groups has nothing to say", async () => {
  using node = placed();
  const log = await openSqliteLog({ path: node.raftFile });
  await log[Symbol.asyncDispose]();
  expect(await refusal(node.path)).toMatch(/raft\.db is without any group/);
});
