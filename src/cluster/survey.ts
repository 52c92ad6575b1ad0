import { ApiError } from "../api/errors.ts";
import type { GroupReport } from "./node-calls/contract.ts";
import { NodeCallError } from "./node-calls/errors.ts";
import type { Peers } from "./ports.ts";
import type { Reports } from "./views.ts";

export interface SurveyParts {
  readonly nodeId: number;
  readonly peers: Peers;
  readonly nodes: () => readonly number[];
  /** This node's own answer. */
  readonly here: (signal: AbortSignal) => Promise<{ readonly groups: readonly GroupReport[] }>;
}

/** A node that does not answer within this time is shown as unreachable. */
const ANSWER_MS = 1_000;

/** Asks every node what it holds, side by side. Throws only the signal's reason. */
export async function survey(parts: SurveyParts, signal: AbortSignal): Promise<Reports> {
  const { nodeId, peers, nodes, here } = parts;
  const wait = { timeoutMs: ANSWER_MS, signal };
  const answers = await Promise.all(
    [...new Set([nodeId, ...nodes()])].map(
      async (node): Promise<[number, ReadonlyMap<number, GroupReport> | null]> => {
        try {
          const { groups } =
            node === nodeId ? await here(signal) : await peers.call(node, "groups", {}, wait);
          return [node, new Map(groups.map((report) => [report.group, report]))];
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof NodeCallError || error instanceof ApiError) return [node, null];
          throw error;
        }
      },
    ),
  );
  return new Map(answers);
}
