import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fvecs, TempDir } from "../datasets/files.ts";
import { FakeNode } from "./fake-node.ts";

const ROWS = Array.from({ length: 60 }, (_, row) => [row, 1]);

/** Runs `flotilla import` as a user would and answers its exit code and output. */
async function flotillaImport(
  dir: TempDir,
  file: string,
  node: FakeNode,
  interruptAt?: number,
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const args = ["--collection", "c", "--url", node.url, "--distance", "Dot", "--batch", "5"];
  const child = spawn(process.execPath, ["dist/src/main.js", "import", file, ...args, "--concurrency", "2"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, FLOTILLA_CACHE_DIR: join(dir.path, "cache") },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  const heard = new Promise<void>((resolve) =>
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
      if (stderr.includes("stopping")) resolve();
    }),
  );
  // The batch in flight is held until the import has said that it is stopping.
  node.onUpsert = async (_, count) => {
    if (count !== interruptAt) return null;
    child.kill("SIGINT");
    await heard;
    return null;
  };
  const [code] = (await once(child, "close")) as [number];
  return { code, stdout, stderr };
}

test("Ctrl-C finishes the batches in flight, says how to go on and exits with 130; then it goes on", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  const first = await flotillaImport(dir, file, node, 4);
  expect(first.code).toBe(130);
  expect(first.stderr).toContain("stopping: waiting for the batches in flight");
  expect(first.stdout).toMatch(/^stopped: \d+ points in .* run the same command again to go on from there/);
  const stored = node.points.size;
  expect(stored % 5).toBe(0);
  expect(stored).toBeLessThan(60);
  const second = await flotillaImport(dir, file, node);
  expect(second.code).toBe(0);
  expect(second.stdout).toContain(`imported ${60 - stored} points`);
  expect(second.stdout).toContain(`after ${stored} of an earlier run`);
  expect(node.points.size).toBe(60);
});

test("what goes wrong is one line and exit code 1", async () => {
  await using node = await FakeNode.start();
  using dir = new TempDir();
  const file = dir.write("a.fvecs", fvecs(ROWS));
  node.collections.set("c", { size: 9, body: null });
  const { code, stderr } = await flotillaImport(dir, file, node);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^import failed: .*a\.fvecs: dimension: its vectors have 2 numbers.*\n$/);
});
