/** The commands of the README's section on operations, as they stand there, against real nodes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../support/node-process.ts";

function commands(): string {
  const block = /<!-- tested:operations -->\n+```sh\n([^]*?)```\n+<!-- \/tested:operations -->/;
  const text = block.exec(readFileSync("README.md", "utf8"))?.[1];
  if (text === undefined) throw new Error("README.md has no block tested:operations");
  return text;
}

async function listens(port: number): Promise<Server | null> {
  const server = createServer().listen(port, "127.0.0.1");
  return await new Promise((resolve) => {
    server.once("listening", () => resolve(server));
    server.once("error", () => resolve(null));
  });
}

/** The first of three free ports that follow each other, as a node's ports do. */
async function threePorts(from: number): Promise<number> {
  for (let first = from; first < from + 3_000; first += 3) {
    const found = await Promise.all([first, first + 1, first + 2].map(listens));
    for (const server of found) server?.close();
    if (found.every((server) => server !== null)) return first;
  }
  throw new Error(`no three free ports after ${from}`);
}

test(
  "bootstrap, rolling upgrade, backup, replacing a node and lost quorum",
  { timeout: 300_000 },
  async () => {
    using directory = temporaryDirectory();
    const firsts = new Map<string, number>();
    // Below those that the system gives to connections.
    for (const [at, digit] of ["6", "7", "8", "9"].entries())
      firsts.set(digit, await threePorts(12_000 + 4_000 * at + (process.pid % 900)));
    const program = join(process.cwd(), "dist", "src", "main.js");
    // Only what cannot be the same on every machine differs: where the program lies, and which ports are free.
    const script = [
      "set -eu",
      "trap 'kill -KILL $(jobs -p); wait' EXIT",
      commands().replace(/\b([6-9])33([345])\b/g, (_, digit: string, last: string) =>
        String((firsts.get(digit) ?? 0) + Number(last) - 3),
      ),
    ].join("\n");
    writeFileSync(join(directory.path, "commands.sh"), script);
    const installed = `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`;
    writeFileSync(join(directory.path, "flotilla"), installed, { mode: 0o755 });
    const shell = spawn("bash", ["commands.sh"], {
      cwd: directory.path,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PATH: `${directory.path}:${process.env["PATH"] ?? ""}` },
    });
    let output = "";
    let errors = "";
    shell.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    shell.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    const [code] = (await once(shell, "close")) as [number | null];
    expect([code, code === 0 ? "" : `${output.slice(-2_000)}\n${errors.slice(-4_000)}`]).toEqual([0, ""]);

    expect(output.match(/ready http=/g)).toHaveLength(8);
    expect(output).toContain("Nothing was changed: --yes does it");
    expect(output.match(/Done\. Start node \d/g)).toEqual(["Done. Start node 1", "Done. Start node 3"]);
    expect(output.match(/"result":\{"count":\d+\}/g)).toEqual([
      '"result":{"count":2}',
      '"result":{"count":2}',
    ]);
  },
);
