import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { expect, test } from "vitest";
import { FakeNode } from "./fake-node.ts";

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

/** Runs `flotilla collections show c` with an output that `stdout` names; "unread": nobody reads the pipe. */
async function show(node: FakeNode, stdout: "unread" | number, ...more: readonly string[]): Promise<Ended> {
  const args = ["dist/src/main.js", "collections", "show", "c", "--url", node.url, ...more];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", stdout === "unread" ? "pipe" : stdout, "pipe"],
  });
  child.stdout?.destroy();
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stderr };
}

test("a reader that has seen enough ends a command without a word, as by SIGPIPE", async () => {
  await using node = await FakeNode.start();
  node.collections.set("c", { size: 3, body: null });
  expect(await show(node, "unread")).toEqual({ code: 141, stderr: "" });
  expect(await show(node, "unread", "--json")).toEqual({ code: 141, stderr: "" });
});

test.skipIf(!existsSync("/dev/full"))("a full disk under the output is one line", async () => {
  await using node = await FakeNode.start();
  node.collections.set("c", { size: 3, body: null });
  const full = openSync("/dev/full", "w");
  try {
    const { code, stderr } = await show(node, full);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^flotilla: .*ENOSPC.*\n$/);
  } finally {
    closeSync(full);
  }
});
