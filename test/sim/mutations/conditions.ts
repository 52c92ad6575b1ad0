import type { Edit } from "./mutation.ts";

/**
 * A leader that backs up to the log's beginning when refused: as correct as the real one, whose exact hints hardly ever let a follower hold a conflicting tail behind a verified entry.
 */
export const BACKS_UP_FAR: readonly Edit[] = [
  {
    file: "shards/raft/leader.ts",
    find: "if (!peer.refuse(index, hint)) return null;",
    replace: "if (!peer.refuse(index, Math.min(hint, core.log.firstIndex() - 1) as LogIndex)) return null;",
  },
];

/** Lease reads on; they exclude evidence of death. */
export const LEASE_READS: readonly Edit[] = [
  {
    file: "shards/open-core.ts",
    find: "deathEvidence: true,",
    replace: `deathEvidence: false,
        readMode: "lease",`,
  },
];
