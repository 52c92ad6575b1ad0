/** Memory of sender and receiver while a shard of about 1 GB is transferred, beyond what holding that shard needs. */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { residentBytes } from "../src/cli/bench/machine.ts";
import { HttpClientError } from "../src/cli/http-client.ts";
import { call } from "../src/cli/rest.ts";
import { flag } from "./figures/flags.ts";
import type { Figure } from "./figures/context.ts";
import { FlotillaStore, SNAPSHOTS_UNLIMITED } from "./figures-cluster/flotilla-store.ts";
import { concludes } from "./figures-cluster/report.ts";

const NAME = "memory";
/** Long vectors: many bytes for few points, so that little time goes into the graph. */
const DIMENSION = 1_024;
/** Each vector is in the point store and in the graph. */
const POINTS = { usual: 122_000, quick: 1_000 };
const GRAPH = { m: 4, ef_construct: 8 };
const BATCH = 50;
const WRITERS = 4;
const TRIES = 20;
const POLL_MS = 250;
const PROMISED_MB = 100;
const MB = 1_000_000;
/** Memory has settled when it stays within this over so many looks. */
const SETTLED = { withinBytes: 2 * MB, looks: 12, everyMs: 250, atMost: 480 };

/** `--points 122000`, `--dimension 1024`, `--quick`, `--out DIR`. */
export async function main(args: readonly string[]): Promise<void> {
  const points = flag(args, "--points", args.includes("--quick") ? POINTS.quick : POINTS.usual);
  const dimension = flag(args, "--dimension", DIMENSION);
  await concludes("snapshot-memory", args, (say) => transfer({ points, dimension }, say));
}

interface Shape {
  readonly points: number;
  readonly dimension: number;
}

/**
 * Both nodes are started anew for what they need at rest: the sender before the transfer, because loading leaves
 * garbage behind in which a transfer would hide; the receiver after it, on what it has received.
 */
async function transfer(shape: Shape, say: (line: string) => void): Promise<readonly Figure[]> {
  // As fast as it goes: that is when the most is under way.
  await using store = await FlotillaStore.open({ nodes: 1, args: SNAPSHOTS_UNLIMITED });
  await call(store.client(0), "PUT", `/collections/${NAME}`, {
    vectors: { size: shape.dimension, distance: "Dot" },
    hnsw_config: GRAPH,
    replication_factor: 1,
  });
  await fill(store, shape, say);
  await restart(store, 0);
  await store.start(1);
  const pids = [store.node(0).pid, store.node(1).pid] as const;
  const senderRests = await settled(pids[0]);
  const receiverEmpty = await settled(pids[1]);
  const bytes = store.shardBytes(0);
  say(`${mb(bytes)} MB of shards; at rest: sender ${mb(senderRests)} MB, receiver ${mb(receiverEmpty)} MB`);

  const peaks = pids.map((pid) => new Peak(pid));
  const began = performance.now();
  const target = { node_id: store.node(1).nodeId };
  await call(store.client(0), "POST", `/collections/${NAME}/shards/0/voters?wait=false`, target);
  for (let voters = 0; voters < 2;) {
    for (const peak of peaks) peak.look();
    // Seldom: answering costs the sender memory, too.
    await sleep(POLL_MS);
    const [shard] = await store.shards(NAME);
    const voting = shard?.replicas.filter(({ role, state }) => role !== "learner" && state === "active");
    voters = voting?.length ?? 0;
  }
  const seconds = (performance.now() - began) / 1000;
  const [sender = 0, receiver = 0] = peaks.map((peak) => peak.end());
  say(`votes after ${seconds.toFixed(1)} s; peaks: sender ${mb(sender)} MB, receiver ${mb(receiver)} MB`);
  await restart(store, 1);
  const receiverRests = await settled(store.node(1).pid);
  say(`the receiver, started again with the shard: ${mb(receiverRests)} MB`);
  // Both hold the same by now: what the smaller one needs is enough.
  const rests = Math.min(senderRests, receiverRests);
  const shared = { ...shape, shardMb: mb(bytes), seconds: Math.round(seconds * 10) / 10 };
  return [
    figure("7a", "sends", { peak: sender, rests, shared }),
    figure("7b", "receives", { peak: receiver, rests, shared }),
  ];
}

