/** From the table of options to what the other threads understand. */
import type { HostLimits } from "../../shards/index.ts";
import type { Config } from "../config/options.ts";
import type { EngineOptions } from "../engine/options.ts";

export function consensusLimits({ raft }: Config): Partial<HostLimits> {
  return {
    tickMs: raft.tickMs,
    heartbeatTicks: raft.heartbeatTicks,
    electionTicks: raft.electionTicks,
    compactBytes: raft.compactBytes,
    keepBytes: raft.keepBytes,
    // Never is longer than any run.
    keepAgeTicks: raft.keepAgeMs === 0 ? Number.MAX_SAFE_INTEGER : Math.ceil(raft.keepAgeMs / raft.tickMs),
    proposalBytesMax: raft.queueBytes,
    proposalsMax: raft.queueEntries,
  };
}

export function engineSettings({ engine, limits }: Config): Partial<EngineOptions> {
  return {
    sliceMs: engine.sliceMs,
    tailPointsMax: engine.tailPoints,
    busyShare: engine.indexShareBusy,
    burstShare: engine.indexShareBurst,
    busyTailPointsMax: engine.tailPointsBusy,
    tailBytesMax: engine.tailBytes,
    rebuildShare: engine.tombstoneRatio,
    saveChangesMin: engine.saveChanges,
    saveIdleMs: engine.saveIdleMs,
    hitsMax: limits.searchHits,
    efMax: limits.searchEf,
    batchMax: limits.batchQueries,
    pageMax: Math.max(limits.pagePoints, limits.batchPoints),
  };
}
