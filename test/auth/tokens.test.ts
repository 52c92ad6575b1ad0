import { describe, expect, test } from "vitest";
import { secretKey, type TokenKey } from "../../src/auth/token-keys.ts";
import type { Tokens } from "../../src/auth/tokens.ts";
import { looksLikeToken } from "../../src/auth/tokens.ts";
import {
  EC,
  ED,
  NOW,
  NOW_MS,
  publicKey,
  RSA,
  SECRET,
  signature,
  token,
  tokens,
  unsigned,
  type Alg,
} from "./support.ts";

const why = (verifier: Tokens, credential: string): string => {
  const principal = verifier.identify(credential);
  return principal.credential.kind === "refused" ? principal.credential.why : "";
};

const ALL: readonly TokenKey[] = [
  secretKey(SECRET),
  publicKey("RS256", RSA.publicKey),
  publicKey("ES256", EC.publicKey),
  publicKey("EdDSA", ED.publicKey),
];
const SIGNERS = [
  ["HS256", SECRET],
  ["RS256", RSA.privateKey],
  ["ES256", EC.privateKey],
  ["EdDSA", ED.privateKey],
] as const;

describe("signatures", () => {
  test.each(SIGNERS)("%s: a token counts as signed, and not with one bit changed", (alg, key) => {
    const { tokens: verifier } = tokens(ALL);
    const good = token({ sub: "app", access: "r" }, key, alg);
    expect(verifier.identify(good)).toEqual({
      name: "token:app",
      credential: { kind: "token" },
      rights: { kind: "read" },
    });
    const [head, , tail] = good.split(".");
    const more = Buffer.from(JSON.stringify({ sub: "app", access: "m" })).toString("base64url");
    expect(why(verifier, `${head}.${more}.${tail}`)).toMatch(/signature/);
    const bytes = Buffer.from(tail ?? "", "base64url");
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    expect(why(verifier, `${good.split(".").slice(0, 2).join(".")}.${bytes.toString("base64url")}`)).toMatch(
      /signature/,
    );
  });

  test("an algorithm is that of a key here: a public key is never taken for an HMAC secret", () => {
    for (const [alg, pair] of [
      ["RS256", RSA],
      ["ES256", EC],
      ["EdDSA", ED],
    ] as const) {
      const { tokens: verifier } = tokens([publicKey(alg, pair.publicKey)]);
      expect(why(verifier, token({ access: "m" }, pair.publicKey, "HS256"))).toMatch(/no key here/);
      const pem = pair.publicKey.export({ format: "pem", type: "spki" }).toString();
      expect(why(verifier, token({ access: "m" }, pem, "HS256"))).toMatch(/no key here/);
    }
  });

  test.each(["none", "None", "NONE", "", "HS512", "RS512", "PS256", "ES384", null, 1])(
    "alg %j is refused, with and without a signature",
    (alg) => {
      const { tokens: verifier } = tokens(ALL);
      expect(why(verifier, unsigned({ alg }, { access: "m" }))).toMatch(/no key here/);
    },
  );

  test("a token with an empty signature is no token at all", () => {
    expect(looksLikeToken(unsigned({ alg: "none" }, { access: "m" }, ""))).toBe(false);
    expect(looksLikeToken(token({}))).toBe(true);
    expect(looksLikeToken(`${token({})}=`)).toBe(false);
    expect(looksLikeToken(token({ pad: "x".repeat(9_000) }))).toBe(false);
  });

  test("`kid` chooses the key; unknown ones are refused, and a key without a name takes any", () => {
    const named = [publicKey("EdDSA", ED.publicKey, "2026-a")];
    const { tokens: verifier } = tokens(named);
    const signed = (kid: unknown) => token({ access: "r" }, ED.privateKey, "EdDSA", { kid });
    expect(verifier.identify(signed("2026-a")).rights.kind).toBe("read");
    expect(verifier.identify(token({ access: "r" }, ED.privateKey, "EdDSA")).rights.kind).toBe("read");
    expect(why(verifier, signed("2026-b"))).toMatch(/no key here verifies its `alg` and `kid`/);
    expect(why(verifier, signed(["2026-a"]))).toMatch(/`kid` is no text/);
    const { tokens: nameless } = tokens([publicKey("EdDSA", ED.publicKey)]);
    expect(nameless.identify(signed("whatever")).rights.kind).toBe("read");
  });

  test("a `crit` header and a payload that is no object are refused", () => {
    const { tokens: verifier } = tokens();
    expect(why(verifier, token({ access: "m" }, SECRET, "HS256", { crit: ["b64"], b64: false }))).toMatch(
      /crit/,
    );
    expect(why(verifier, token("m"))).toMatch(/payload/);
    expect(why(verifier, token([]))).toMatch(/payload/);
    const header = Buffer.from('{"alg":"HS256"}').toString("base64url");
    const input = `${header}.${Buffer.from("{nonsense").toString("base64url")}`;
    const tail = signature("HS256" satisfies Alg, input, SECRET).toString("base64url");
    expect(verifier.identify(`${input}.${tail}`).credential.kind).toBe("refused");
  });
});

