import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);

test("the demo in a short form keeps its promises, says so, and leaves nothing behind", async () => {
  const home = mkdtempSync(join(tmpdir(), "flotilla-demo-test-"));
  try {
    const temporary = join(home, "tmp");
    const env = { ...process.env, FLOTILLA_CACHE_DIR: join(home, "cache"), TMPDIR: temporary };
    await run("mkdir", ["-p", temporary]);
    const args = ["dist/bench/demo.js", "--points", "1500", "--queries", "50"];
    const { stdout } = await run(process.execPath, args, { env, timeout: 110_000 });
    expect(stdout).toContain("Used here: 1,500 vectors of 784 numbers");
    expect(stdout).toMatch(/recall@10 at ef 128 is at least 0\.95/);
    expect(stdout).toContain("all 1,501 acknowledged points are there (1,501 found)");
    expect(stdout).toContain("Labels of its 10 nearest neighbours:");
    expect(stdout).toContain("Everything promised held");
    expect(stdout).not.toContain("BROKEN");
    expect(readdirSync(temporary)).toEqual([]);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}, 120_000);
