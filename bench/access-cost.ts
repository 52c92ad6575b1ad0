/** What keys, tokens and TLS cost a search: the same searches of nodes that ask for more and more. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Authenticator } from "../src/auth/authenticator.ts";
import { secretKey } from "../src/auth/token-keys.ts";
import { Tokens } from "../src/auth/tokens.ts";
import { WorkDir } from "../src/cli/bench/loaded-set.ts";
import { NodeProcess } from "../src/cli/bench/node-process.ts";
import { HttpClient } from "../src/cli/http-client.ts";
import { signToken } from "../src/cli/token.ts";
import { vectorJson } from "../src/cli/vector-json.ts";
import type { Figure } from "./figures/context.ts";
import { flag } from "./figures/flags.ts";
import { concludes } from "./figures-cluster/report.ts";
import { RestDoor } from "./front-doors/doors.ts";
import { median, Meter, type Round } from "./front-doors/meter.ts";

const COLLECTION = "access";
const CLIENTS = 8;
const BATCH = 100;
const QUERIES = 256;
const ROUNDS = 3;
const CHECKS = 200_000;
const KEY = "a-key-of-the-benchmark-with-more-than-32-characters";
/** A token that was verified before may cost a search this share of its processor time at most. */
const TOKEN_SHARE = 0.03;

interface Asked {
  readonly name: string;
  readonly node: NodeProcess;
  readonly credential?: string;
  readonly ca?: string;
}

/** `--quick`, `--dim 128`, `--points 10000`, `--out DIR`. */
export async function main(args: readonly string[]): Promise<void> {
  const quick = args.includes("--quick");
  const dimension = flag(args, "--dim", 128);
  const points = flag(args, "--points", quick ? 1_000 : 10_000);
  const seconds = quick ? 0.5 : 4;
  await concludes("access-cost", args, async (say) => {
    using work = new WorkDir();
    const tls = certificate(work.path);
    const start = (name: string, more: readonly string[], ca?: string): Promise<NodeProcess> =>
      NodeProcess.start({ dataDir: join(work.path, name), args: more, ...(ca === undefined ? {} : { ca }) });
    const keyed = ["--api-key", KEY];
    await using open = await start("open", []);
    await using closed = await start("closed", keyed);
    await using secret = await start("secret", [...keyed, ...tls.args], tls.ca);
    const token = signToken({ apiKey: KEY, sub: "bench", access: "r", expires: 3_600 }, Date.now());
    const asked: readonly Asked[] = [
      { name: "nothing", node: open },
      { name: "key", node: closed, credential: KEY },
      { name: "token", node: closed, credential: token },
      { name: "tokenOverTls", node: secret, credential: token, ca: tls.ca },
    ];
    const queries = Array.from({ length: QUERIES }, () => random(dimension));
    for (const { node, ca } of [{ node: open }, { node: closed }, { node: secret, ca: tls.ca }])
      await load(new HttpClient({ url: node.url, apiKey: KEY, ca }), points, dimension);
    say(`${points} points of ${dimension} dimensions on each of three nodes`);
    const rounds = await inTurn(asked, queries, seconds);
    const [nothing, , withToken, overTls] = rounds as [Round, Round, Round, Round];
    const checkMicros = tokenCheckMicros(token);
    return [
      {
        figure: "1",
        what: "a token verified before, of the processor time of a search",
        found: checkMicros / nothing.cpuMicros,
        limit: TOKEN_SHARE,
        rule: "atMost",
        unit: "x",
        detail: { checkMicros, ...details(asked, rounds) },
      },
      ratio("2", "searches per second with a token, of those of an open node", withToken, nothing),
      ratio("3", "searches per second over TLS, of those without, both with a token", overTls, withToken),
    ];
  });
}

function ratio(figure: string, what: string, one: Round, other: Round): Figure {
  const detail = { cpuRatio: one.cpuMicros / other.cpuMicros, failures: one.failures + other.failures };
  return {
    ...{ figure, what, found: one.perSecond / other.perSecond, limit: 0, rule: "atLeast", unit: "x" },
    detail,
  };
}

