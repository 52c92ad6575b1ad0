/** Twice the load that a node can serve: what the accepted requests feel, what the others are told, and what it costs. */
import { join } from "node:path";
import { residentBytes } from "../src/cli/bench/machine.ts";
import { untilIndexed, WorkDir } from "../src/cli/bench/loaded-set.ts";
import { NodeProcess } from "../src/cli/bench/node-process.ts";
import { summarise } from "../src/cli/bench/statistics.ts";
import { HttpClient } from "../src/cli/http-client.ts";
import { vectorJson } from "../src/cli/vector-json.ts";
import type { Figure } from "./figures/context.ts";
import { flag } from "./figures/flags.ts";
import { concludes } from "./figures-cluster/report.ts";
import { closedLoop } from "./figures-cluster/load.ts";

const COLLECTION = "overload";
const DIMENSION = 128;
const BATCH = 100;
const QUERIES = 256;
/** Long walks: an engine thread is what gives out, not the processor that this client takes its share of. */
const EF = 512;
/** Enough to keep the node busy, few enough that nothing is refused. */
const CLIENTS = 8;
/** Each waits for its answer before it asks again: many, but never more at once than they are. */
const MANY_CLIENTS = 64;
/** Open at once at most. What finds none free is not sent: waiting for one would measure the client. */
const CONNECTIONS = 1_024;
/** So much longer than all else: its beginning, in which nobody knows yet how long it goes on, is to be a small part. */
const FLOOD = 2;
/** The first flood, of the same times, and the calm after it, in which the node finds that it is over. */
const WARM = 0.2;
const MIB = 1 << 20;
const PROMISED = 3;

/** `--quick`, `--points 20000`, `--factor 2`, `--out DIR`. */
export async function main(args: readonly string[]): Promise<void> {
  const quick = args.includes("--quick");
  const points = flag(args, "--points", quick ? 1_000 : 20_000);
  const factor = flag(args, "--factor", 2);
  const seconds = quick ? 1 : 10;
  await concludes("overload", args, async (say) => {
    using work = new WorkDir();
    await using node = await NodeProcess.start({ dataDir: join(work.path, "node") });
    using client = new HttpClient({ url: node.url, connections: CONNECTIONS });
    await load(client, points);
    await untilIndexed(client, COLLECTION, points);
    const searches = Array.from({ length: QUERIES }, () =>
      client.encode(
        "POST",
        `/collections/${COLLECTION}/points/search`,
        `{"vector":${vectorJson(random())},"limit":10,"params":{"hnsw_ef":${EF}}}`,
      ),
    );
    const search = async (request: number): Promise<number> =>
      (await client.exchange(searches[request % QUERIES] as Buffer)).status;
    const isFound = async (request: number): Promise<boolean> => (await search(request)) === 200;
    await closedLoop(CLIENTS, 1, isFound);
    const usual = await closedLoop(CLIENTS, seconds, isFound);
    say(`serves ${usual.perSecond.toFixed(0)}/s, p99 ${usual.latencyMs.p99.toFixed(1)} ms`);
    let refused = 0;
    const many = await closedLoop(MANY_CLIENTS, seconds, async (request) => {
      const status = await search(request);
      if (isRefusal(status)) refused++;
      return status === 200;
    });
    // Clients that are there already ask for more: what new connections cost is another matter, and so is what code
    // costs that has not refused anything yet.
    await Promise.all(Array.from({ length: CONNECTIONS }, () => client.request("GET", "/healthz")));
    const first = await openLoop(factor * usual.perSecond, WARM * seconds, search);
    await closedLoop(CLIENTS, WARM * seconds, isFound);
    const before = residentBytes(node.pid) ?? Number.NaN;
    const floodSeconds = FLOOD * seconds;
    const flood = await openLoop(factor * usual.perSecond, floodSeconds, search);
    const after = residentBytes(node.pid) ?? Number.NaN;
    const again = await closedLoop(CLIENTS, seconds, isFound);
    const accepted = summarise(Float64Array.from(flood.acceptedMs));
    const acceptedPerSecond = flood.acceptedMs.length / floodSeconds;
    const sent = flood.acceptedMs.length + flood.refused + flood.failed;
    const figures: readonly Figure[] = [
      {
        figure: "1",
        what: `p99 of accepted searches under ${factor} x the load it serves, of the usual p99`,
        found: accepted.p99 / usual.latencyMs.p99,
        limit: PROMISED,
        rule: "atMost",
        unit: "x",
        detail: {
          servedPerSecond: usual.perSecond,
          usualP99Ms: usual.latencyMs.p99,
          sentPerSecond: sent / floodSeconds,
          acceptedPerSecond,
          acceptedOfServed: acceptedPerSecond / usual.perSecond,
          acceptedP50Ms: accepted.p50,
          acceptedP99Ms: accepted.p99,
          firstFloodP99Ms: summarise(Float64Array.from(first.acceptedMs)).p99,
          refusedShare: flood.refused / sent,
          unsentPerSecond: flood.unsent / floodSeconds,
        },
      },
      {
        figure: "2",
        what: "requests that were neither served nor refused in words, and searches a second afterwards, of before",
        found: first.failed + flood.failed,
        limit: 0,
        rule: "atMost",
        unit: "",
        detail: {
          afterwards: again.perSecond / usual.perSecond,
          grownMib: (after - before) / MIB,
        },
      },
      {
        figure: "3",
        what: `refused of ${MANY_CLIENTS} clients that each wait for their answer`,
        found: refused,
        limit: 0,
        rule: "atMost",
        unit: "",
        detail: {
          failed: many.failures - refused,
          perSecond: many.perSecond,
          ofUsual: many.perSecond / usual.perSecond,
          p99Ms: many.latencyMs.p99,
        },
      },
    ];
    return figures;
  });
}

