import type { ConfState } from "../../shards/ports.ts";
import type { NodeId } from "../../shards/raft/types.ts";

/**
 * Every set of members that is a majority of one half of a joint configuration and not of the other: cut off from the
 * rest, neither side may commit or elect anything. Smaller sets come first; empty when there is none.
 */
export function lopsided(conf: ConfState): readonly (readonly NodeId[])[] {
  const members = [...new Set([...conf.voters, ...conf.votersOutgoing])].sort((a, b) => a - b);
  const found: NodeId[][] = [];
  for (let bits = 1; bits < 2 ** members.length - 1; bits++) {
    const side = members.filter((_id, at) => (bits >> at) % 2 === 1);
    if (isMajority(side, conf.voters) !== isMajority(side, conf.votersOutgoing)) found.push(side);
  }
  return found.sort((a, b) => a.length - b.length);
}

function isMajority(side: readonly NodeId[], half: readonly NodeId[]): boolean {
  return half.filter((id) => side.includes(id)).length * 2 > half.length;
}
