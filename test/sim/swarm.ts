import type { Dice } from "./dice.ts";

/**
 * What one seed is made of. Every seed draws its own mix, most faults absent in most seeds: runs in which everything
 * goes wrong all the time never get far, and some bugs need a fault to be alone ("swarm testing", Groce et al.).
 */
export interface Swarm {
  readonly voters: number;
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  /** Idle ticks before a group rests. */
  readonly quiesceTicks: number;
  /** Ticks until a commit index is written for its own sake; a group does not rest before. */
  readonly commitCarryTicks: number;
  /** How often, after the faults, each group is disturbed on its way to rest. */
  readonly restDisturbances: number;
  readonly compactBytes: number;
  readonly appendBytesMax: number;
  readonly inflightMessagesMax: number;
  /** From so many bytes on proposals do not wait for those before them; 1: none waits. */
  readonly gatherBytes: number;
  readonly clients: number;
  readonly keys: number;
  /** Microseconds a client thinks between two operations, at most. */
  readonly thinkUs: number;
  /** Of 1,000 reads: asked of a node that says it leads, however many say so. */
  readonly loyalPerMille: number;
  /** Of 1,000 operations: linearizable reads and eventual reads; the rest writes. */
  readonly readsPerMille: number;
  readonly eventualPerMille: number;
  readonly delayLowUs: number;
  readonly delayHighUs: number;
  readonly lossPerMille: number;
  readonly duplicatePerMille: number;
  /** Of 1,000 messages: held back long enough to arrive in another reign. */
  readonly latePerMille: number;
  readonly streamFaultPerMille: number;
  readonly slowDiskPerMille: number;
  readonly diskFaultPerMille: number;
  readonly applyFaultPerMille: number;
  readonly clockPerMille: number;
  /** How far the rate of a clock that is wrong may be off, of 1,000 either way. */
  readonly clockSpread: number;
  /** Between two faults of the nemesis, and between two membership changes of a group; 0: none. */
  readonly nemesisUs: number;
  readonly churnUs: number;
  /** Of 1,000 membership changes that could replace a member in one step: those that do. */
  readonly replacePerMille: number;
  /** Of 1,000 joint configurations: broken into while they last. */
  readonly ambushPerMille: number;
  /** How often each kind of fault is drawn, relative to the others. */
  readonly weights: Readonly<Record<FaultKind, number>>;
}

/** Kinds that came later are drawn from a stream of their own, which leaves the older draws of a seed as they were. */
const LATER_KINDS = ["slow", "slowLeader", "depose", "unreadable"] as const;

export const FAULT_KINDS = [
  "crash",
  "power",
  "crashLeader",
  "pause",
  "isolate",
  "isolateLeader",
  "split",
  "oneWay",
  "clog",
  "refuse",
  "wipe",
  "damage",
  "badSector",
  "stray",
  "campaign",
  ...LATER_KINDS,
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export function drawSwarm(dice: Dice): Swarm {
  const sometimes = (perMille: number, value: number): number => (dice.chance(perMille) ? value : 0);
  const later = dice.fork("later");
  const resting = dice.fork("resting");
  const gathering = dice.fork("gathering");
  const isLater = (kind: FaultKind): boolean => LATER_KINDS.some((one) => one === kind);
  const weigh = (from: Dice): number => (from.chance(400) ? from.between(1, 5) : 0);
  const weights = Object.fromEntries(
    FAULT_KINDS.map((kind) => [kind, weigh(isLater(kind) ? later : dice)]),
  ) as Record<FaultKind, number>;
  const electionTicks = dice.between(6, 14);
  return {
    voters: dice.pick([1, 2, 3, 3, 3, 3, 3, 4, 5, 5]),
    tickMs: 10,
    electionTicks,
    heartbeatTicks: dice.between(1, Math.floor(electionTicks / 3)),
    quiesceTicks: resting.pick([1, 3, 10, 50]),
    commitCarryTicks: 25,
    restDisturbances: resting.pick([0, 0, 0, 1]),
    compactBytes: dice.pick([600, 1_500, 4_000, 1 << 20]),
    appendBytesMax: dice.pick([1, 300, 1_000, 1 << 20]),
    inflightMessagesMax: dice.pick([1, 2, 8, 64]),
    gatherBytes: gathering.pick([1, 1, 100, 1 << 16]),
    clients: dice.between(2, 5),
    keys: dice.between(1, 4),
    thinkUs: dice.pick([2_000, 8_000, 30_000]),
    readsPerMille: dice.pick([100, 300, 600]),
    eventualPerMille: 100,
    delayLowUs: dice.pick([50, 200, 1_000]),
    delayHighUs: dice.pick([400, 3_000, 20_000]),
    lossPerMille: sometimes(500, dice.pick([5, 50, 200])),
    duplicatePerMille: sometimes(500, dice.pick([10, 100])),
    latePerMille: sometimes(400, dice.pick([5, 30])),
    streamFaultPerMille: sometimes(500, 300),
    slowDiskPerMille: sometimes(500, dice.pick([20, 200])),
    diskFaultPerMille: sometimes(250, 2),
    applyFaultPerMille: sometimes(150, 1),
    clockPerMille: sometimes(500, dice.pick([20, 300])),
    clockSpread: later.pick([20, 100, 300]),
    loyalPerMille: later.pick([0, 500, 900]),
    nemesisUs: sometimes(900, dice.pick([40_000, 150_000, 400_000])),
    churnUs: sometimes(600, dice.pick([60_000, 200_000, 600_000])),
    replacePerMille: later.pick([300, 300, 800]),
    ambushPerMille: later.pick([0, 300, 900]),
    weights,
  };
}
