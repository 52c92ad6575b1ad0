/** Figure 2: how fast durable upserts are acknowledged, and how long until all of them are in the graph. */
import { fillCollection, untilIndexed } from "../../src/cli/bench/loaded-set.ts";
import { COLLECTION, GRAPH } from "./context.ts";
import type { Bench, Figure } from "./context.ts";

interface Moment {
  readonly seconds: number;
  readonly rows: number;
}

/** Rows whose pace is looked at together. */
const WINDOW_ROWS = 500;
/** Back-pressure has begun where the pace falls below this share of the best. */
const KNEE_SHARE = 0.4;

/** Leaves the collection loaded and indexed. */
export async function upserts(bench: Bench): Promise<readonly Figure[]> {
  const { client, set, built, points } = bench;
  const moments: Moment[] = [];
  const started = performance.now();
  const result = await fillCollection(client, set, {
    ...{ collection: COLLECTION, batch: 100, concurrency: 4 },
    ...GRAPH,
    onRows: (rows) => moments.push({ seconds: (performance.now() - started) / 1000, rows }),
  });
  const acknowledged = (performance.now() - started) / 1000;
  await untilIndexed(client, COLLECTION, points);
  const indexed = (performance.now() - started) / 1000;
  const knee = untilBackPressure(moments);
  const pace = knee.rows / knee.seconds;
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
        rowsUntilBackPressure: knee.rows,
        acknowledgedSeconds: acknowledged,
        refusals: result.retries,
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

/** The last moment before acknowledgements slow down; the last of all when they never do. */
export function untilBackPressure(moments: readonly Moment[]): Moment {
  let best = 0;
  let from: Moment = { seconds: 0, rows: 0 };
  for (const moment of moments) {
    if (moment.rows - from.rows < WINDOW_ROWS) continue;
    const pace = (moment.rows - from.rows) / (moment.seconds - from.seconds);
    if (pace < best * KNEE_SHARE) return from;
    best = Math.max(best, pace);
    from = moment;
  }
  return moments.at(-1) ?? { seconds: 1, rows: 0 };
}
