/** Keys that tokens are verified with, from PEM and JWKS files. A key has one algorithm, whatever a token claims. */
import {
  createPublicKey,
  createSecretKey,
  X509Certificate,
  type JsonWebKey,
  type KeyObject,
} from "node:crypto";

export type TokenAlgorithm = "HS256" | "RS256" | "ES256" | "EdDSA";

export interface TokenKey {
  /** Decided by the type of the key, never by a token: an RSA public key is no HMAC secret. */
  readonly algorithm: TokenAlgorithm;
  readonly key: KeyObject;
  /** null: takes tokens with any `kid`. */
  readonly kid: string | null;
}

/** A file that cannot be used as it is; the message names what is wrong with it. */
export class KeyFileError extends Error {
  override readonly name = "KeyFileError";
  readonly code = "KEY_FILE_UNUSABLE";
}

/** In one file; each may have to be tried for a token without `kid`. */
const KEYS_MAX = 64;
/** Below this an RSA key can be factored. */
const RSA_BITS_MIN = 2_048;

export const secretKey = (secret: string): TokenKey => ({
  algorithm: "HS256",
  key: createSecretKey(secret, "utf8"),
  kid: null,
});

/** What signs or verifies with this key. Throws {@link KeyFileError} for keys that are weak or of another type. */
export function algorithmOf(key: KeyObject): Exclude<TokenAlgorithm, "HS256"> {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case "rsa": {
      const bits = details?.modulusLength ?? 0;
      if (bits < RSA_BITS_MIN)
        throw new KeyFileError(`an RSA key has ${bits} bits, at least ${RSA_BITS_MIN} are needed`);
      return "RS256";
    }
    case "ec":
      if (details?.namedCurve !== "prime256v1")
        throw new KeyFileError(`an EC key is on curve ${details?.namedCurve ?? "?"}, ES256 needs P-256`);
      return "ES256";
    case "ed25519":
      return "EdDSA";
    default:
      throw new KeyFileError(
        `a key is of type ${key.asymmetricKeyType ?? "?"}; RSA, EC on P-256 and Ed25519 can be used`,
      );
  }
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;

/** Every public key or certificate of a PEM file. Throws {@link KeyFileError}. */
export function parsePemKeys(text: string): readonly TokenKey[] {
  const blocks = [...text.matchAll(BLOCK)];
  if (blocks.length === 0) throw new KeyFileError("it holds no PEM block");
  checkCount(blocks.length);
  return blocks.map(([pem, label]) => {
    // Only what may be public belongs on a node that verifies: a private key there is a mistake worth hearing of.
    if (label?.includes("PRIVATE") === true)
      throw new KeyFileError("it holds a private key; a node needs the public key only");
    const key = decoded(() =>
      label === "CERTIFICATE" ? new X509Certificate(pem).publicKey : createPublicKey(pem),
    );
    return { algorithm: algorithmOf(key), key, kid: null };
  });
}

/** The signing keys of a JSON Web Key Set (RFC 7517); keys for other uses are passed over. Throws {@link KeyFileError}. */
export function parseJwks(text: string): readonly TokenKey[] {
  const set: unknown = decoded(() => JSON.parse(text) as unknown);
  const list = typeof set === "object" && set !== null && "keys" in set ? set.keys : undefined;
  if (!Array.isArray(list)) throw new KeyFileError("it is no key set: `keys` must be a list");
  checkCount(list.length);
  const keys = (list as readonly unknown[]).flatMap(signingKey);
  if (keys.length === 0) throw new KeyFileError("it holds no key that verifies RS256, ES256 or EdDSA");
  return keys;
}

/** What can be used, by type: an issuer may have others in the same set, which are for others (RFC 7517 §5). */
const CURVES = new Map<unknown, unknown>([
  ["RSA", undefined],
  ["EC", "P-256"],
  ["OKP", "Ed25519"],
]);

function signingKey(entry: unknown): readonly TokenKey[] {
  if (typeof entry !== "object" || entry === null) throw new KeyFileError("`keys` must list objects");
  const jwk = entry as Readonly<Record<string, unknown>>;
  const { kty, crv } = jwk;
  if (!CURVES.has(kty) || CURVES.get(kty) !== crv || (jwk["use"] ?? "sig") !== "sig") return [];
  if (Array.isArray(jwk["key_ops"]) && !jwk["key_ops"].includes("verify")) return [];
  if ("d" in jwk) throw new KeyFileError("it holds a private key; a node needs the public keys only");
  const kid = jwk["kid"] ?? null;
  if (kid !== null && typeof kid !== "string") throw new KeyFileError("a `kid` must be a text");
  const key = decoded(() => createPublicKey({ key: jwk as JsonWebKey, format: "jwk" }));
  const algorithm = algorithmOf(key);
  // A set may hold the same key for several algorithms; what it says of this one is kept to.
  if ((jwk["alg"] ?? algorithm) !== algorithm) return [];
  return [{ algorithm, key, kid }];
}

function checkCount(count: number): void {
  if (count > KEYS_MAX) throw new KeyFileError(`it holds ${count} keys, at most ${KEYS_MAX} can be used`);
}

function decoded<T>(decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyFileError(`it cannot be read as what it should be: ${why}`, { cause });
  }
}
