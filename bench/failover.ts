/** How long writes stand still when the leader is killed, stands still or is told to stop; etcd beside it. */
import { setTimeout as sleep } from "node:timers/promises";
import { summarise } from "../src/cli/bench/statistics.ts";
import { flag } from "./figures/flags.ts";
import type { Figure } from "./figures/context.ts";
import { EtcdStore, etcdVersion } from "./figures-cluster/etcd-store.ts";
import { FlotillaStore } from "./figures-cluster/flotilla-store.ts";
import { concludes } from "./figures-cluster/report.ts";
import { NODES, type ReplicatedStore } from "./figures-cluster/store.ts";

const RUNS = { usual: 30, quick: 3 };
const RUNS_OTHER = { usual: 10, quick: 1 };
const PROMISED_MS = { p50: 300, p99: 1_000, stop: 250 };
/** The default: 15 ticks of 20 ms, drawn up to twice that; then the promise's 300 ms. */
const PROMISED_PAUSE_MS = 600 + 300;
/** Acknowledged before anything happens, so that connections are open and the leader is busy. */
const WARM_WRITES = 50;
/** Writes after an orderly stop whose latency counts: the hand-over falls among the first. */
const WRITES_DURING_STOP = 200;

const PROBE_EVERY_MS = 10;
/** Every probe on its way has one. */
const CONNECTIONS = 256;

type Way = "kill" | "pause" | "stop";

/** `--runs 30`, `--quick`, `--out DIR`. */
export async function main(args: readonly string[]): Promise<void> {
  const quick = args.includes("--quick");
  const runs = flag(args, "--runs", quick ? RUNS.quick : RUNS.usual);
  const other = Math.min(runs, quick ? RUNS_OTHER.quick : RUNS_OTHER.usual);
  await concludes("failover", args, async (say) => {
    const figures: Figure[] = [];
    const etcd = etcdVersion();
    const theirs =
      etcd === null
        ? null
        : await measured(() => EtcdStore.open({ connections: CONNECTIONS }), { runs: other, other, say });
    if (etcd === null) say("no `etcd` is installed: nothing to compare with (Debian: etcd-server)");
    const ours = await measured(() => FlotillaStore.open({ connections: CONNECTIONS }), { runs, other, say });
    const beside = (way: Way): Record<string, number | string> =>
      theirs === null
        ? { etcd: "not installed" }
        : {
            etcdVersion: etcd ?? "",
            etcdP50: summarise(theirs[way].gaps).p50,
            etcdMost: Math.max(...theirs[way].gaps),
          };
    const killed = summarise(ours.kill.gaps);
    const most = Math.max(...ours.kill.gaps);
    const detail = { runs, p50: killed.p50, p99: killed.p99, most };
    const rule = { rule: "atMost", unit: "ms" } as const;
    figures.push(
      {
        figure: "1a",
        what: "writes stand still after kill -9 of the leader, p50",
        found: killed.p50,
        limit: PROMISED_MS.p50,
        ...rule,
        detail: { ...detail, ...beside("kill") },
      },
      {
        figure: "1b",
        what: "the same, p99",
        found: killed.p99,
        limit: PROMISED_MS.p99,
        ...rule,
        detail: { ...detail, ...beside("kill") },
      },
      {
        figure: "1c",
        what: "writes stand still when the leader does (SIGSTOP), p99",
        found: summarise(ours.pause.gaps).p99,
        limit: PROMISED_PAUSE_MS,
        ...rule,
        detail: { runs: other, p50: summarise(ours.pause.gaps).p50, ...beside("pause") },
      },
      {
        figure: "1d",
        what: "a write while the leader is told to stop (SIGTERM), p99",
        found: summarise(ours.stop.latencies).p99,
        limit: PROMISED_MS.stop,
        ...rule,
        detail: { runs: other, longest: Math.max(...ours.stop.latencies), ...beside("stop") },
      },
      {
        figure: "1e",
        what: "requests to the others that failed during that stop",
        found: ours.stop.failures,
        limit: 0,
        rule: "atMost",
        unit: "",
        detail: { runs: other, ...(theirs === null ? {} : { etcd: theirs.stop.failures }) },
      },
    );
    return figures;
  });
}

interface Interruptions {
  /** Per run: from the signal to the next acknowledgement of a write sent after it, ms. */
  readonly gaps: Float64Array;
  /** Of every write after the signal, ms. */
  readonly latencies: Float64Array;
  readonly failures: number;
}

async function measured(
  open: () => Promise<ReplicatedStore>,
  {
    runs,
    other,
    say,
  }: { readonly runs: number; readonly other: number; readonly say: (line: string) => void },
): Promise<Readonly<Record<Way, Interruptions>>> {
  await using store = await open();
  const of = async (way: Way, times: number): Promise<Interruptions> => {
    const gaps: number[] = [];
    const latencies: number[] = [];
    let failures = 0;
    for (let run = 0; run < times; run++) {
      const one = await interrupt(store, way, run);
      gaps.push(one.gap);
      latencies.push(...one.latencies);
      failures += one.failures;
      say(`${store.name}: ${way} ${run + 1} of ${times}: ${one.gap.toFixed(0)} ms`);
    }
    return { gaps: Float64Array.from(gaps), latencies: Float64Array.from(latencies), failures };
  };
  return { kill: await of("kill", runs), pause: await of("pause", other), stop: await of("stop", other) };
}

interface Interruption {
  readonly gap: number;
  readonly latencies: readonly number[];
  readonly failures: number;
}

/** One leader gone; the client writes through a node that stays. */
async function interrupt(store: ReplicatedStore, way: Way, run: number): Promise<Interruption> {
  const leader = await store.leader();
  const survivors = Array.from({ length: NODES }, (_, at) => at).filter((at) => at !== leader);
  const through = survivors[run % survivors.length] ?? 0;
  let key = run * 10_000;
  for (let done = 0; done < WARM_WRITES;) if (await store.put(through, key++)) done++;

  const began = performance.now();
  const put = (): Promise<boolean> => store.put(through, key++);
  if (way === "stop") {
    const over = store.stop(leader);
    const written = await writeOn(put, began);
    await over;
    await store.start(leader);
    return written;
  }
  if (way === "pause") store.pause(leader);
  const over = way === "kill" ? store.kill(leader) : Promise.resolve();
  const gap = (await firstAcknowledged(put)) - began;
  await over;
  if (way === "pause") store.resume(leader);
  else await store.start(leader);
  return { gap, latencies: [], failures: 0 };
}

/** One write after the other; a failed one counts and is repeated. */
async function writeOn(put: () => Promise<boolean>, began: number): Promise<Interruption> {
  const latencies: number[] = [];
  let failures = 0;
  let gap: number | null = null;
  while (latencies.length < WRITES_DURING_STOP) {
    const sent = performance.now();
    if (await put()) {
      const now = performance.now();
      latencies.push(now - sent);
      gap ??= now - began;
    } else failures++;
  }
  return { gap: gap ?? 0, latencies, failures };
}

/**
 * A new write every few milliseconds, whatever became of those before: when the first one is acknowledged does not
 * depend on how long a request to a store without a leader hangs.
 */
async function firstAcknowledged(put: () => Promise<boolean>): Promise<number> {
  let first: number | null = null;
  const sent: Promise<void>[] = [];
  while (first === null) {
    const write = async (): Promise<void> => {
      if (await put()) first ??= performance.now();
    };
    sent.push(write());
    await sleep(PROBE_EVERY_MS);
  }
  await Promise.all(sent);
  return first;
}
