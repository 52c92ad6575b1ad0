/**
 * One replica of one shard closed and opened again on its node: log, core and engine, and nothing of the others. The
 * way back after its disk failed or its state machine stopped; one that runs well may be restarted too.
 */
import { ApiError } from "../api/errors.ts";
import type { Placement } from "../catalog/types.ts";
import { handOver } from "./node-handlers.ts";
import { asApiError } from "./outcomes.ts";
import type { Consensus, Peers } from "./ports.ts";
import type { Roles } from "./roles.ts";
import type { Timers } from "./timers.ts";
import type { CallOptions } from "./types.ts";
import { within } from "./within.ts";

/** Longest wait for another voter to take over before the leader closes all the same; an election follows then. */
const HAND_OVER_MS = 2_000;

export interface RestartParts {
  readonly nodeId: number;
  readonly consensus: Consensus;
  readonly roles: Roles;
  readonly timers: Timers;
  /** Closes the group and opens it again; throws why it does not open. */
  readonly reopen: (group: number) => Promise<void>;
}

/** Resolves when the replica on this node takes part again. SHARD_FAILED: why it does not. */
export async function restartHere(
  parts: RestartParts,
  { group, signal }: { readonly group: number; readonly signal: AbortSignal },
): Promise<void> {
  const { nodeId, consensus, roles, reopen } = parts;
  if (roles.isElected(group)) {
    const [heir] = ((await consensus.status(group))?.peers ?? [])
      .filter(({ node, learner, recentlyActive }) => node !== nodeId && !learner && recentlyActive)
      .sort((a, b) => b.match - a.match);
    // Whether it took over or not: the rest elects somebody as soon as this one is silent.
    if (heir !== undefined) await handOver(parts, { group, to: heir.node, timeoutMs: HAND_OVER_MS, signal });
  }
  try {
    await within(reopen(group), signal);
  } catch (error) {
    if (signal.aborted) throw asApiError(error);
    const why = error instanceof Error ? error.message : String(error);
    throw new ApiError("SHARD_FAILED", `Service unavailable: it does not open: ${why}`, {}, { cause: error });
  }
}

/** The same on any node; null: on the one that was asked. INVALID: it has no replica of the shard. */
export async function restartReplica(
  parts: {
    readonly nodeId: number;
    readonly peers: Peers;
    readonly timeoutMs: number;
    readonly here: (group: number, signal: AbortSignal) => Promise<void>;
  },
  { placement, node }: { readonly placement: Placement; readonly node: number | null },
  { signal, caller = null }: CallOptions,
): Promise<void> {
  const { nodeId, peers, timeoutMs, here } = parts;
  const { group, shard, replicas } = placement;
  const at = node ?? nodeId;
  if (!replicas.some((replica) => replica.node === at)) {
    const where = replicas.map((replica) => replica.node).join(", ");
    throw new ApiError(
      "INVALID",
      `Wrong input: shard ${shard} has no replica on node ${at}, but on ${where}`,
    );
  }
  try {
    if (at === nodeId) await here(group, signal);
    else await peers.call(at, "restart", { group, caller }, { timeoutMs, signal });
  } catch (error) {
    throw asApiError(error);
  }
}
