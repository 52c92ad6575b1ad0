import { expect, test } from "vitest";
import { MUTATIONS } from "./mutations/index.ts";
import { hunt, mutated } from "./mutate.ts";
import { DEFAULT_STEPS, repositoryRoot } from "./suite.ts";

const root = repositoryRoot();

test.each(MUTATIONS.map((mutation) => [mutation.name, mutation] as const))(
  "the planted bug %s fits the sources",
  (_name, mutation) => {
    const files = mutated(mutation, root);
    expect(files.size).toBeGreaterThan(0);
  },
);

test("every line of the list of what must never happen has a planted bug", () => {
  const rules = new Set(MUTATIONS.map(({ rule }) => rule));
  expect([...rules].sort((a, b) => a - b)).toEqual(Array.from({ length: 19 }, (_, i) => i + 1));
  expect(new Set(MUTATIONS.map(({ name }) => name)).size).toBe(MUTATIONS.length);
});

/** Caught by the first seeds, so that the suite stays quick; `npm run sim -- --mutation-table` hunts them all. */
const QUICK: readonly (readonly [name: string, invariant: string])[] = [
  ["vote-cleared-in-term", "one vote per node and term"],
  ["answers-before-fsync", "nothing is promised before it is synced"],
  ["old-term-committed-by-majority", "committed is immutable and durable on a quorum"],
  ["removed-member-campaigns", "only voters campaign"],
  ["wiped-node-bootstraps-again", "a wiped node stays out"],
  ["two-transactions-for-one-change", "index order"],
  ["rests-with-a-shorter-log", "liveness"],
];

test.each(QUICK)("%s is caught by: %s", { timeout: 60_000 }, async (name, invariant) => {
  const mutation = MUTATIONS.find((one) => one.name === name);
  if (mutation === undefined) throw new RangeError(`there is no mutation ${name}`);
  const found = await hunt(mutation, { root, seeds: 40, steps: DEFAULT_STEPS, timeoutMs: 50_000 });
  expect(found?.invariant).toBe(invariant);
});
