import { describe, expect, test } from "vitest";
import { NodeId } from "../../shards/raft/types.ts";
import { lopsided } from "./lopsided.ts";
import { hunt } from "./mutate.ts";
import { MUTATIONS } from "./mutations/index.ts";
import type { ProfileName } from "./profiles.ts";
import { PROFILES, profileNamed } from "./profiles.ts";
import { DEFAULT_STEPS, report, repositoryRoot, runSeed } from "./suite.ts";

const SEEDS = 15;

describe("the real code holds under the biases that planted bugs are hunted with", () => {
  test.each(Object.keys(PROFILES))("%s", { timeout: 60_000 }, async (name) => {
    const profile = profileNamed(name);
    if (profile === undefined) throw new RangeError(`there is no profile ${name}`);
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = await runSeed({ seed, steps: DEFAULT_STEPS, profile });
      expect(result.failure, report(result, DEFAULT_STEPS)).toBeNull();
    }
  });

  const conditional = new Map<ProfileName, (typeof MUTATIONS)[number]>();
  for (const mutation of MUTATIONS)
    if (mutation.conditions !== undefined && mutation.profile !== undefined)
      conditional.set(mutation.profile, mutation);

  test.each([...conditional])("and in the conditions of %s", { timeout: 60_000 }, async (name, mutation) => {
    const harmless = { ...mutation, name: `${name}-conditions`, edits: [] };
    const root = repositoryRoot();
    const found = await hunt(harmless, { root, seeds: SEEDS, steps: DEFAULT_STEPS, timeoutMs: 50_000 });
    expect(found).toBeNull();
  });
});

describe("lopsided sides of a joint configuration", () => {
  const conf = (voters: number[], votersOutgoing: number[]): Parameters<typeof lopsided>[0] => ({
    voters: voters.map(NodeId),
    votersOutgoing: votersOutgoing.map(NodeId),
    learners: [],
    learnersNext: [],
    autoLeave: true,
  });

  test("are majorities of one half only", () => {
    const sides = lopsided(conf([1, 3, 4], [1, 2, 3])).map((side) => side.join());
    expect(sides).toEqual(["1,2", "2,3", "1,4", "3,4"]);
  });

  test("do not exist while the configuration is simple", () => {
    expect(lopsided(conf([1, 2, 3], [1, 2, 3]))).toEqual([]);
  });
});
