/** The consensus core alone: commits per second, bytes allocated per commit, the cost of an idle tick. */
import { getHeapStatistics } from "node:v8";
import { CoreTrio } from "./support/core-trio.ts";

const PAYLOAD_BYTES = 256;
const GROUPS = 1000;
/** Proposals in flight, and the commits per second to reach with them. */
const GOALS = [
  { inFlight: 1, goal: 20_000 },
  { inFlight: 64, goal: 300_000 },
  { inFlight: 1024, goal: 600_000 },
] as const;
const IDLE_GOAL_MS = 1;

/** `--seconds 2`: how long each figure is measured. `--only 64`: one number in flight, for a profile. */
export async function main(args: readonly string[]): Promise<void> {
  const seconds = number(args, "--seconds", 2);
  const only = number(args, "--only", 0);
  let held = true;
  const line = (what: string, found: string, goal: string, ok: boolean): void => {
    held &&= ok;
    console.log(`${what.padEnd(44)}${found.padStart(22)}  ${goal}${ok ? "" : "  MISSED"}`);
  };
  console.log(`three cores, one process, ${PAYLOAD_BYTES}-byte payloads\n`);
  for (const { inFlight, goal } of GOALS) {
    if (only !== 0 && only !== inFlight) continue;
    const rate = commitsPerSecond(inFlight, seconds);
    const what = `commits/s with ${inFlight} in flight`;
    line(what, Math.round(rate).toLocaleString("en"), `at least ${goal.toLocaleString("en")}`, rate >= goal);
    line(`  bytes allocated per commit`, Math.round(bytesPerCommit(inFlight)).toLocaleString("en"), "", true);
  }
  if (only === 0) {
    const { tickMs, nodeMs } = idleTick(seconds);
    const what = `idle tick of ${GROUPS} groups, a third of them led`;
    line(what, `${tickMs.toFixed(3)} ms`, `below ${IDLE_GOAL_MS} ms`, tickMs < IDLE_GOAL_MS);
    line("  with heartbeats sent, answered and counted", `${nodeMs.toFixed(3)} ms`, "", true);
  }
  process.exitCode = held ? 0 : 1;
  await Promise.resolve();
}

/** Keeps `inFlight` proposals under way: as many are proposed at once as were committed. */
function load(trio: CoreTrio, payloads: readonly Uint8Array[]): void {
  trio.leader.propose(payloads);
  trio.run();
}

function payloadsOf(count: number): readonly Uint8Array[] {
  // One array for all: what a client's bytes cost is not the core's.
  return new Array<Uint8Array>(count).fill(new Uint8Array(PAYLOAD_BYTES));
}

function commitsPerSecond(inFlight: number, seconds: number): number {
  const trio = new CoreTrio(1);
  const payloads = payloadsOf(inFlight);
  for (const warm = performance.now() + 500; performance.now() < warm;) load(trio, payloads);
  trio.applied = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  let now = start;
  for (; now < end; now = performance.now()) for (let round = 0; round < 16; round++) load(trio, payloads);
  return trio.applied / ((now - start) / 1000);
}

/** The heap's growth, summed over stretches short enough that few of them hold a collection (those are left out). */
function bytesPerCommit(inFlight: number): number {
  const trio = new CoreTrio(1);
  const payloads = payloadsOf(inFlight);
  for (let round = 0; round < 2000; round++) load(trio, payloads);
  const rounds = Math.max(1, Math.floor(512 / inFlight));
  let bytes = 0;
  let commits = 0;
  for (let stretch = 0; stretch < 200; stretch++) {
    const before = getHeapStatistics().used_heap_size;
    for (let round = 0; round < rounds; round++) load(trio, payloads);
    const grown = getHeapStatistics().used_heap_size - before;
    if (grown < 0) continue;
    bytes += grown;
    commits += rounds * inFlight;
  }
  return bytes / commits;
}

/** One node's share: of its groups it leads a third and follows in the others. */
function idleTick(seconds: number): { tickMs: number; nodeMs: number } {
  const groups = Array.from({ length: GROUPS }, (_, at) => new CoreTrio(at + 1));
  const ticks: number[] = [];
  const nodes: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const start = performance.now();
    // This node is member 1 of the first third, and another member of the rest.
    for (let at = 0; at < GROUPS; at++) (groups[at] as CoreTrio).tick(at % 3);
    const ticked = performance.now();
    for (let at = 0; at < GROUPS; at++) {
      (groups[at] as CoreTrio).tick((at + 1) % 3);
      (groups[at] as CoreTrio).tick((at + 2) % 3);
    }
    for (const group of groups) group.run();
    const done = performance.now();
    ticks.push(ticked - start);
    // All three nodes' work was done in this process.
    nodes.push((done - start) / 3);
  }
  return { tickMs: median(ticks), nodeMs: median(nodes) };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

function number(args: readonly string[], name: string, otherwise: number): number {
  const at = args.indexOf(name);
  const value = at < 0 ? otherwise : Number(args[at + 1]);
  if (!Number.isFinite(value) || value < 0)
    throw new RangeError(`${name} is a number from 0, not ${args[at + 1]}`);
  return value;
}
