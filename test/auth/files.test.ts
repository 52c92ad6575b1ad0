import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { KeyFiles } from "../../src/auth/key-files.ts";
import { openTlsFiles } from "../../src/auth/tls-files.ts";
import { parseJwks, parsePemKeys, type TokenKey } from "../../src/auth/token-keys.ts";
import { certificate } from "./certificates.ts";
import { EC, ED, RSA, SECRET, token, tokens } from "./support.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-keys-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
const pem = (key: KeyObject): string =>
  key.export({ format: "pem", type: key.type === "private" ? "pkcs8" : "spki" }).toString();
const jwk = (key: KeyObject, more: Record<string, unknown> = {}) => ({
  ...key.export({ format: "jwk" }),
  ...more,
});
const jwks = (...keys: unknown[]): string => JSON.stringify({ keys });

describe("a PEM file", () => {
  test("gives every public key the one algorithm of its type", () => {
    const all = parsePemKeys([RSA, EC, ED].map(({ publicKey }) => pem(publicKey)).join("\n"));
    expect(all.map(({ algorithm }) => algorithm)).toEqual(["RS256", "ES256", "EdDSA"]);
  });

  test.each([
    ["nothing", () => "", /no PEM block/],
    ["a private key", () => pem(EC.privateKey), /private key/],
    ["nonsense", () => "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", /cannot be read/],
    [
      "a short RSA key",
      () => pem(generateKeyPairSync("rsa", { modulusLength: 1_024 }).publicKey),
      /1024 bits, at least 2048/,
    ],
    [
      "an EC key on another curve",
      () => pem(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey),
      /secp384r1, ES256 needs P-256/,
    ],
    ["a key of another type", () => pem(generateKeyPairSync("x25519").publicKey), /x25519/],
  ])("with %s is refused", (_what, text, message) => {
    expect(() => parsePemKeys(text())).toThrow(message);
  });
});

describe("a key set", () => {
  test("gives the keys that sign, with their names", () => {
    const set = parseJwks(
      jwks(
        jwk(RSA.publicKey, { kid: "r", use: "sig", alg: "RS256" }),
        jwk(EC.publicKey, { kid: "e" }),
        jwk(ED.publicKey),
        jwk(RSA.publicKey, { kid: "enc", use: "enc" }),
        jwk(RSA.publicKey, { kid: "pss", alg: "PS256" }),
        { kty: "oct", k: "c2VjcmV0", kid: "symmetric" },
        jwk(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey, { kid: "e384", alg: "ES384" }),
        jwk(generateKeyPairSync("ed448").publicKey, { kid: "ed448" }),
        { kty: "EC", crv: "of tomorrow", x: "AA", y: "AA", kid: "new" },
      ),
    );
    expect(set.map(({ algorithm, kid }) => [algorithm, kid])).toEqual([
      ["RS256", "r"],
      ["ES256", "e"],
      ["EdDSA", null],
    ]);
  });

  test.each([
    ["no JSON", "{", /cannot be read/],
    ["no list", "{}", /`keys` must be a list/],
    ["no usable key", jwks({ kty: "oct", k: "eA" }), /holds no key/],
    ["a private key", jwks(jwk(EC.privateKey)), /private key/],
    ["a name that is no text", jwks(jwk(EC.publicKey, { kid: 1 })), /`kid` must be a text/],
    ["too many keys", jwks(...Array.from({ length: 65 }, () => jwk(EC.publicKey))), /65 keys, at most 64/],
  ])("with %s is refused", (_what, text, message) => {
    expect(() => parseJwks(text)).toThrow(message);
  });
});

describe("files that change", () => {
  test("keys rotate without a restart: a new one counts, the old one no longer", async () => {
    const other = generateKeyPairSync("ed25519");
    const jwksFile = file("keys.json", jwks(jwk(ED.publicKey, { kid: "old" })));
    const { tokens: verifier } = tokens([]);
    const troubles: string[] = [];
    using keys = new KeyFiles(
      { secrets: [SECRET, null], publicKeyFile: null, jwksFile, everyMs: 0 },
      {
        changed: (now: readonly TokenKey[]) => verifier.replaceKeys(now),
        trouble: ({ message }) => troubles.push(message),
      },
    );
    verifier.replaceKeys(keys.keys);
    const old = token({ access: "r" }, ED.privateKey, "EdDSA", { kid: "old" });
    const young = token({ access: "r" }, other.privateKey, "EdDSA", { kid: "new" });
    const counts = (credential: string) => verifier.identify(credential).credential.kind === "token";
    expect([counts(old), counts(young), counts(token({}))]).toEqual([true, false, true]);

    const both = jwks(jwk(ED.publicKey, { kid: "old" }), jwk(other.publicKey, { kid: "new" }));
    renameSync(file("next.json", both), jwksFile);
    await keys.check();
    expect([counts(old), counts(young)]).toEqual([true, true]);

    file("keys.json", jwks(jwk(other.publicKey, { kid: "new" })).slice(0, 40));
    await keys.check();
    await keys.check();
    expect([counts(old), counts(young)]).toEqual([true, true]);
    expect(troubles).toEqual([expect.stringContaining(jwksFile)]);

    file("keys.json", jwks(jwk(other.publicKey, { kid: "new" })));
    await keys.check();
    expect([counts(old), counts(young), counts(token({}))]).toEqual([false, true, true]);
  });

  test("a file that is missing or wrong at the start is an error that names it", () => {
    const open = (publicKeyFile: string) =>
      new KeyFiles(
        { secrets: [], publicKeyFile, jwksFile: null, everyMs: 0 },
        { changed: () => undefined, trouble: () => undefined },
      );
    expect(() => open(join(directory, "missing.pem"))).toThrow(/ENOENT.*missing\.pem/);
    expect(() => open(file("empty.pem", ""))).toThrow(/empty\.pem: it holds no PEM block/);
  });

  test("a certificate is taken over with its key, and not before both are there", async () => {
    certificate(directory, "one");
    const paths = { certFile: join(directory, "one.crt"), keyFile: join(directory, "one.key"), caFile: null };
    const troubles: Error[] = [];
    using files = openTlsFiles(paths, { everyMs: 0, trouble: (error) => troubles.push(error) });
    const before = files.value;
    const seen: Buffer[] = [];
    files.onChange(({ cert }) => seen.push(cert));
    certificate(directory, "two");
    renameSync(join(directory, "two.crt"), paths.certFile);
    expect(await files.check()).toBe(false);
    expect([files.value, troubles.length]).toEqual([before, 1]);
    renameSync(join(directory, "two.key"), paths.keyFile);
    expect(await files.check()).toBe(true);
    expect(seen).toEqual([files.value.cert]);
    expect(files.value.cert.equals(before.cert)).toBe(false);
    expect(files.value.notAfterMs).toBeGreaterThan(Date.now());
  });
});
