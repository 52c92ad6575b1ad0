import { createPublicKey } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { secretKey, type TokenKey } from "../../src/auth/token-keys.ts";
import { parseAccess, parseDuration, signToken } from "../../src/cli/token.ts";
import { EC, ED, NOW_MS, publicKey, RSA, SECRET, tokens } from "../auth/support.ts";

const directory = mkdtempSync(join(tmpdir(), "flotilla-token-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("a signed token", () => {
  const options = { sub: "app", access: parseAccess("docs-*:rw"), expires: 60 };
  const identified = (credential: string, key: TokenKey) => {
    const { tokens: verifier, clock } = tokens([key]);
    const principal = verifier.identify(credential);
    clock.nowMs = NOW_MS + 65_000;
    return { principal, later: verifier.identify(credential).credential.kind };
  };
  const wanted = {
    principal: {
      name: "token:app",
      credential: { kind: "token" },
      rights: { kind: "collections", list: [{ collection: "docs-*", access: "rw" }] },
      valid: { fromMs: null, untilMs: NOW_MS + 65_000 },
    },
    later: "refused",
  };

  test("by the key is what a node takes", () => {
    expect(identified(signToken({ ...options, apiKey: SECRET }, NOW_MS), secretKey(SECRET))).toEqual(wanted);
  });

  test.each([
    ["RS256", RSA],
    ["ES256", EC],
    ["EdDSA", ED],
  ] as const)("%s by a private key file too", (algorithm, pair) => {
    const file = join(directory, `${algorithm}.pem`);
    writeFileSync(file, pair.privateKey.export({ format: "pem", type: "pkcs8" }));
    const credential = signToken({ ...options, privateKeyFile: file, kid: "k1" }, NOW_MS);
    expect(
      identified(
        credential,
        publicKey(algorithm, createPublicKey(pair.publicKey.export({ format: "pem", type: "spki" })), "k1"),
      ),
    ).toEqual(wanted);
  });

  test("needs something to sign with", () => {
    expect(() => signToken(options, NOW_MS)).toThrow(/--api-key/);
  });

  test("by a file that is no key, or one that is locked, is refused by the file's name", () => {
    const none = join(directory, "none.pem");
    writeFileSync(none, "no key\n");
    expect(() => signToken({ ...options, privateKeyFile: none }, NOW_MS)).toThrow(
      `--private-key-file ${none}: it holds no private key in PEM`,
    );
    const locked = join(directory, "locked.pem");
    const how = { format: "pem", type: "pkcs8", cipher: "aes-128-cbc", passphrase: "x" } as const;
    writeFileSync(locked, EC.privateKey.export(how));
    expect(() => signToken({ ...options, privateKeyFile: locked }, NOW_MS)).toThrow(
      `--private-key-file ${locked}: it is locked by a passphrase`,
    );
  });

  test("that never ends carries no `exp`", () => {
    const [, body = ""] = signToken({ ...options, expires: null, apiKey: SECRET }, NOW_MS).split(".");
    const claims = JSON.parse(Buffer.from(body, "base64url").toString("utf8")) as object;
    expect(Object.keys(claims)).toEqual(["sub", "access", "iat"]);
  });
});

describe("--access", () => {
  test.each<[text: string, claim: unknown]>([
    ["r", "r"],
    ["m", "m"],
    ["a:r", [{ collection: "a", access: "r" }]],
    [
      "a:rw,b-*:prw",
      [
        { collection: "a", access: "rw" },
        { collection: "b-*", access: "prw" },
      ],
    ],
    ["x:y:r", [{ collection: "x:y", access: "r" }]],
    ['[{"collection":"a","access":"r"}]', [{ collection: "a", access: "r" }]],
  ])("%s", (text, claim) => {
    expect(parseAccess(text)).toEqual(claim);
  });

  test.each(["rw", "", "a:m", "a", ":r", "a*b:r", "[1]", "[{", '{"collection":"a","access":"r"}'])(
    "%j is refused",
    (text) => {
      expect(() => parseAccess(text)).toThrow();
    },
  );
});

test("--expires", () => {
  expect(["30s", "15m", "12h", "90d", "never"].map(parseDuration)).toEqual([
    30,
    900,
    43_200,
    7_776_000,
    null,
  ]);
  for (const wrong of ["", "0s", "-1d", "1.5h", "1w", "12", "never "])
    expect(() => parseDuration(wrong)).toThrow();
});
