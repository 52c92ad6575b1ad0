/** Figure 3: the 99th percentile of search latency while an import runs, against an idle node. */
import type { LoadAnswer } from "../../src/cli/bench/load-process.ts";
import { summarise } from "../../src/cli/bench/statistics.ts";
import { COLLECTION } from "./context.ts";
import type { Bench, Figure } from "./context.ts";
import { requestsOf } from "./upserts.ts";

const EF = 64;
const IMPORTERS = 4;

/** Leaves new points in the collection. */
export async function duringImport(bench: Bench): Promise<readonly Figure[]> {
  const requests = requestsOf(bench, bench.points);
  const idle = await searches(bench);
  const stop = new AbortController();
  const importing = importUntil(bench, requests, stop.signal);
  const busy = await searches(bench);
  stop.abort();
  const rows = await importing;
  const failures = idle.failures + busy.failures;
  if (failures > 0) throw new Error(`${failures} searches failed: a percentile of the others says nothing`);
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

/**
 * The set once more under new ids, until told to stop; ready beforehand, since making JSON is the client's business and
 * here it would take the node's cores.
 */
async function importUntil(
  { client }: Bench,
  requests: ReturnType<typeof requestsOf>,
  signal: AbortSignal,
): Promise<number> {
  let rows = 0;
  let next = 0;
  await Promise.all(
    Array.from({ length: IMPORTERS }, async () => {
      while (!signal.aborted) {
        const request = requests[next++];
        if (request === undefined) throw new Error("the import ended before the searches beside it");
        const { status } = await client.exchange(request.bytes);
        if (status !== 200) throw new Error(`an import's batch was answered with ${status}`);
        rows += request.rows;
      }
    }),
  );
  return rows;
}
