/** Figure 2: how fast durable upserts are acknowledged, and how long until all of them are in the graph. */
import { untilIndexed } from "../../src/cli/bench/loaded-set.ts";
import { collectionPath } from "../../src/cli/rest.ts";
import { createCollection } from "../../src/cli/import/target.ts";
import { vectorJson } from "../../src/cli/vector-json.ts";
import { COLLECTION, GRAPH } from "./context.ts";
import type { Bench, Figure } from "./context.ts";

const BATCH = 100;
const CLIENTS = 4;
/** What the node says when the tail is full and writes begin to wait. */
const BACK_PRESSURE = "writes wait for the indexer";

/**
 * Leaves the collection loaded and indexed. The requests are ready before the clock starts: making JSON is the
 * client's business, and here it would take the node's cores.
 */
export async function upserts(bench: Bench): Promise<readonly Figure[]> {
  const { client, set, built, points, node } = bench;
  await createCollection(client, {
    collection: COLLECTION,
    distance: set.distance,
    dimension: set.dimension,
    ...GRAPH,
  });
  const requests = requestsOf(bench);
  let rows = 0;
  let knee: { readonly rows: number; readonly seconds: number } | null = null;
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  node.onLine = (line) => {
    if (line.includes(BACK_PRESSURE)) knee ??= { rows, seconds: seconds() };
  };
  let next = 0;
  let refusals = 0;
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      for (let request = requests[next++]; request !== undefined; request = requests[next++]) {
        for (;;) {
          const { status } = await client.exchange(request.bytes);
          if (status === 200) break;
          refusals++;
        }
        rows += request.rows;
      }
    }),
  );
  const acknowledged = seconds();
  await untilIndexed(client, COLLECTION, points);
  const indexed = seconds();
  const until = knee ?? { rows, seconds: acknowledged };
  const pace = until.rows / until.seconds;
  return [
    {
      figure: "2a",
      what: "upserts acknowledged until back-pressure, against bare inserts",
      found: pace / built.insertsPerSecond,
      limit: 5,
      rule: "atLeast",
      unit: "x",
      detail: {
        acknowledgedPerSecond: pace,
        bareInsertsPerSecond: built.insertsPerSecond,
        rowsUntilBackPressure: until.rows,
        acknowledgedSeconds: acknowledged,
        refusals,
      },
    },
    {
      figure: "2b",
      what: "time until everything is in the graph, against the bare build",
      found: indexed / built.seconds,
      limit: 1.25,
      rule: "atMost",
      unit: "x",
      detail: { indexedSeconds: indexed, bareSeconds: built.seconds },
    },
  ];
}

/** Batches as bytes on the wire, with the ids (from `idOffset` on) and labels that an import gives them. */
export function requestsOf(
  { client, set }: Bench,
  idOffset = 0,
): readonly { readonly bytes: Buffer; readonly rows: number }[] {
  const { base, dimension, labels } = set;
  const total = base.length / dimension;
  const path = `${collectionPath(COLLECTION, "/points")}?wait=true`;
  const requests: { readonly bytes: Buffer; readonly rows: number }[] = [];
  for (let first = 0; first < total; first += BATCH) {
    const rows = Math.min(BATCH, total - first);
    const points = Array.from({ length: rows }, (_, at) => {
      const id = first + at;
      const payload = labels === null ? "" : `,"payload":{"label":${labels[id]}}`;
      return `{"id":${idOffset + id},"vector":${vectorJson(base, id * dimension, (id + 1) * dimension)}${payload}}`;
    });
    requests.push({ bytes: client.encode("PUT", path, `{"points":[${points.join(",")}]}`), rows });
  }
  return requests;
}
