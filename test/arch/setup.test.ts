import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

test("set-up says in one line what is missing when there is no C++ toolchain", () => {
  const empty = mkdtempSync(join(tmpdir(), "flotilla-setup-"));
  try {
    // The other kind of build than the one at hand, so that a toolchain is needed; nothing is built without one.
    const portable = process.env["FLOTILLA_PORTABLE"] === "1" ? "0" : "1";
    const run = spawnSync(process.execPath, ["src/setup.mjs", "--after-install"], {
      encoding: "utf8",
      env: { PATH: empty, FLOTILLA_PORTABLE: portable },
    });
    expect(run.status).toBe(1);
    const lines = run.stderr.trim().split("\n");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/missing a C\+\+ compiler \(g\+\+ or clang\+\+\), make, python3\. On Debian/);
  } finally {
    rmSync(empty, { recursive: true, force: true });
  }
});
