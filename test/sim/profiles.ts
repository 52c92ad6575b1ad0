import type { FaultKind, Swarm } from "./swarm.ts";
import { FAULT_KINDS } from "./swarm.ts";

/**
 * Biases of the swarm towards what one kind of bug needs: what stands here holds in every seed, the rest is drawn. The
 * real code has to pass them like any other seed: `npm run sim -- --profile joint-changes --seeds 400`.
 */
export const PROFILES = {
  /** Leaders that were deposed and do not know, asked for reads by clients that believe them. */
  "deposed-leaders": {
    voters: 3,
    clients: 5,
    thinkUs: 2_000,
    readsPerMille: 950,
    loyalPerMille: 900,
    churnUs: 0,
    nemesisUs: 150_000,
    weights: only({ slowLeader: 4, depose: 2, isolateLeader: 1 }),
  },
  /** As above with nothing that breaks a lease by itself: clocks that run apart, a process that stands still. */
  leases: {
    voters: 5,
    clients: 5,
    thinkUs: 2_000,
    readsPerMille: 950,
    loyalPerMille: 900,
    clockPerMille: 0,
    churnUs: 0,
    nemesisUs: 150_000,
    weights: only({ slowLeader: 4, isolateLeader: 1, split: 4, oneWay: 1 }),
  },
  /** Members are replaced all the time, and every joint configuration is broken into. */
  "joint-changes": {
    voters: 3,
    churnUs: 60_000,
    replacePerMille: 800,
    nemesisUs: 400_000,
    ambushPerMille: 900,
  },
  /** Leaders that go on writing after they were cut off, so that tails nobody wants are all over the place. */
  "stale-tails": {
    voters: 5,
    clients: 5,
    thinkUs: 2_000,
    readsPerMille: 100,
    compactBytes: 1 << 20,
    appendBytesMax: 1,
    churnUs: 0,
    nemesisUs: 150_000,
    weights: only({ isolateLeader: 4, depose: 4, split: 2, crashLeader: 1 }),
  },
  /** Clients that think for long, so that groups rest most of the time, while everything else goes wrong. */
  "resting-groups": {
    clients: 2,
    thinkUs: 1_000_000,
    quiesceTicks: 1,
    commitCarryTicks: 2,
    restDisturbances: 4,
    churnUs: 600_000,
    nemesisUs: 150_000,
  },
} as const satisfies Readonly<Record<string, Partial<Swarm>>>;

export type ProfileName = keyof typeof PROFILES;

/** Undefined for a name that no profile has. */
export function profileNamed(name: string): ProfileName | undefined {
  return (Object.keys(PROFILES) as ProfileName[]).find((one) => one === name);
}

function only(some: Partial<Record<FaultKind, number>>): Swarm["weights"] {
  return Object.fromEntries(FAULT_KINDS.map((kind) => [kind, some[kind] ?? 0])) as Record<FaultKind, number>;
}