function details(asked: readonly Asked[], rounds: readonly Round[]): Record<string, number> {
  return Object.fromEntries(
    asked.flatMap(({ name }, at): [string, number][] => [
      [`${name}PerSecond`, rounds[at]?.perSecond ?? Number.NaN],
      [`${name}P99Ms`, rounds[at]?.p99 ?? Number.NaN],
      [`${name}CpuUs`, rounds[at]?.cpuMicros ?? Number.NaN],
    ]),
  );
}

/** Rounds in turn, so that whatever else the machine does happens to all; of each the median. */
async function inTurn(
  asked: readonly Asked[],
  queries: readonly Float32Array[],
  seconds: number,
): Promise<readonly Round[]> {
  const meters = asked.map(({ node, credential: apiKey, ca }) => {
    const parts = {
      url: node.url,
      ...(apiKey === undefined ? {} : { apiKey }),
      ...(ca === undefined ? {} : { ca }),
    };
    const door = new RestDoor({ ...parts, connections: CLIENTS, collection: COLLECTION });
    const http = new HttpClient({ ...parts, apiKey: KEY, connections: 1 });
    return { door, http, meter: new Meter([http]), ready: queries.map((query) => door.searchOf(query)) };
  });
  try {
    const rounds: Round[][] = asked.map(() => []);
    for (let round = 0; round < ROUNDS + 1; round++)
      for (const [at, { door, meter, ready }] of meters.entries()) {
        const send = (request: number): Promise<boolean> => door.search(ready[request % QUERIES] as Buffer);
        const found = await meter.round({ clients: CLIENTS, seconds, send });
        // The first one warms up.
        if (round > 0) rounds[at]?.push(found);
      }
    return rounds.map(median);
  } finally {
    for (const { door, http } of meters) {
      door[Symbol.dispose]();
      http[Symbol.dispose]();
    }
  }
}

/** What the node does with the header of each request, by itself: too little to see in a search's processor time. */
function tokenCheckMicros(token: string): number {
  const rules = { leewayMs: 0, issuer: null, audience: null };
  const tokens = new Tokens({ rules, keys: [secretKey(KEY)] }, { nowMs: () => Date.now() });
  const authenticator = new Authenticator({ apiKey: KEY }, { tokens });
  let granted = 0;
  const check = (): number => {
    const began = process.cpuUsage();
    for (let at = 0; at < CHECKS; at++) {
      const { credential } = authenticator.identify({ apiKey: token, authorization: undefined });
      if (credential.kind === "token") granted++;
    }
    const { user, system } = process.cpuUsage(began);
    return (user + system) / CHECKS;
  };
  check();
  const micros = check();
  if (granted !== 2 * CHECKS) throw new Error("the token was refused");
  return micros;
}

async function load(http: HttpClient, points: number, dimension: number): Promise<void> {
  using _ = http;
  const made = JSON.stringify({ vectors: { size: dimension, distance: "Cosine" } });
  const send = async (path: string, body: string): Promise<void> => {
    const { status, body: answer } = await http.request("PUT", `/collections/${COLLECTION}${path}`, body);
    if (status !== 200) throw new Error(`loading was answered with ${status}: ${answer.toString()}`);
  };
  await send("", made);
  for (let from = 0; from < points; from += BATCH) {
    const batch = Array.from(
      { length: BATCH },
      (_, at) => `{"id":${from + at},"vector":${vectorJson(random(dimension))}}`,
    );
    await send("/points", `{"points":[${batch.join(",")}]}`);
  }
}

const random = (dimension: number): Float32Array =>
  Float32Array.from({ length: dimension }, () => Math.random() * 2 - 1);

/** One that vouches for itself, for this machine and an hour's use. */
function certificate(directory: string): { readonly ca: string; readonly args: readonly string[] } {
  const [crt, key] = [join(directory, "node.crt"), join(directory, "node.key")];
  const names = ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...kind, "-keyout", key, "-out", crt, "-days", "1", ...names], {
    stdio: "ignore",
  });
  return { ca: readFileSync(crt, "utf8"), args: ["--tls-cert-file", crt, "--tls-key-file", key] };
}
