import { NodeId } from "../../../shards/raft/types.ts";
import type { ConfChangeStep } from "../../../shards/raft/conf-change.ts";

const KINDS = { v: "addVoter", l: "addLearner", r: "remove", u: "update" } as const;

/** `v1 l2 r3 u4`: add voter 1, add learner 2, remove 3, update 4. */
export function parseSteps(text: string): ConfChangeStep[] {
  return text
    .split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => {
      const kind = KINDS[word[0] as keyof typeof KINDS] as (typeof KINDS)[keyof typeof KINDS] | undefined;
      if (kind === undefined) throw new Error(`unknown step ${word}`);
      return { kind, node: NodeId(Number(word.slice(1))) };
    });
}
