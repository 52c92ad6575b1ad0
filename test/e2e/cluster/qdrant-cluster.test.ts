/** Qdrant's own client against three nodes with a key, a secret and TLS on all ports, one of which dies on the way. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { certificate } from "../../auth/certificates.ts";
import { temporaryDirectory } from "../support/node-process.ts";
import { ClusterProcess } from "./cluster-process.ts";

const KEY = "correct-horse";
const PROGRAM = join(process.cwd(), "dist", "test", "e2e", "support", "qdrant-session.js");

test("@qdrant/js-client-rest does all it does on any of three nodes, and goes on when one is killed", async () => {
  using directory = temporaryDirectory();
  certificate(directory.path, "authority");
  certificate(directory.path, "node", "authority");
  const file = (name: string): string => join(directory.path, name);
  const secure = ["--api-key", KEY, "--cluster-secret", "battery-staple-battery-staple"];
  const tls = [
    ...["--tls-cert-file", file("node.crt"), "--tls-key-file", file("node.key")],
    ...["--tls-ca-file", file("authority.crt"), "--tls-peer-ca-file", file("authority.crt")],
  ];
  await using cluster = new ClusterProcess([...secure, ...tls]);
  for (let at = 0; at < 3; at++) await cluster.add();
  const urls = cluster.running.map(({ process: { url } }) => url.replace("http:", "https:"));

  const session = spawn(process.execPath, [PROGRAM, KEY, ...urls], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NODE_EXTRA_CA_CERTS: file("authority.crt") },
  });
  const ended = once(session, "close") as Promise<[number | null]>;
  try {
    let errors = "";
    session.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    const said: string[] = [];
    for await (const line of createInterface({ input: session.stdout })) {
      said.push(line);
      if (line === "lose one") await cluster.kill(cluster.member(3));
    }
    const [code] = await ended;
    expect([code, code === 0 ? "" : `${errors}\n${cluster.logs()}`]).toEqual([0, ""]);
    expect(said).toEqual([
      "a whole life on three nodes",
      "lose one",
      expect.stringMatching(/^2\d\d writes across the loss$/),
      "done",
    ]);
  } finally {
    session.kill();
    await ended;
  }
}, 120_000);
