import { expect, test } from "vitest";
import { Commits } from "../../src/engine/commits.ts";
import { EngineError } from "../../src/engine/errors.ts";

const OPTIONS = { commitAfterMs: 100, commitEntries: 4, commitBytes: 1_000 };

function gather(commit: () => void = () => undefined) {
  const told = { commits: 0, errors: [] as Error[], timers: [] as { ms: number; fire: () => void }[] };
  const commits = new Commits(OPTIONS, {
    store: {
      commit: () => {
        told.commits++;
        commit();
      },
    },
    clock: {
      after: (ms, callback) => {
        const timer = { ms, fire: callback };
        told.timers.push(timer);
        return () => void told.timers.splice(told.timers.indexOf(timer), 1);
      },
    },
    failed: (error) => void told.errors.push(error),
  });
  const fire = (): void => told.timers.shift()?.fire();
  return { commits, told, fire };
}

test("entries of a moment are one commit, at most the age after the first of them", () => {
  const { commits, told, fire } = gather();
  for (let entry = 0; entry < 3; entry++) commits.wrote(1, 10);
  expect(told.timers.map(({ ms }) => ms)).toEqual([100]);
  expect(told.commits).toBe(0);
  fire();
  expect(told.commits).toBe(1);
  commits.wrote(1, 10);
  expect(told.timers.map(({ ms }) => ms)).toEqual([100]);
});

test("many entries, or large ones, are committed as soon as the thread is free, once", () => {
  for (const [entries, bytes] of [
    [4, 10],
    [1, 1_000],
  ] as const) {
    const { commits, told, fire } = gather();
    commits.wrote(1, 10);
    commits.wrote(entries, bytes);
    commits.wrote(entries, bytes);
    expect(told.timers.map(({ ms }) => ms)).toEqual([0]);
    fire();
    expect(told.commits).toBe(1);
    expect(told.timers).toEqual([]);
  }
});

test("a commit that fails is told; after the end there is none", () => {
  const full = new EngineError("STORE_FULL", "no room");
  const { commits, told, fire } = gather(() => {
    throw full;
  });
  commits.wrote(1, 10);
  fire();
  expect(told.errors).toEqual([full]);
  commits.wrote(1, 10);
  commits.stop();
  expect(told.timers).toEqual([]);
});