function figure(
  name: string,
  does: string,
  found: { readonly peak: number; readonly rests: number; readonly shared: Figure["detail"] },
): Figure {
  return {
    figure: name,
    what: `MB of memory beyond what holding the shard needs, on the node that ${does} it`,
    found: mb(found.peak - found.rests),
    limit: PROMISED_MB,
    rule: "atMost",
    unit: "MB",
    detail: { ...found.shared, peakMb: mb(found.peak), restsMb: mb(found.rests) },
  };
}

/** The most that was resident; Linux keeps count and can be told to begin anew; elsewhere samples have to do. */
class Peak {
  readonly #pid: number;
  readonly #isCounted: boolean;
  #highest = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#isCounted = process.platform === "linux";
    // Writing 5 sets VmHWM back to what is resident now.
    if (this.#isCounted) writeFileSync(`/proc/${pid}/clear_refs`, "5");
  }
  look(): void {
    this.#highest = Math.max(this.#highest, resident(this.#pid));
  }
  end(): number {
    this.look();
    if (!this.#isCounted) return this.#highest;
    const kib = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.#pid}/status`, "utf8"))?.[1];
    return Math.max(this.#highest, Number(kib ?? 0) * 1024);
  }
}

/** What is resident once it no longer changes: right after a start, much of it is on its way out again. */
async function settled(pid: number): Promise<number> {
  const seen: number[] = [];
  for (let look = 0; look < SETTLED.atMost; look++) {
    seen.push(resident(pid));
    const last = seen.slice(-SETTLED.looks);
    if (last.length === SETTLED.looks && Math.max(...last) - Math.min(...last) <= SETTLED.withinBytes)
      return Math.max(...last);
    await sleep(SETTLED.everyMs);
  }
  throw new Error(`the memory of process ${pid} does not settle: ${seen.slice(-SETTLED.looks).join(", ")}`);
}

function resident(pid: number): number {
  const bytes = residentBytes(pid);
  if (bytes === null) throw new Error(`the memory of a process cannot be measured on ${process.platform}`);
  return bytes;
}

async function restart(store: FlotillaStore, at: number): Promise<void> {
  await store.stop(at);
  await store.start(at);
}

async function fill(
  store: FlotillaStore,
  { points, dimension }: Shape,
  say: (line: string) => void,
): Promise<void> {
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let from = next; from < points; from = next) {
      next += BATCH;
      const ids = Array.from({ length: Math.min(BATCH, points - from) }, (_, at) => from + at);
      await write(
        store,
        `{"points":[${ids.map((id) => `{"id":${id},"vector":[${vector(id, dimension)}]}`).join(",")}]}`,
      );
      if (from % 20_000 === 0) say(`${from} of ${points} points`);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

/** Writing the same points again changes nothing, so what was not answered in time is simply repeated. */
async function write(store: FlotillaStore, body: string): Promise<void> {
  let answer = "";
  for (let attempt = 0; attempt < TRIES; attempt++) {
    try {
      const { status, body: text } = await store
        .client(0)
        .request("PUT", `/collections/${NAME}/points`, body);
      if (status === 200) return;
      answer = `${status} ${text.toString("utf8")}`;
    } catch (error) {
      if (!(error instanceof HttpClientError)) throw error;
      answer = error.message;
    }
    await sleep(SETTLED.everyMs);
  }
  throw new Error(`a batch was refused ${TRIES} times: ${answer}`);
}

/** Whole numbers that look random: short to write, and no two points alike. */
function vector(id: number, dimension: number): string {
  let state = id + 1;
  const numbers = new Array<number>(dimension);
  for (let axis = 0; axis < dimension; axis++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    numbers[axis] = state >>> 22;
  }
  return numbers.join(",");
}

const mb = (bytes: number): number => Math.round(bytes / MB);
