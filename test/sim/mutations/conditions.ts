import type { Edit } from "./mutation.ts";

/**
 * A leader that backs up to the beginning when refused, and appends one entry at a time: as correct as the real one, whose
 * exact hints hardly ever let a follower hold a conflicting tail behind a verified entry.
 */
export const ONE_AT_A_TIME: readonly Edit[] = [
  {
    file: "shards/raft/leader.ts",
    find: "if (!peer.refuse(index, hint)) return null;",
    replace: "if (!peer.refuse(index, (hint > 0 ? 0 : hint) as LogIndex)) return null;",
  },
  {
    file: "test/sim/swarm.ts",
    find: "appendBytesMax: dice.pick([1, 300, 1_000, 1 << 20]),",
    replace: "appendBytesMax: 1,",
  },
];

/** Lease reads on, and nothing that breaks a lease by itself: clocks that run apart, a process that stands still. */
export const LEASE_READS: readonly Edit[] = [
  {
    file: "shards/open-core.ts",
    find: "deathEvidence: true,",
    replace: `deathEvidence: false,
        readMode: "lease",`,
  },
  {
    file: "test/sim/swarm.ts",
    find: "clockPerMille: sometimes(500, dice.pick([20, 300])),",
    replace: "clockPerMille: 0,",
  },
  { file: "test/sim/swarm.ts", find: "nemesisUs: sometimes(900,", replace: "nemesisUs: sometimes(1000," },
  {
    file: "test/sim/swarm.ts",
    find: "voters: dice.pick([1, 2, 3, 3, 3, 3, 3, 4, 5, 5]),",
    replace: "voters: 5,",
  },
  {
    file: "test/sim/swarm.ts",
    find: "readsPerMille: dice.pick([100, 300, 600]),",
    replace: "readsPerMille: 600,",
  },
  {
    file: "test/sim/swarm.ts",
    find: "latePerMille: sometimes(400, dice.pick([5, 30])),",
    replace: "latePerMille: 60,",
  },
  {
    file: "test/sim/swarm.ts",
    find: "churnUs: sometimes(600, dice.pick([60_000, 200_000, 600_000])),",
    replace: "churnUs: 0,",
  },
  {
    file: "test/sim/swarm.ts",
    find: `    weights,
`,
    replace: `    weights: { ...weights, pause: 0, power: 0, crash: 0, wipe: 0, damage: 0, isolateLeader: 9, split: 9 },
`,
  },
];
