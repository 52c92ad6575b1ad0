/** What idle shards cost a node: time of a core and memory, three nodes with every shard on each. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { residentBytes } from "../src/cli/bench/machine.ts";
import { HttpClient } from "../src/cli/http-client.ts";
import { call } from "../src/cli/rest.ts";
import { flag } from "./figures/flags.ts";
import type { Figure } from "./figures/context.ts";
import { FlotillaStore } from "./figures-cluster/flotilla-store.ts";
import { concludes } from "./figures-cluster/report.ts";
import { NODES, SETTLE_MS } from "./figures-cluster/store.ts";
import { metricOf } from "./support/metrics.ts";

const GROUPS = { usual: 1_000, quick: 12 };
const SECONDS = { usual: 20, quick: 2 };
/** Shards of one collection. */
const PER_COLLECTION = 32;
/**
 * From the last write until groups rest and timers of theirs have run out: commits carried, snapshots let go, files
 * closed, and what their creation left in V8's heaps collected.
 */
const REST_MS = { usual: 60_000, quick: 3_000 };
/** A node's files: those of its shards at work, and some hundred others. */
const FILES_PER_GROUP = 2;
const FILES_BESIDE = 200;
/** For a thousand groups, above what a node with one costs. */
const PROMISED = { corePercent: 3, mib: 200 };
/** For transfers of leaderships back to a node that came back. */
const SETTLE_AFTER_START_MS = 3_000;
const MIB = 1 << 20;
/** Of `/proc/PID/stat`: the kernel's unit for a process's time. */
const CLOCK_TICKS_PER_SECOND = 100;

interface Cost {
  /** Percent of one core, mean of the nodes. */
  readonly corePercent: number;
  readonly mib: number;
}

/** `--groups 1000`, `--seconds 20`, `--quick`, `--out DIR`. */
export async function main(args: readonly string[]): Promise<void> {
  const size = args.includes("--quick") ? "quick" : "usual";
  const groups = flag(args, "--groups", GROUPS[size]);
  const seconds = flag(args, "--seconds", SECONDS[size]);
  checkFiles(groups);
  await concludes("idle-groups", args, async (say) => {
    await using store = await FlotillaStore.open({ nodes: NODES });
    const idle = async (count: number): Promise<Cost> => {
      await sleep(REST_MS[size]);
      const cost = await measure(store, seconds);
      say(
        `${count} groups: ${cost.corePercent.toFixed(2)} % of a core and ${cost.mib.toFixed(0)} MiB per node`,
      );
      return cost;
    };
    const one = await idle(1);
    const began = performance.now();
    await fill(store, groups - 1);
    say(`${groups - 1} groups were made in ${secondsSince(began)} s`);
    const all = await idle(groups);
    await restart(store, say);
    const perThousand = (more: number): number => (more / (groups - 1)) * 1_000;
    const detail = { groups, one: one.corePercent, all: all.corePercent, mibOne: one.mib, mibAll: all.mib };
    const figure = { rule: "atMost", detail } as const;
    return [
      {
        figure: "6a",
        what: "a core's time for 1,000 idle groups, per node",
        found: Math.max(0, perThousand(all.corePercent - one.corePercent)),
        limit: PROMISED.corePercent,
        unit: "%",
        ...figure,
      },
      {
        figure: "6b",
        what: "memory of 1,000 idle groups, per node",
        found: Math.max(0, perThousand(all.mib - one.mib)),
        limit: PROMISED.mib,
        unit: "MiB",
        ...figure,
      },
    ] satisfies readonly Figure[];
  });
}

/** A node comes back to all its groups while the others lead them. */
async function restart(store: FlotillaStore, say: (line: string) => void): Promise<void> {
  const others = [0, 1];
  const last = NODES - 1;
  const elections = async (): Promise<number> => {
    const counts = await Promise.all(others.map((at) => electionsOf(store.node(at).url)));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  const asked = performance.now();
  const before = await elections();
  say(`metrics of ${others.length} nodes were read in ${secondsSince(asked)} s`);
  const began = performance.now();
  await store.stop(last);
  const gone = await elections();
  say(`a node ended in ${secondsSince(began)} s; elections on the others: ${gone - before}`);
  await store.start(last);
  await sleep(SETTLE_AFTER_START_MS);
  const { pid, readySeconds } = store.node(last);
  const mib = (residentBytes(pid) ?? NaN) / MIB;
  say(
    `it serves all groups again after ${readySeconds.toFixed(1)} s, with ${mib.toFixed(0)} MiB; ` +
      `elections on the others: ${(await elections()) - gone}`,
  );
}

/** That a node stood for since it started, of all its groups. */
async function electionsOf(url: string): Promise<number> {
  using client = new HttpClient({ url, connections: 1, timeoutMs: SETTLE_MS });
  return await metricOf(client, "flotilla_elections_total");
}

const secondsSince = (began: number): string => ((performance.now() - began) / 1_000).toFixed(1);

/** Nodes inherit this process's limit; one that is too low would stop shards half way. */
function checkFiles(groups: number): void {
  const wanted = groups * FILES_PER_GROUP + FILES_BESIDE;
  const limit = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
  if (limit < wanted)
    throw new RangeError(
      `${groups} groups may need ${wanted} open files per node, not ${limit}: see ulimit -Hn`,
    );
}

/** Further collections with so many shards in all, each shard on all nodes. */
async function fill(store: FlotillaStore, shards: number): Promise<void> {
  using client = new HttpClient({ url: store.node(0).url, connections: 1, timeoutMs: SETTLE_MS });
  for (let left = shards, nth = 0; left > 0; left -= PER_COLLECTION, nth++) {
    const name = `idle-${nth}`;
    await call(client, "PUT", `/collections/${name}`, {
      vectors: { size: 8, distance: "Euclid" },
      shard_number: Math.min(left, PER_COLLECTION),
      replication_factor: NODES,
    });
    await store.untilWhole(NODES, name);
  }
}

async function measure(store: FlotillaStore, seconds: number): Promise<Cost> {
  const pids = Array.from({ length: NODES }, (_, at) => store.node(at).pid);
  const before = pids.map(cpuSeconds);
  const began = performance.now();
  await sleep(seconds * 1_000);
  const took = (performance.now() - began) / 1_000;
  const used = pids.map((pid, at) => (cpuSeconds(pid) - (before[at] ?? 0)) / took);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / NODES;
  return { corePercent: mean(used) * 100, mib: mean(pids.map((pid) => (residentBytes(pid) ?? NaN) / MIB)) };
}

/** Of all its threads, in its own code and in the kernel's. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the command's name in brackets, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}
