/** REST and gRPC side by side on one cluster: searches and batch upserts, their rate, latency and processor time. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HttpClient } from "../src/cli/http-client.ts";
import type { Figure } from "./figures/context.ts";
import { flag } from "./figures/flags.ts";
import { COLLECTION, FlotillaStore } from "./figures-cluster/flotilla-store.ts";
import { concludes } from "./figures-cluster/report.ts";
import { GrpcDoor, RestDoor, type Door } from "./front-doors/doors.ts";
import { median, Meter, type Round } from "./front-doors/meter.ts";

const CLIENTS = 8;
const UPSERT_CLIENTS = 4;
const BATCH = 100;
const QUERIES = 256;
const ROUNDS = 3;

/** `--quick`, `--nodes 3`, `--dim 768`, `--points 10000`, `--out DIR`. Both doors are those of the shard's leader. */
export async function main(args: readonly string[]): Promise<void> {
  const quick = args.includes("--quick");
  const dimension = flag(args, "--dim", 768);
  const points = flag(args, "--points", quick ? 1_000 : 10_000);
  const seconds = quick ? 0.5 : 4;
  await concludes("front-doors", args, async (say) => {
    const shape = { nodes: flag(args, "--nodes", 3), dimension, distance: "Cosine" };
    await using store = await FlotillaStore.open({ ...shape, args: GRPC_ADDR });
    const all = store.nodes.map((_, at) => store.client(at));
    const leader = await store.leader();
    const meter = new Meter(all);
    const queries = vectors(QUERIES, dimension);
    const of = { connections: CLIENTS, collection: COLLECTION };
    const rest = new RestDoor({ url: store.node(leader).url, ...of });
    const grpc = new GrpcDoor({ address: await grpcOf(store, leader), ...of });
    const doors: readonly Door[] = [rest, grpc];
    try {
      say(`loading ${points} points of ${dimension} dimensions`);
      for (let from = 0; from < points; from += BATCH)
        await grpc.upsert(grpc.upsertOf(from, vectors(BATCH, dimension)));
      await idle(all);
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
        () => idle(all),
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

/** Until everything written is in every replica's graph. */
async function idle(nodes: readonly HttpClient[]): Promise<void> {
  for (const node of nodes)
    for (;;) {
      const { body } = await node.request("GET", `/collections/${COLLECTION}`);
      const { result } = JSON.parse(body.toString()) as { readonly result: { readonly status: string } };
      if (result.status === "green") break;
      await sleep(POLL_MS);
    }
}

async function grpcOf(store: FlotillaStore, at: number): Promise<string> {
  const { body } = await store.client(at).request("GET", "/nodes");
  const { result } = JSON.parse(body.toString()) as {
    readonly result: { readonly nodes: readonly { readonly node_id: number; readonly grpc: string }[] };
  };
  const node = result.nodes.find(({ node_id }) => node_id === store.node(at).nodeId);
  if (node === undefined) throw new Error("the node is not in its own list of nodes");
  return node.grpc;
}
