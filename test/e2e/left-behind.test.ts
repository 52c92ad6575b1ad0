import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "./support/node-process.ts";

/** A test that hangs with a node running, until its runner has had enough. */
const HANGING = `
  import { NodeProcess } from "./dist/test/e2e/support/node-process.js";
  const node = await NodeProcess.start({ dataDir: process.argv[1] });
  const said = JSON.stringify({ pid: node.child.pid, port: Number(new URL(node.url).port) });
  process.stdout.write(said, () => process.kill(process.pid, "SIGTERM"));
`;

/** By its port, as an ended process may still have its number until somebody asks how it ended. */
function isServing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const answer = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once("connect", () => answer(true)).once("error", () => answer(false));
  });
}

test("a node ends with a test that hangs", { timeout: 40_000 }, async () => {
  using directory = temporaryDirectory();
  const args = ["--input-type=module", "-e", HANGING, join(directory.path, "node")];
  const hanging = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  hanging.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await once(hanging, "close");
  const { pid, port } = JSON.parse(said) as { readonly pid: number; readonly port: number };
  try {
    await expect.poll(() => isServing(port), { timeout: 10_000 }).toBe(false);
  } finally {
    if (await isServing(port)) process.kill(pid, "SIGKILL");
  }
});
