import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);

test(
  "the cluster demo keeps its promises, says so, and leaves nothing behind",
  { timeout: 120_000 },
  async () => {
    const home = mkdtempSync(join(tmpdir(), "flotilla-demo-test-"));
    try {
      const env = { ...process.env, TMPDIR: join(home, "tmp") };
      mkdirSync(env.TMPDIR);
      const args = ["dist/bench/demo.js", "--cluster", "--seconds", "1"];
      const { stdout } = await run(process.execPath, args, { env, timeout: 110_000 });
      expect(stdout).toMatch(/ok\s+writes to the shards it led stood still for \d+ ms/);
      expect(stdout).toMatch(/ok\s+no search failed/);
      for (const node of [1, 2, 3])
        expect(stdout).toMatch(
          new RegExp(`ok\\s+node ${node} by itself holds all [\\d,]+ \\(0 are missing\\)`),
        );
      expect(stdout).toContain("Everything promised held");
      expect(readdirSync(env.TMPDIR)).toEqual([]);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  },
);
