import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { LONG } from "./cluster-process.ts";

const run = promisify(execFile);

test.skipIf(!LONG).each([
  { bench: "failover", figures: ["1a", "1b", "1c", "1d", "1e"] },
  { bench: "cluster-writes", figures: ["2a", "2b", "2c", "3a", "3b"] },
  { bench: "catch-up", figures: ["4", "5a", "5b"] },
  { bench: "idle-groups", figures: ["6a", "6b"] },
  { bench: "snapshot-memory", figures: ["7a", "7b"] },
])(
  "the quick form of the benchmark $bench writes its figures and leaves nothing else",
  { timeout: 180_000 },
  async ({ bench, figures }) => {
    const home = mkdtempSync(join(tmpdir(), "flotilla-bench-test-"));
    try {
      const env = { ...process.env, TMPDIR: join(home, "tmp") };
      mkdirSync(env.TMPDIR);
      const args = ["dist/bench/run.js", bench, "--quick", "--out", home];
      await run(process.execPath, args, { env, timeout: 170_000 });
      const [file = ""] = readdirSync(home).filter((name) => name.endsWith(".json"));
      const report = JSON.parse(readFileSync(join(home, file), "utf8")) as {
        readonly kind: string;
        readonly figures: readonly { readonly figure: string; readonly found: number }[];
      };
      expect(report.kind).toBe(`flotilla-bench-${bench}`);
      expect(report.figures.map(({ figure }) => figure)).toEqual(figures);
      expect(report.figures.every(({ found }) => Number.isFinite(found))).toBe(true);
      expect(readdirSync(env.TMPDIR)).toEqual([]);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  },
);