const isRefusal = (status: number): boolean => status === 429 || status === 503;

interface Flood {
  readonly acceptedMs: readonly number[];
  /** 429 and 503. */
  readonly refused: number;
  readonly failed: number;
  /** No connection was free. */
  readonly unsent: number;
}

/** Sends at its own pace, whatever the answers: clients that do not know of each other. */
async function openLoop(
  perSecond: number,
  seconds: number,
  search: (request: number) => Promise<number>,
): Promise<Flood> {
  const acceptedMs: number[] = [];
  let refused = 0;
  let failed = 0;
  let unsent = 0;
  const running = new Set<Promise<void>>();
  const began = performance.now();
  let sent = 0;
  const one = async (request: number): Promise<void> => {
    const at = performance.now();
    try {
      const status = await search(request);
      if (status === 200) acceptedMs.push(performance.now() - at);
      else if (isRefusal(status)) refused++;
      else failed++;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failed++;
    }
  };
  for (let now = began; now - began < seconds * 1000; now = performance.now()) {
    const due = Math.floor(((now - began) / 1000) * perSecond);
    for (; sent < due; sent++) {
      if (running.size >= CONNECTIONS) {
        unsent++;
        continue;
      }
      const work: Promise<void> = one(sent).finally(() => running.delete(work));
      running.add(work);
    }
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(running);
  return { acceptedMs, refused, failed, unsent };
}

async function load(client: HttpClient, points: number): Promise<void> {
  const send = async (path: string, body: string): Promise<void> => {
    const { status } = await client.request("PUT", `/collections/${COLLECTION}${path}`, body);
    if (status !== 200) throw new Error(`loading was answered with ${status}`);
  };
  await send("", JSON.stringify({ vectors: { size: DIMENSION, distance: "Euclid" } }));
  for (let from = 0; from < points; from += BATCH) {
    const batch = Array.from(
      { length: BATCH },
      (_, at) => `{"id":${from + at},"vector":${vectorJson(random())}}`,
    );
    await send("/points", `{"points":[${batch.join(",")}]}`);
  }
}

const random = (): Float32Array => Float32Array.from({ length: DIMENSION }, () => Math.random());
