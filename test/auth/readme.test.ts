/** The commands of the README's section on security, as they stand there, against a real node. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../e2e/support/node-process.ts";

function commands(name: string): string {
  const block = new RegExp(`<!-- tested:${name} -->\n+\`\`\`sh\n([^]*?)\`\`\`\n+<!-- /tested:${name} -->`);
  const text = block.exec(readFileSync("README.md", "utf8"))?.[1];
  if (text === undefined) throw new Error(`README.md has no block tested:${name}`);
  return text;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("make a node with keys, tokens, an audit log and TLS", async () => {
  using directory = temporaryDirectory();
  const [http, grpc, peer] = [await freePort(), await freePort(), await freePort()];
  const program = join(process.cwd(), "dist", "src", "main.js");
  // Only what cannot be the same on every machine differs: where the program lies, and which ports are free.
  const script = [
    "set -eu",
    "trap 'kill $(jobs -p); wait' EXIT",
    commands("security").replaceAll("6333", String(http)),
  ].join("\n");
  writeFileSync(join(directory.path, "commands.sh"), script);
  // A program of its own, as for a user: what runs in the background is the node itself, and can be told to end.
  const installed = `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`;
  writeFileSync(join(directory.path, "flotilla"), installed, { mode: 0o755 });
  const shell = spawn("bash", ["commands.sh"], {
    cwd: directory.path,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      PATH: `${directory.path}:${process.env["PATH"] ?? ""}`,
      FLOTILLA__HTTP__ADDR: `127.0.0.1:${http}`,
      FLOTILLA__GRPC__ADDR: `127.0.0.1:${grpc}`,
      FLOTILLA__CLUSTER__PEER_ADDR: `127.0.0.1:${peer}`,
    },
  });
  let output = "";
  let errors = "";
  shell.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  shell.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const [code] = (await once(shell, "close")) as [number | null];
  expect([code, code === 0 ? "" : errors]).toEqual([0, ""]);

  expect(output).toContain("all shards are ready");
  expect(output).toMatch(/"result":true,"status":"ok"/);
  expect(output).toMatch(/"status":"completed"/);
  expect(output).toContain("Forbidden: this token may not manage collection `docs-1`");
  expect(output).toMatch(/docs-1 +0 +1 +\w+ +active/);
  const lines = readFileSync(join(directory.path, "audit.log"), "utf8").trim().split("\n");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    expect.objectContaining({ actor: "flotilla", action: "start", outcome: "done" }),
    expect.objectContaining({ actor: "token:admin", action: "manage", outcome: "done", status: 200 }),
    expect.objectContaining({ actor: "token:loader", action: "write", outcome: "done", index: "0=3" }),
    expect.objectContaining({ actor: "token:loader", action: "manage", outcome: "refused", status: 403 }),
  ]);
  expect(output).toContain(lines.at(-1));
}, 120_000);
