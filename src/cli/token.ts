/** `flotilla token`: signs a JSON Web Token that says what its bearer may do. */
import { createPrivateKey, createSecretKey, sign, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { InvalidArgumentError, Option, type Command } from "commander";
import jwt from "jsonwebtoken";
import { readAccess } from "../auth/rights.ts";
import { algorithmOf, type TokenAlgorithm } from "../auth/token-keys.ts";

export interface TokenOptions {
  readonly apiKey?: string;
  readonly privateKeyFile?: string;
  readonly kid?: string;
  readonly sub?: string;
  readonly access: unknown;
  /** Seconds; null: the token does not end. */
  readonly expires: number | null;
  readonly issuer?: string;
  readonly audience?: string;
}

/** Fewer bits than this can be guessed by whoever holds one token, without asking a node. */
const KEY_CHARACTERS_ADVISED = 32;

export function registerToken(program: Command): void {
  program
    .command("token")
    .description("sign a token (JWT) that says what its bearer may do")
    .addOption(new Option("--api-key <key>", "the nodes' key: signs HS256").env("FLOTILLA_API_KEY"))
    .option("--private-key-file <file>", "PEM: signs RS256, ES256 or EdDSA by the type of the key instead")
    .option("--kid <id>", "which key of a key set verifies it")
    .option("--sub <name>", "who bears it, for the audit log and rates")
    .requiredOption(
      "--access <access>",
      'r (read), m (manage), COLLECTION:r|rw|prw[,...] with * at the end of a name allowed, or JSON as in "access"',
      parseAccess,
    )
    .requiredOption("--expires <time>", "30s, 15m, 12h, 90d, or never", parseDuration)
    .option("--issuer <name>", "`iss`, where nodes expect one")
    .option("--audience <name>", "`aud`, where nodes expect one")
    .action((options: TokenOptions) => {
      const { apiKey, privateKeyFile } = options;
      if (privateKeyFile === undefined && apiKey !== undefined && apiKey.length < KEY_CHARACTERS_ADVISED)
        process.stderr.write(
          `flotilla: the key has ${apiKey.length} characters: whoever holds this token can guess such a key offline; ` +
            `take ${KEY_CHARACTERS_ADVISED} random ones or a private key file\n`,
        );
      process.stdout.write(`${signToken(options, Date.now())}\n`);
    });
}

/** The token; throws an Error that says what is missing. */
export function signToken(options: TokenOptions, nowMs: number): string {
  const now = Math.floor(nowMs / 1000);
  const claims = {
    ...(options.sub === undefined ? {} : { sub: options.sub }),
    ...(options.issuer === undefined ? {} : { iss: options.issuer }),
    ...(options.audience === undefined ? {} : { aud: options.audience }),
    access: options.access,
    iat: now,
    ...(options.expires === null ? {} : { exp: now + options.expires }),
  };
  const { key, algorithm } = signingKey(options);
  const named = options.kid === undefined ? {} : { kid: options.kid };
  // The library knows no EdDSA.
  if (algorithm !== "EdDSA")
    return jwt.sign(claims, key, { algorithm, ...(options.kid === undefined ? {} : { keyid: options.kid }) });
  const input = [{ alg: algorithm, typ: "JWT", ...named }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${input}.${sign(null, Buffer.from(input), key).toString("base64url")}`;
}

function signingKey(options: TokenOptions): { readonly key: KeyObject; readonly algorithm: TokenAlgorithm } {
  if (options.privateKeyFile !== undefined) {
    const key = privateKey(options.privateKeyFile);
    return { key, algorithm: algorithmOf(key) };
  }
  if (options.apiKey === undefined)
    throw new Error("nothing to sign with: give --api-key (or FLOTILLA_API_KEY) or --private-key-file");
  return { key: createSecretKey(options.apiKey, "utf8"), algorithm: "HS256" };
}

/** The library says of a file that is no key "DECODER routines::unsupported", and of a passphrase nothing a user knows. */
function privateKey(file: string): KeyObject {
  const pem = readFileSync(file, "utf8");
  const isLocked = /^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem);
  if (isLocked)
    throw new Error(`--private-key-file ${file}: it is locked by a passphrase; give the key without one`);
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(`--private-key-file ${file}: it holds no private key in PEM (${message})`, { cause });
  }
}

/** `docs:rw,logs-*:r` and JSON become the claim; what a node would refuse is refused here already. */
export function parseAccess(text: string): unknown {
  const claim = /^[[{]/.test(text)
    ? parsedJson(text)
    : text === "r" || text === "m"
      ? text
      : parsedList(text);
  const read = readAccess(claim);
  if (read.kind === "refused") throw new InvalidArgumentError(read.why);
  return claim;
}

function parsedList(text: string): unknown {
  return text.split(",").map((one) => {
    const colon = one.lastIndexOf(":");
    if (colon < 1) throw new InvalidArgumentError(`\`${one}\` is not r, m or COLLECTION:r|rw|prw`);
    return { collection: one.slice(0, colon), access: one.slice(colon + 1) };
  });
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `90d` in seconds; null for `never`. */
export function parseDuration(text: string): number | null {
  if (text === "never") return null;
  const [, amount = "", unit = ""] = /^([1-9][0-9]{0,8})([smhd])$/.exec(text) ?? [];
  const seconds = SECONDS[unit];
  if (seconds === undefined)
    throw new InvalidArgumentError("give a number with s, m, h or d (90d), or never");
  return Number(amount) * seconds;
}
