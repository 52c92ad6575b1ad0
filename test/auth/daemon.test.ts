/** What a running node does with keys, files and limits, seen from outside. */
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Client } from "../e2e/support/client.ts";
import { NodeProcess, temporaryDirectory } from "../e2e/support/node-process.ts";
import { EC, ED, token } from "./support.ts";

const KEY = { "api-key": "manage" };
const CITY = { vectors: { size: 2, distance: "Dot" } };

const text = async (node: NodeProcess, path: string): Promise<string> =>
  await (await fetch(`${node.url}${path}`, { headers: KEY })).text();

test("a full disk under a required audit log shows everywhere, and refuses the first change already", async () => {
  const args = ["--api-key", "manage", "--audit-path", "/dev/full", "--audit-required"];
  await using node = await NodeProcess.start({ args });
  const refused = await new Client(node.url).call("PUT", "/collections/c", CITY, KEY);
  expect([refused.status, JSON.stringify(refused.body)]).toEqual([
    507,
    expect.stringMatching(/audit\.required/),
  ]);
  expect(await text(node, "/readyz")).toMatch(
    /all shards are ready\nthe audit log cannot be written: ENOSPC/,
  );
  expect(await text(node, "/metrics")).toContain("flotilla_audit_writable 0\n");
  expect(node.stderr).toContain("the audit log cannot be written");
});

test("a disk below its quota refuses what adds data, and says so", async () => {
  await using node = await NodeProcess.start({ args: ["--quota-disk-free-bytes", "1125899906842624"] });
  const refused = await new Client(node.url).call("PUT", "/collections/c", CITY);
  expect([refused.status, JSON.stringify(refused.body)]).toEqual([
    507,
    expect.stringMatching(/bytes of disk are free/),
  ]);
  expect(await text(node, "/readyz")).toMatch(/what adds data is refused/);
  expect(await text(node, "/metrics")).toContain("flotilla_quota_exceeded 1\n");
});

test("a key that rotates while the node runs is taken over by itself", async () => {
  using directory = temporaryDirectory();
  const file = join(directory.path, "keys.json");
  const jwks = (...keys: (typeof ED)[]) =>
    JSON.stringify({ keys: keys.map(({ publicKey }) => publicKey.export({ format: "jwk" })) });
  writeFileSync(file, jwks(ED));
  await using node = await NodeProcess.start({
    args: ["--auth-jwt-jwks-file", file, "--logging-level", "info"],
  });
  const client = new Client(node.url);
  const status = async (credential: string) =>
    (await client.call("GET", "/collections", undefined, { authorization: `Bearer ${credential}` })).status;
  const old = token({ access: "r" }, ED.privateKey, "EdDSA");
  const young = token({ access: "r" }, EC.privateKey, "ES256");
  expect([await status(old), await status(young)]).toEqual([200, 401]);
  const said = (async () => {
    while (!node.stderr.includes("keys of tokens replaced"))
      await once(node.child.stderr ?? node.child, "data");
  })();
  writeFileSync(`${file}.new`, jwks(EC));
  renameSync(`${file}.new`, file);
  await said;
  expect([await status(old), await status(young)]).toEqual([401, 200]);
});

test("a wrong file is one line and no start", async () => {
  const ended = await NodeProcess.run({ args: ["--auth-jwt-public-key-file", "/nowhere.pem"] });
  expect([ended.code, ended.stderr.trim().split("\n").length]).toEqual([1, 1]);
  expect(ended.stderr).toMatch(/\/nowhere\.pem/);
  const wrong = await NodeProcess.run({
    args: ["--tls-cert-file", "/etc/hostname", "--tls-key-file", "/etc/hostname"],
  });
  expect([wrong.code, wrong.stderr.trim().split("\n").length]).toEqual([1, 1]);
  expect(wrong.stderr).toMatch(/\/etc\/hostname.*cannot be used for TLS/);
});
