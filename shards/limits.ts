import type { HostLimits } from "./surface.ts";

const MIB = 1 << 20;

/**
 * Entry data on its way to one follower of a group. What a slow one lacks beyond it stays in the log instead of in front
 * of the heartbeats of all groups; less than what may wait for one peer, where it would be dropped and sent again.
 */
export const INFLIGHT_BYTES_MAX = 16 * MIB;

/** Every limit of the replication layer with its default, unit and reason. */
export const HOST_DEFAULTS: HostLimits = {
  /** Milliseconds. Fine enough that evidence of a dead leader acts within tens of milliseconds. */
  tickMs: 20,
  /** Ticks: 300 to 600 ms drawn per round; long against a full disk flush, short against patience. */
  electionTicks: 15,
  /** Ticks: 60 ms, five chances before the shortest election timeout. */
  heartbeatTicks: 3,
  /** One entry's data. Proposers cut at about 1 MiB; the rest is for a single large point. */
  entryBytesMax: 16 * MIB,
  /** Proposals of one group that wait or are outstanding. */
  proposalsMax: 16_384,
  /** Their bytes: bounds what a slow state machine can pile up in memory. */
  proposalBytesMax: 64 * MIB,
  /** Reads of one group that wait for confirmation or for apply. */
  readsMax: 16_384,
  /** Messages of one group not stepped yet; more are dropped, which Raft survives. */
  inboxMessagesMax: 4_096,
  /** Inputs of one group per turn: a flood leaves room for ticks and for the other groups. */
  turnInputsMax: 1_024,
  /** Entry data of one append message; well within one network frame. */
  appendBytesMax: 2 * MIB,
  /** Append messages on their way to one follower. */
  inflightMessagesMax: 64,
  /** A leader's entries that are not applied yet: beyond it proposals wait (and, past their own limits, are refused). */
  unappliedBytesMax: 32 * MIB,
  /** Proposals of fewer bytes wait together while others are being replicated, a tick at most. */
  gatherBytes: 64 * 1024,
  /** Entry data per apply call: one slice of the state machine's time. */
  applyBytesMax: 4 * MIB,
  /** A log larger than this is compacted ... */
  compactBytes: 64 * MIB,
  /** ... down to this much, for followers that were away for a moment. */
  keepBytes: 32 * MIB,
  /** What receivers of a snapshot will need next stays meanwhile, up to this; a slower one gets a newer snapshot then. */
  heldBytesMax: 1_024 * MIB,
  /** Ticks after which applied entries go however few they are, unless an active member lacks them: an hour. */
  keepAgeTicks: 180_000,
  /** Ticks a proposal waits, after leadership was lost, for the log to tell how it ended. */
  settleTicks: 60,
  /** Ticks after which a commit index is written by itself when no other write took it along. */
  commitCarryTicks: 25,
  /** Ticks after which a read that was not confirmed is asked again: its request or answer was lost. */
  readRetryTicks: 15,
  /** Ticks a captured snapshot is kept for the next follower that needs one, or comes back to go on: a minute. */
  snapshotKeepTicks: 3_000,
  /** Ticks a group is idle before it rests: a second, so that resting never costs a busy group anything. */
  quiesceTicks: 50,
};

/** The defaults with `overrides` in place; a RangeError names the first value that makes no sense. */
export function hostLimits(overrides: Partial<HostLimits> = {}): HostLimits {
  const limits = { ...HOST_DEFAULTS, ...overrides };
  for (const [name, value] of Object.entries(limits) as [keyof HostLimits, number][]) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RangeError(`${name} is a whole number from 1 on, not ${value}`);
  }
  const smaller = (low: keyof HostLimits, high: keyof HostLimits, factor = 1): void => {
    if (limits[low] * factor > limits[high])
      throw new RangeError(
        `${factor === 1 ? "" : `${factor} x `}${low} (${limits[low]}) is at most ${high} (${limits[high]})`,
      );
  };
  smaller("heartbeatTicks", "electionTicks", 2);
  smaller("keepBytes", "compactBytes");
  smaller("compactBytes", "heldBytesMax");
  smaller("entryBytesMax", "proposalBytesMax");
  smaller("entryBytesMax", "unappliedBytesMax");
  return limits;
}
