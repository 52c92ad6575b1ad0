/** A new replica receives a shard beside a plain copy of the same bytes; and searches while a node dies and returns. */
import { once } from "node:events";
import { createReadStream, createWriteStream, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { untilIndexed, WorkDir } from "../src/cli/bench/loaded-set.ts";
import { HttpClientError } from "../src/cli/http-client.ts";
import { call } from "../src/cli/rest.ts";
import { flag } from "./figures/flags.ts";
import type { Figure } from "./figures/context.ts";
import { COLLECTION, FlotillaStore, SNAPSHOTS_UNLIMITED } from "./figures-cluster/flotilla-store.ts";
import { closedLoop, type Load } from "./figures-cluster/load.ts";
import { concludes } from "./figures-cluster/report.ts";
import { NODES, valueOf } from "./figures-cluster/store.ts";

const POINTS = { usual: 100_000, quick: 3_000 };
const SECONDS = { usual: 8, quick: 1.5 };
const BATCH = 200;
const SEARCHERS = 8;
/** Rarely enough not to take the time that is measured. */
const POLL_MS = 20;
const PROMISED_OF_COPY = 0.5;
const MIB = 1 << 20;

/** `--points 100000`, `--quick`, `--out DIR`. */
export async function main(args: readonly string[]): Promise<void> {
  const quick = args.includes("--quick");
  const points = flag(args, "--points", quick ? POINTS.quick : POINTS.usual);
  await concludes("catch-up", args, async (say) => [
    await catchUp(points, say),
    ...(await searches(quick ? SECONDS.quick : SECONDS.usual, quick ? 1_000 : 10_000, say)),
  ]);
}

/** Figure 4. */
async function catchUp(points: number, say: (line: string) => void): Promise<Figure> {
  await using store = await FlotillaStore.open({ nodes: 1, args: SNAPSHOTS_UNLIMITED });
  await fill(store, points);
  await store.start(1);
  const [placed] = await store.shards();
  if (placed?.replicas.length !== 1) throw new Error("the shard was placed on both nodes by itself");
  const began = performance.now();
  const body = { node_id: store.node(1).nodeId };
  let seconds: number | null = null;
  await call(store.client(0), "POST", `/collections/${COLLECTION}/shards/0/voters?wait=false`, body);
  let received: number | null = null;
  while (seconds === null) {
    const replica = (await store.shards())[0]?.replicas.find(({ node_id }) => node_id === body.node_id);
    const now = (performance.now() - began) / 1000;
    if (replica?.points === points) received ??= now;
    if (replica?.role === "voter" && replica.state === "active") seconds = now;
    await sleep(POLL_MS);
  }
  received ??= seconds;
  // The receiver's: the sender may have saved its graph only for this.
  const bytes = store.shardBytes(1);
  say(`${points} points, ${(bytes / MIB).toFixed(1)} MiB in the new replica's directory`);
  const copied = await copyOverLoopback(bytes);
  say(
    `received after ${received.toFixed(2)} s, votes after ${seconds.toFixed(2)} s; a copy: ${copied.toFixed(2)} s`,
  );
  return {
    figure: "4",
    what: "MB/s of catching up by snapshot, of a plain file copy over loopback",
    found: copied / received,
    limit: PROMISED_OF_COPY,
    rule: "atLeast",
    unit: "",
    detail: {
      points,
      mib: bytes / MIB,
      mibPerSecond: bytes / MIB / received,
      copyMibPerSecond: bytes / MIB / copied,
      secondsUntilServing: received,
      secondsUntilVoting: seconds,
    },
  };
}

/** Figure 5: through the nodes that stay, while the third is killed and returns. */
async function searches(
  seconds: number,
  points: number,
  say: (line: string) => void,
): Promise<readonly Figure[]> {
  await using store = await FlotillaStore.open({
    shards: 2,
    connections: SEARCHERS,
    args: SNAPSHOTS_UNLIMITED,
  });
  await fill(store, points);
  const leader = await store.leader();
  const staying = Array.from({ length: NODES }, (_, at) => at).filter((at) => at !== leader);
  const search = async (request: number): Promise<boolean> => {
    const body = `{"vector":[${valueOf(request)}],"limit":10}`;
    try {
      const client = store.client(staying[request % staying.length] ?? 0);
      const path = `/collections/${COLLECTION}/points/search?consistency=eventual`;
      return (await client.request("POST", path, body)).status === 200;
    } catch (error) {
      if (error instanceof HttpClientError) return false;
      throw error;
    }
  };
  const load = (): Promise<Load> => closedLoop(SEARCHERS, seconds, search);
  const whole = await load();
  const [dying] = await Promise.all([load(), store.kill(leader)]);
  const [returning] = await Promise.all([load(), store.start(leader)]);
  say(`searches/s: ${[whole, dying, returning].map(({ perSecond }) => perSecond.toFixed(0)).join(", ")}`);
  return [
    {
      figure: "5a",
      what: "searches that failed while a leader was killed and returned",
      found: dying.failures + returning.failures,
      limit: 0,
      rule: "atMost",
      unit: "",
      detail: { whole: whole.perSecond, killed: dying.perSecond, returning: returning.perSecond },
    },
    {
      figure: "5b",
      what: "searches/s with the leader killed, of those before",
      found: dying.perSecond / whole.perSecond,
      limit: 0,
      rule: "atLeast",
      unit: "",
      detail: {
        p99Whole: whole.latencyMs.p99,
        p99Killed: dying.latencyMs.p99,
        p99Returning: returning.latencyMs.p99,
      },
    },
  ];
}

/** Everything is in the graph when it resolves, on the first node. */
async function fill(store: FlotillaStore, points: number): Promise<void> {
  for (let from = 0; from < points; from += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, points - from) }, (_, at) => {
      const id = from + at;
      // The first number tells apart points that would otherwise be the same.
      return `{"id":${id},"vector":[${id / points},${valueOf(id).split(",").slice(1).join(",")}]}`;
    });
    if (!(await store.write(0, `{"points":[${batch.join(",")}]}`)))
      throw new Error(`batch at ${from} failed`);
  }
  await untilIndexed(store.client(0), COLLECTION, points);
}

/** Seconds for a file of this size from disk through a socket to disk. */
async function copyOverLoopback(bytes: number): Promise<number> {
  using work = new WorkDir();
  const [source, target] = [join(work.path, "source"), join(work.path, "target")];
  writeFileSync(source, Buffer.alloc(bytes, 7));
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const began = performance.now();
  const sending = pipeline(
    createReadStream(source),
    connect((server.address() as AddressInfo).port, "127.0.0.1"),
  );
  const [socket] = (await accepted) as [Socket];
  await Promise.all([sending, pipeline(socket, createWriteStream(target, { flush: true }))]);
  const seconds = (performance.now() - began) / 1000;
  server.close();
  rmSync(target);
  return seconds;
}
