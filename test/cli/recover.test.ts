import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { recoverDirectory } from "../../src/recovery.ts";

test("where no node ever was there is nothing to recover, and nothing is made of it", async () => {
  const root = mkdtempSync(join(tmpdir(), "flotilla-recover-"));
  try {
    const missing = join(root, "missing");
    const empty = join(root, "empty");
    mkdirSync(empty);
    for (const path of [missing, empty])
      for (const dryRun of [true, false])
        await expect(recoverDirectory(path, { dryRun })).rejects.toThrow(
          `${path} never had a place in a cluster: there is nothing to recover`,
        );
    expect([existsSync(missing), readdirSync(empty)]).toEqual([false, []]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
