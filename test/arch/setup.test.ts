import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SetUpProject } from "./setup-project.ts";

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

test("what is built is built once; a record of it that was cut off counts as none", async () => {
  using project = new SetUpProject();
  expect((await project.setUp()).code).toBe(0);
  expect(project.built).toHaveLength(2);
  expect((await project.setUp()).code).toBe(0);
  expect(project.built).toHaveLength(2);
  writeFileSync(project.stampFile, readFileSync(project.stampFile).subarray(0, 40));
  const { code, stderr } = await project.setUp();
  expect([code, project.built.length]).toEqual([0, 4]);
  expect(stderr).not.toContain("SyntaxError");
});

test("binaries of a build that did not end are not taken for those before it", async () => {
  using project = new SetUpProject();
  expect((await project.setUp()).code).toBe(0);
  const failed = await project.setUp({ FLOTILLA_PORTABLE: "1", NPM_SAYS: "killed" });
  expect(failed.code).toBe(1);
  expect((await project.setUp()).code).toBe(0);
  expect(project.built.slice(-2)).toEqual([
    "rebuild hnswlib-node -O3 -march=native",
    "rebuild better-sqlite3",
  ]);
});

test("two set-ups at once take turns, and the second finds everything done", async () => {
  using project = new SetUpProject();
  const both = await Promise.all([project.setUp(), project.setUp()]);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  expect(project.built).toHaveLength(2);
  expect(existsSync(project.lockFile)).toBe(false);
  // What a killed one left: no process has this number.
  writeFileSync(project.lockFile, String(2 ** 30));
  expect((await project.setUp()).code).toBe(0);
});

test("a cache that cannot be written and a network that is not there are told apart", async () => {
  using project = new SetUpProject();
  const cache = "npm error EACCES: permission denied, mkdir '/.npm/_cacache/tmp'";
  expect((await project.setUp({ NPM_SAYS: cache })).stderr).toMatch(/npm_config_cache name a directory.*\n$/);
  const network = "npm error code ENOTFOUND";
  expect((await project.setUp({ NPM_SAYS: network })).stderr).toMatch(/registry cannot be reached.*\n$/);
});
