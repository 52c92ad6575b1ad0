/** Figure 1: searches per second over REST at recall@10 >= 0.99, against the bare library on one thread. */
import { measureGrid } from "../../src/cli/bench/recall-run.ts";
import type { CurvePoint } from "../../src/cli/bench/recall-run.ts";
import { COLLECTION } from "./context.ts";
import type { Bench, Figure } from "./context.ts";

const RECALL = 0.99;
const CLIENTS = 8;
const EFS = [24, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256];

export async function search(bench: Bench, say: (line: string) => void): Promise<readonly Figure[]> {
  const { set, files, truth, bare, load, node, scale } = bench;
  const points = await measureGrid(
    { set, files, truth, bare, load, target: { url: node.url, collection: COLLECTION } },
    { efs: EFS, ks: [10], clients: [CLIENTS], epsilon: 1e-3, minSeconds: scale.minSeconds },
    ({ who, ef, recallId, qps }) =>
      say(`${who} ef=${ef}: recall@10 ${recallId.toFixed(4)}, ${qps.toFixed(0)}/s`),
  );
  const own = qpsAtRecall(points, "flotilla");
  const theirs = qpsAtRecall(points, "hnswlib");
  return [
    {
      figure: "1",
      what: `searches per second at recall@10 of ${RECALL}, against bare hnswlib-node`,
      found: own.qps / theirs.qps,
      limit: 0.8,
      rule: "atLeast",
      unit: "x",
      detail: {
        flotillaQps: own.qps,
        flotillaEf: own.ef,
        hnswlibQps: theirs.qps,
        hnswlibEf: theirs.ef,
        clients: CLIENTS,
      },
    },
  ];
}

/**
 * Speed at exactly the wanted recall, on the line (logarithmic in speed) between the two measured points around it:
 * neighbouring values of ef overshoot by different amounts on the two sides. 0 when it was never reached.
 */
export function qpsAtRecall(
  points: readonly CurvePoint[],
  who: CurvePoint["who"],
): { readonly qps: number; readonly ef: number } {
  const curve = points.filter((point) => point.who === who).sort((a, b) => a.ef - b.ef);
  const above = curve.findIndex(({ recallId }) => recallId >= RECALL);
  const upper = curve[above];
  if (upper === undefined) return { qps: 0, ef: 0 };
  const lower = curve[above - 1];
  if (lower === undefined) return { qps: upper.qps, ef: upper.ef };
  const share = (RECALL - lower.recallId) / (upper.recallId - lower.recallId);
  return {
    qps: Math.exp(Math.log(lower.qps) + share * (Math.log(upper.qps) - Math.log(lower.qps))),
    ef: lower.ef + share * (upper.ef - lower.ef),
  };
}
