/** What a configuration makes of keys, files, rates and the audit log, all together. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Access, type AccessOptions } from "../../src/auth/access.ts";
import { certificate } from "./certificates.ts";
import { EC, ED, NOW, NOW_MS, token } from "./support.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-access-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const AUTH: AccessOptions["auth"] = {
  apiKey: null,
  altApiKey: null,
  readOnlyApiKey: null,
  jwtPublicKeyFile: null,
  jwtJwksFile: null,
  jwtLeewayMs: 0,
  jwtIssuer: null,
  jwtAudience: null,
  ratePerSecond: 0,
  rateBurst: 0,
};

function open(auth: Partial<AccessOptions["auth"]>, more: Partial<AccessOptions> = {}) {
  const told: string[] = [];
  const clock = { nowMs: NOW_MS, steadyMs: 0 };
  const audit = { path: null, fileBytes: 1 << 20, files: 1, refusalsPerSecond: 10, required: false };
  const tls = { certFile: null, keyFile: null, caFile: null, peerCaFile: null };
  const access = new Access(
    { auth: { ...AUTH, ...auth }, audit, tls, ...more },
    {
      quotas: null,
      nowMs: () => clock.nowMs,
      steadyMs: () => clock.steadyMs,
      everyMs: 0,
      events: {
        fileTrouble: ({ message }) => told.push(message),
        keysReplaced: (count) => told.push(`${count} keys`),
        audit: (failure) => told.push(failure?.message ?? "audit works"),
      },
    },
  );
  const may = (credential: string): string =>
    access.authenticator.identify({ apiKey: credential, authorization: undefined }).rights.kind;
  return { access, told, may, clock, [Symbol.dispose]: () => access[Symbol.dispose]() };
}

const pem = (pair: typeof ED): string => pair.publicKey.export({ format: "pem", type: "spki" }).toString();

test("both managing keys sign tokens, so that rotating one cuts nobody off", () => {
  using both = open({ apiKey: "first", altApiKey: "second", readOnlyApiKey: "reads" });
  expect(both.may(token({ access: "m" }, "first"))).toBe("manage");
  expect(both.may(token({ access: "m" }, "second"))).toBe("manage");
});

test("the read-only key signs nothing: its holders would give themselves more", () => {
  using reader = open({ readOnlyApiKey: "reads" });
  using both = open({ apiKey: "first", readOnlyApiKey: "reads" });
  for (const { may, access } of [reader, both]) {
    expect([may("reads"), may(token({ access: "m" }, "reads")), access.authenticator.open]).toEqual([
      "read",
      "none",
      false,
    ]);
  }
});

test("a public key alone closes the node, and a new one takes its place while it runs", async () => {
  const jwtPublicKeyFile = join(directory, "signer.pub");
  writeFileSync(jwtPublicKeyFile, pem(ED));
  using node = open({ jwtPublicKeyFile });
  const old = token({ access: "r", exp: NOW + 60 }, ED.privateKey, "EdDSA");
  const young = token({ access: "r", exp: NOW + 60 }, EC.privateKey, "ES256");
  expect([node.access.authenticator.open, node.may(old), node.may(young), node.may("guess")]).toEqual([
    false,
    "read",
    "none",
    "none",
  ]);
  writeFileSync(jwtPublicKeyFile, pem(EC));
  await node.access.check();
  expect([node.may(old), node.may(young), node.told]).toEqual(["none", "read", ["1 keys"]]);
});

test("nothing configured leaves everything open, and writes nothing", () => {
  using node = open({});
  expect([node.access.authenticator.open, node.access.tls, node.access.audit]).toEqual([true, null, null]);
  for (let i = 0; i < 1_000; i++)
    node.access.guard.admit(
      node.access.authenticator.identify({ apiKey: undefined, authorization: undefined }),
      "a",
    );
  expect(node.access.guard.notes()).toEqual([]);
});

test("rates, certificate and audit log are as configured; a rate counts a token's subject, not its text", () => {
  certificate(directory, "node");
  const at = (name: string) => join(directory, name);
  const audit = { path: at("audit.log"), fileBytes: 4_096, files: 1, refusalsPerSecond: 1, required: true };
  const tls = { certFile: at("node.crt"), keyFile: at("node.key"), caFile: null, peerCaFile: null };
  using node = open({ apiKey: "first", ratePerSecond: 1, rateBurst: 2 }, { audit, tls });
  expect(existsSync(audit.path)).toBe(true);
  expect(node.access.tls?.value.cert.toString()).toContain("BEGIN CERTIFICATE");
  const ask = (credential: string): void =>
    node.access.guard.admit(
      node.access.authenticator.identify({ apiKey: credential, authorization: undefined }),
      "127.0.0.1",
    );
  const limited = expect.objectContaining({ code: "RATE_LIMITED", details: { retryAfter: 1 } }) as Error;
  for (const id of ["a", "b"]) ask(token({ sub: "app", jti: id, access: "r" }, "first"));
  expect(() => ask(token({ sub: "app", jti: "c", access: "r" }, "first"))).toThrow(limited);
  ask(token({ sub: "other", access: "r" }, "first"));
});

test("a system clock that is set back leaves rates as they are", () => {
  using node = open({ apiKey: "first", ratePerSecond: 1, rateBurst: 2 });
  const ask = (): void =>
    node.access.guard.admit(
      node.access.authenticator.identify({ apiKey: "first", authorization: undefined }),
      "127.0.0.1",
    );
  ask();
  ask();
  expect(ask).toThrow(/Too many requests/);
  node.clock.nowMs -= 3_600_000;
  node.clock.steadyMs += 1_000;
  ask();
  expect(ask).toThrow(/Too many requests/);
});

test("a file that is missing is an error that names its path", () => {
  expect(() => open({ jwtJwksFile: join(directory, "no.json") })).toThrow(/no\.json/);
  const tls = {
    certFile: join(directory, "no.crt"),
    keyFile: join(directory, "no.key"),
    caFile: null,
    peerCaFile: null,
  };
  expect(() => open({}, { tls })).toThrow(/no\.crt/);
});
