#!/usr/bin/env node
// The `flotilla` command: builds what is missing in a fresh checkout, then runs the compiled program.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const program = new URL("../dist/src/main.js", import.meta.url);
if (!existsSync(program)) {
  const setup = fileURLToPath(new URL("./setup.mjs", import.meta.url));
  const { status } = spawnSync(process.execPath, [setup], { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) process.exit(status ?? 1);
}
await import(program.href);
