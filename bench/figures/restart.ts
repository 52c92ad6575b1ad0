/** Figure 4: how soon a node with everything loaded is ready again, and what it holds in memory. */
import type { LoadAnswer } from "../../src/cli/bench/load-process.ts";
import { collectionState } from "../../src/cli/bench/loaded-set.ts";
import { residentBytes } from "../../src/cli/bench/machine.ts";
import { scoreAnswers } from "../../src/cli/bench/recall-run.ts";
import { COLLECTION } from "./context.ts";
import type { Bench, Figure } from "./context.ts";

const MIB = 1 << 20;
const EF = 128;
/** What the program may hold beside the vectors and the graph. */
const ALLOWANCE_MIB = 200;
const SHARE = 1.6;

export async function restart(bench: Bench): Promise<readonly Figure[]> {
  const { built, points, files, load, scale } = bench;
  const node = await bench.restart("stop");
  const { readySeconds } = node;
  const state = await collectionState(bench.client, COLLECTION);
  const answer = await load.ask<LoadAnswer>({
    ...{ url: node.url, collection: COLLECTION, queries: files.queries },
    ...{ k: 10, ef: EF, clients: 8, minSeconds: scale.minSeconds },
  });
  const { recallId } = scoreAnswers(bench.set, bench.truth, { ids: answer.ids, k: 10 }, 1e-3);
  const rss = (residentBytes(node.pid) ?? Number.NaN) / MIB;
  const killed = await bench.restart("kill");
  const bareMib = built.rssGrowthBytes / MIB;
  return [
    {
      figure: "4a",
      what: "ready again after a stop, against the bare build time",
      found: readySeconds / built.seconds,
      limit: 1 / 20,
      rule: "atMost",
      unit: "x",
      detail: {
        readySeconds,
        readyAfterKillSeconds: killed.readySeconds,
        bareSeconds: built.seconds,
        pointsIndexedWhenReady: state.indexed,
        pointsMissing: points - state.points,
        recallAfterRestart: recallId,
      },
    },
    {
      figure: "4b",
      what: `resident memory, at most ${SHARE} x the bare index plus ${ALLOWANCE_MIB} MB`,
      found: rss,
      limit: SHARE * bareMib + ALLOWANCE_MIB,
      rule: "atMost",
      unit: "MiB",
      // The stricter reading of what the library holds: what the build added to an empty process.
      detail: { bareIndexMib: bareMib, bareProcessMib: built.rssBytes / MIB },
    },
  ];
}
