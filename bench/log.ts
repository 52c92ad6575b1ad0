/**
 * What a write costs from the proposal to the state machine, through the production host on a real file, and what of
 * it is the log itself: `npm run bench -- log [seconds per row]`. Absolute figures belong to the disk they were taken
 * on; compare rows of one run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryLog, noPeers, openSqliteLog, systemClock, systemRandom } from "../shards/adapters.ts";
import { systemScheduler } from "../shards/adapters.ts";
import { GroupId, LogIndex, NodeId, openHost } from "../shards/index.ts";
import type { ApplyOp, LogStore } from "../shards/index.ts";

const GROUP = GroupId(1);

/** Applies by counting, so that only the way there is measured. */
function counter(): ApplyOp {
  let applied = LogIndex(0);
  return {
    appliedIndex: async () => applied,
    durableIndex: async () => applied,
    checkpoint: async () => applied,
    apply: async (entries) => {
      applied = entries.at(-1)?.index ?? applied;
      return entries.map(() => null);
    },
    capture: async () => {
      throw new Error("nobody needs a snapshot of a counter");
    },
    restore: async () => undefined,
  };
}

interface Row {
  readonly log: string;
  readonly bytes: number;
  readonly waiting: number;
  readonly perSecond: number;
  readonly megabytesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly entriesPerWrite: number;
  readonly writeMs: number;
}

async function measure(
  log: LogStore,
  shape: { log: string; bytes: number; waiting: number; seconds: number },
): Promise<Row> {
  let [writes, entries, writeMs] = [0, 0, 0];
  await using host = openHost(
    { identity: { cluster: "bench", node: NodeId(1), incarnation: "bench" } },
    {
      log,
      transport: noPeers(),
      clock: systemClock,
      random: systemRandom,
      scheduler: systemScheduler,
      events: {
        event: (event) => {
          if (event.kind !== "logWritten" || event.entries === 0) return;
          writes++;
          entries += event.entries;
          writeMs += event.durationMs;
        },
      },
    },
  );
  const alone = { voters: [NodeId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const group = await host.openGroup({ group: GROUP, applyOp: counter(), bootstrap: alone });
  // It leads alone, once its first entry is committed.
  while ((await group.readIndex()).kind !== "ready");
  const latencies: number[] = [];
  const data = crypto.getRandomValues(new Uint8Array(Math.min(shape.bytes, 65_536)));
  const until = performance.now() + shape.seconds * 1_000;
  const client = async (): Promise<void> => {
    while (performance.now() < until) {
      const entry = new Uint8Array(shape.bytes);
      for (let at = 0; at < shape.bytes; at += data.length) entry.set(data.subarray(0, shape.bytes - at), at);
      const startedMs = performance.now();
      const outcome = await group.propose(entry);
      if (outcome.kind !== "applied") throw new Error(`a proposal ended as ${outcome.kind}`);
      latencies.push(performance.now() - startedMs);
    }
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: shape.waiting }, client));
  const seconds = (performance.now() - startedMs) / 1_000;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor((latencies.length - 1) * share)] ?? NaN;
  return {
    log: shape.log,
    bytes: shape.bytes,
    waiting: shape.waiting,
    perSecond: Math.round(latencies.length / seconds),
    megabytesPerSecond: Math.round((latencies.length * shape.bytes) / seconds / 1e6),
    p50Ms: Number(at(0.5).toFixed(3)),
    p99Ms: Number(at(0.99).toFixed(3)),
    entriesPerWrite: Number((entries / Math.max(1, writes)).toFixed(1)),
    writeMs: Number((writeMs / Math.max(1, writes)).toFixed(3)),
  };
}

export async function main(args: readonly string[]): Promise<void> {
  const seconds = Number(args[0] ?? 2);
  if (!(seconds > 0)) throw new RangeError(`seconds per row is a number above 0, not ${args[0]}`);
  const directory = mkdtempSync(join(tmpdir(), "flotilla-bench-log-"));
  const rows: Row[] = [];
  try {
    for (const bytes of [600, 300_000])
      for (const waiting of [1, 100]) {
        await using file = await openSqliteLog({ path: join(directory, `${bytes}-${waiting}.db`) });
        rows.push(await measure(file, { log: "sqlite", bytes, waiting, seconds }));
        rows.push(await measure(new MemoryLog(), { log: "memory", bytes, waiting, seconds }));
      }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  console.table(rows);
}
