/** Figure 3: the 99th percentile of search latency while an import runs, against an idle node. */
import type { LoadAnswer } from "../../src/cli/bench/load-process.ts";
import { batchesOf } from "../../src/cli/bench/loaded-set.ts";
import { summarise } from "../../src/cli/bench/statistics.ts";
import { upload } from "../../src/cli/import/upload.ts";
import { COLLECTION } from "./context.ts";
import type { Bench, Figure } from "./context.ts";

const EF = 64;

/** Leaves new points in the collection. */
export async function duringImport(bench: Bench): Promise<readonly Figure[]> {
  const idle = await searches(bench);
  const stop = new AbortController();
  const importing = importUntil(bench, stop.signal);
  const busy = await searches(bench);
  stop.abort();
  const rows = await importing;
  const idleMs = summarise(idle.latenciesMs);
  const busyMs = summarise(busy.latenciesMs);
  return [
    {
      figure: "3",
      what: "search p99 while an import runs, against idle",
      found: busyMs.p99 / idleMs.p99,
      limit: 5,
      rule: "atMost",
      unit: "x",
      detail: {
        idleP99Ms: idleMs.p99,
        busyP99Ms: busyMs.p99,
        idleP50Ms: idleMs.p50,
        busyP50Ms: busyMs.p50,
        importedRows: rows,
        failures: idle.failures + busy.failures,
      },
    },
  ];
}

function searches({ load, node, files, scale }: Bench): Promise<LoadAnswer> {
  return load.ask<LoadAnswer>({
    ...{ url: node.url, collection: COLLECTION, queries: files.queries },
    ...{ k: 10, ef: EF, clients: 1, minSeconds: scale.loadSeconds, stopAtTime: true },
  });
}

/** The set once more under new ids, again and again until told to stop. */
async function importUntil(bench: Bench, signal: AbortSignal): Promise<number> {
  const { client, set, points } = bench;
  let rows = 0;
  for (let round = 1; !signal.aborted; round++) {
    const options = { collection: COLLECTION, concurrency: 4, idOffset: round * points, signal };
    const sent = await upload(client, batchesOf(set, 100), options);
    rows += sent.rows;
  }
  return rows;
}
