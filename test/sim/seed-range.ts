import { expect } from "vitest";
import { DEFAULT_STEPS, regressions, report, repositoryRoot, runRegression, runSeed } from "./suite.ts";

/** Runs what failed in the past: every second recorded failure, from the first (0) or the second (1) on. */
export async function holdRecorded(from: 0 | 1): Promise<number> {
  const recorded = regressions(repositoryRoot()).filter((_, at) => at % 2 === from);
  for (const regression of recorded) {
    const result = await runRegression(regression);
    expect(result.failure, `${regression.name}: ${report(result, regression.steps)}`).toBeNull();
  }
  return recorded.length;
}

/** Runs seeds and asserts that all held; answers the coverage marks they hit together. */
export async function holdOver(first: number, count: number): Promise<ReadonlyMap<string, number>> {
  const marks = new Map<string, number>();
  for (let seed = first; seed < first + count; seed++) {
    const result = await runSeed({ seed, steps: DEFAULT_STEPS });
    expect(result.failure, report(result, DEFAULT_STEPS)).toBeNull();
    for (const [mark, hits] of Object.entries(result.marks)) marks.set(mark, (marks.get(mark) ?? 0) + hits);
  }
  return marks;
}

/** What a hundred seeds come through, or the simulator has stopped looking at something. */
export const EXPECTED_MARKS = [
  "core: configurationApplied",
  "core: leaderPresumedDead",
  "core: snapshotIgnored",
  "core: snapshotSent",
  "core: steppedDown",
  "core: transferAbandoned",
  "core: transferStarted",
  "core: voteRefused",
  "damage detected on open",
  "direction clogged",
  "direction slow",
  "disk write failed: LOG_FULL",
  "disk write failed: LOG_IO",
  "fault: badSector",
  "fault: campaign",
  "fault: crash",
  "fault: crashLeader",
  "fault: depose",
  "fault: isolateLeader",
  "fault: oneWay",
  "fault: pause",
  "fault: power",
  "fault: refuse",
  "fault: slowLeader",
  "fault: split",
  "fault: unreadable",
  "fault: wipe",
  "group stopped for a fault",
  "joint change asked for",
  "joint configuration ambushed",
  "leader replaced in the liveness phase",
  "membership change: applied",
  "message duplicated",
  "message lost",
  "simple change asked for",
  "snapshot arrived late",
  "snapshot restored",
  "snapshot stream broken",
  "snapshot stream corrupted",
  "stray message injected",
  "wiped node started under its old id",
] as const;
