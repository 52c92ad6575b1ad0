/** Majorities, and the two of them at once that a joint configuration needs (Raft §6). Pure functions of small lists. */
import type { NodeId } from "./types.ts";

/** `lost` is final: not even all missing votes could win it any more. */
export type VoteResult = "won" | "lost" | "pending";

/** Reused by every call: the core is single-threaded and the list is dead when the call returns. */
const scratch: number[] = [];

/**
 * The highest index that a majority of `voters` has reached. No voters: infinity, so that the empty half of a
 * configuration that is not joint never holds the other half back. An unknown voter counts as 0.
 */
export function majorityIndex(
  voters: readonly NodeId[],
  matchOf: (voter: NodeId) => number | undefined,
): number {
  const count = voters.length;
  if (count === 0) return Infinity;
  // Insertion sort: a handful of voters, and mostly in order already.
  for (let i = 0; i < count; i++) {
    const match = matchOf(voters[i] as NodeId) ?? 0;
    let hole = i;
    while (hole > 0 && (scratch[hole - 1] as number) > match) {
      scratch[hole] = scratch[hole - 1] as number;
      hole--;
    }
    scratch[hole] = match;
  }
  return scratch[count - (count >> 1) - 1] as number;
}

/** What both halves have reached. */
export function jointIndex(
  incoming: readonly NodeId[],
  outgoing: readonly NodeId[],
  matchOf: (voter: NodeId) => number | undefined,
): number {
  const first = majorityIndex(incoming, matchOf);
  return outgoing.length === 0 ? first : Math.min(first, majorityIndex(outgoing, matchOf));
}

/** No voters: won, by the same convention as {@link majorityIndex}. */
export function majorityVote(
  voters: readonly NodeId[],
  voteOf: (voter: NodeId) => boolean | undefined,
): VoteResult {
  if (voters.length === 0) return "won";
  let yes = 0;
  let missing = 0;
  for (const voter of voters) {
    const vote = voteOf(voter);
    if (vote === undefined) missing++;
    else if (vote) yes++;
  }
  const needed = (voters.length >> 1) + 1;
  if (yes >= needed) return "won";
  return yes + missing >= needed ? "pending" : "lost";
}

/** One half lost loses the whole; both halves have to be won. */
export function jointVote(
  incoming: readonly NodeId[],
  outgoing: readonly NodeId[],
  voteOf: (voter: NodeId) => boolean | undefined,
): VoteResult {
  const first = majorityVote(incoming, voteOf);
  const second = majorityVote(outgoing, voteOf);
  if (first === second) return first;
  if (first === "lost" || second === "lost") return "lost";
  return "pending";
}
