/** REST and gRPC side by side on one node: searches and batch upserts, their rate, latency and processor time. */
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { WorkDir } from "../src/cli/bench/loaded-set.ts";
import { NodeProcess } from "../src/cli/bench/node-process.ts";
import { HttpClient } from "../src/cli/http-client.ts";
import type { Figure } from "./figures/context.ts";
import { flag } from "./figures/flags.ts";
import { concludes } from "./figures-cluster/report.ts";
import { GrpcDoor, RestDoor, type Door } from "./front-doors/doors.ts";
import { median, Meter, type Round } from "./front-doors/meter.ts";

const COLLECTION = "doors";
const CLIENTS = 8;
const UPSERT_CLIENTS = 4;
const BATCH = 100;
const QUERIES = 256;
const ROUNDS = 3;

/** `--quick`, `--dim 768`, `--points 10000`, `--out DIR`. */
export async function main(args: readonly string[]): Promise<void> {
  const quick = args.includes("--quick");
  const dimension = flag(args, "--dim", 768);
  const points = flag(args, "--points", quick ? 1_000 : 10_000);
  const seconds = quick ? 0.5 : 4;
  await concludes("front-doors", args, async (say) => {
    using work = new WorkDir();
    await using node = await NodeProcess.start({ dataDir: join(work.path, "node"), args: GRPC_ADDR });
    using http = new HttpClient({ url: node.url, connections: 1 });
    const meter = new Meter(http);
    const queries = vectors(QUERIES, dimension);
    const rest = new RestDoor({ url: node.url, connections: CLIENTS, collection: COLLECTION });
    const grpc = new GrpcDoor({ address: await grpcOf(http), connections: CLIENTS, collection: COLLECTION });
    const doors: readonly Door[] = [rest, grpc];
    try {
      const made = { vectors: { size: dimension, distance: "Cosine" } };
      await http.request("PUT", `/collections/${COLLECTION}`, JSON.stringify(made));
      say(`loading ${points} points of ${dimension} dimensions`);
      for (let from = 0; from < points; from += BATCH)
        await grpc.upsert(grpc.upsertOf(from, vectors(BATCH, dimension)));
      await idle(http);
      const searches = await compare(doors, meter, CLIENTS, seconds, (door) => {
        const ready = queries.map((query) => door.searchOf(query));
        return (request) => door.search(ready[request % ready.length] as Buffer);
      });
      const upserts = await compare(
        doors,
        meter,
        UPSERT_CLIENTS,
        seconds,
        (door) => {
          // Points that exist: the graph does not grow from round to round.
          const ready = Array.from({ length: 8 }, (_, at) =>
            door.upsertOf((at * BATCH) % points, vectors(BATCH, dimension)),
          );
          return (request) => door.upsert(ready[request % ready.length] as Buffer);
        },
        () => idle(http),
      );
      return [
        figure("1", `searches per second over gRPC, of REST's, ${CLIENTS} clients`, searches),
        figure("2", `batches of ${BATCH} points over gRPC, of REST's, ${UPSERT_CLIENTS} clients`, upserts),
      ];
    } finally {
      for (const door of doors) door[Symbol.dispose]();
    }
  });
}

const GRPC_ADDR = ["--grpc-addr", "127.0.0.1:0"];

type Send = (request: number) => Promise<boolean>;

/** Rounds in turn, so that whatever else the machine does happens to both; of each door the median. */
async function compare(
  doors: readonly Door[],
  meter: Meter,
  clients: number,
  seconds: number,
  prepare: (door: Door) => Send,
  settle?: () => Promise<void>,
): Promise<readonly Round[]> {
  const sends = doors.map(prepare);
  const rounds: Round[][] = doors.map(() => []);
  for (let round = 0; round < ROUNDS + 1; round++)
    for (const [at, send] of sends.entries()) {
      const found = await meter.round({
        clients,
        seconds,
        send,
        ...(settle === undefined ? {} : { settle }),
      });
      // The first one warms up.
      if (round > 0) rounds[at]?.push(found);
    }
  return rounds.map(median);
}

function figure(name: string, what: string, [rest, grpc]: readonly Round[]): Figure {
  if (rest === undefined || grpc === undefined) throw new Error("both doors have to be measured");
  return {
    figure: name,
    what,
    found: grpc.perSecond / rest.perSecond,
    limit: 0,
    rule: "atLeast",
    unit: "x",
    detail: {
      restPerSecond: rest.perSecond,
      grpcPerSecond: grpc.perSecond,
      restP50Ms: rest.p50,
      grpcP50Ms: grpc.p50,
      restP99Ms: rest.p99,
      grpcP99Ms: grpc.p99,
      restCpuUs: rest.cpuMicros,
      grpcCpuUs: grpc.cpuMicros,
      failures: rest.failures + grpc.failures,
    },
  };
}

const vectors = (count: number, dimension: number): readonly Float32Array[] =>
  Array.from({ length: count }, () => Float32Array.from({ length: dimension }, () => Math.random() * 2 - 1));

const POLL_MS = 20;

/** Until everything written is in the graph. */
async function idle(http: HttpClient): Promise<void> {
  for (;;) {
    const { body } = await http.request("GET", `/collections/${COLLECTION}`);
    const { result } = JSON.parse(body.toString()) as { readonly result: { readonly status: string } };
    if (result.status === "green") return;
    await sleep(POLL_MS);
  }
}

async function grpcOf(http: HttpClient): Promise<string> {
  const { body } = await http.request("GET", "/nodes");
  const { result } = JSON.parse(body.toString()) as {
    readonly result: { readonly nodes: readonly { readonly grpc: string }[] };
  };
  const [node] = result.nodes;
  if (node === undefined) throw new Error("the node is not in its own list of nodes");
  return node.grpc;
}