describe("times", () => {
  test("`exp` ends a token after the leeway, also when it is known already", () => {
    const { tokens: verifier, clock } = tokens();
    const short = token({ exp: NOW + 10, access: "r" });
    expect(verifier.identify(short).rights.kind).toBe("read");
    clock.nowMs = NOW_MS + 14_999;
    expect(verifier.identify(short).rights.kind).toBe("read");
    clock.nowMs = NOW_MS + 15_000;
    expect(why(verifier, short)).toBe("Invalid token: it has expired");
    expect(verifier.cached).toBe(0);
    expect(why(verifier, short)).toBe("Invalid token: it has expired");
    expect(verifier.cached).toBe(0);
  });

  test("`nbf` begins a token, less the leeway", () => {
    const { tokens: verifier, clock } = tokens();
    const later = token({ nbf: NOW + 10, access: "r" });
    expect(why(verifier, later)).toBe("Invalid token: it is not valid yet");
    clock.nowMs = NOW_MS + 5_000;
    expect(verifier.identify(later).rights.kind).toBe("read");
  });

  test("the principal carries them, leeway included, for nodes that it is named to", () => {
    const { tokens: verifier } = tokens();
    const valid = (claims: object) => verifier.identify(token({ access: "r", ...claims })).valid;
    expect(valid({ exp: NOW + 10 })).toEqual({ fromMs: null, untilMs: NOW_MS + 15_000 });
    expect(valid({ nbf: NOW, exp: NOW + 10 })).toEqual({ fromMs: NOW_MS - 5_000, untilMs: NOW_MS + 15_000 });
    expect(valid({})).toBeUndefined();
  });

  test.each(["1", null, {}, [1]])("an `exp` or `nbf` of %j is refused", (value) => {
    const { tokens: verifier } = tokens();
    expect(why(verifier, token({ exp: value, access: "r" }))).toMatch(/`exp` is no number/);
    expect(why(verifier, token({ nbf: value, access: "r" }))).toMatch(/`nbf` is no number/);
  });
});

describe("claims", () => {
  test("issuer and audience are checked when they are expected", () => {
    const { tokens: verifier } = tokens(undefined, { issuer: "https://id.example", audience: "flotilla" });
    const at = (iss: unknown, aud: unknown) => why(verifier, token({ iss, aud, access: "r" }));
    expect(at("https://id.example", "flotilla")).toBe("");
    expect(at("https://id.example", ["other", "flotilla"])).toBe("");
    expect(at("https://id.example/", "flotilla")).toMatch(/`iss`/);
    expect(at("https://id.example", "other")).toMatch(/`aud`/);
    expect(at("https://id.example", undefined)).toMatch(/`aud`/);
  });

  test("what would narrow a token and is not known refuses it", () => {
    const { tokens: verifier } = tokens();
    expect(why(verifier, token({ access: "m", value_exists: { collection: "c" } }))).toMatch(/value_exists/);
    const payload = [{ collection: "c", access: "r", payload: { user: 1 } }];
    expect(why(verifier, token({ access: payload }))).toMatch(/`payload`, which is not supported/);
  });

  test("a name is a text of bounded length, and cannot pass for a key's", () => {
    const { tokens: verifier } = tokens();
    expect(verifier.identify(token({ sub: "api_key", access: "m" })).name).toBe("token:api_key");
    expect(verifier.identify(token({ access: "m" })).name).toBe("token");
    expect(why(verifier, token({ sub: 7, access: "m" }))).toMatch(/`sub`/);
    expect(why(verifier, token({ sub: "x".repeat(257), access: "m" }))).toMatch(/`sub`/);
  });
});

describe("known tokens", () => {
  test("are verified once, and kept within a bound", () => {
    const { tokens: verifier } = tokens();
    const first = token({ sub: "first", access: "r" });
    const known = verifier.identify(first);
    expect(verifier.identify(first)).toBe(known);
    for (let i = 0; i < 5_000; i++) verifier.identify(token({ sub: String(i), access: "r" }));
    expect(verifier.cached).toBeLessThanOrEqual(4_096);
    expect(verifier.cached).toBeGreaterThan(2_000);
    expect(verifier.identify(first).name).toBe("token:first");
  });

  test("refused ones are not kept", () => {
    const { tokens: verifier } = tokens();
    for (let i = 0; i < 10; i++) verifier.identify(token({ sub: String(i) }, "another secret"));
    expect(verifier.cached).toBe(0);
  });

  test("none survives the keys that signed it", () => {
    const { tokens: verifier } = tokens([publicKey("ES256", EC.publicKey)]);
    const signed = token({ access: "m" }, EC.privateKey, "ES256");
    expect(verifier.identify(signed).rights.kind).toBe("manage");
    verifier.replaceKeys([publicKey("EdDSA", ED.publicKey)]);
    expect(verifier.identify(signed).credential.kind).toBe("refused");
  });
});
