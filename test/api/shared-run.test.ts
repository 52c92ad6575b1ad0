import { expect, test } from "vitest";
import { SharedRun } from "../../src/api/shared-run.ts";

function shared() {
  const runs: { readonly signal: AbortSignal; readonly end: (error?: Error) => void }[] = [];
  const run = new SharedRun(
    (signal) =>
      new Promise((resolve, reject) =>
        runs.push({ signal, end: (error) => (error === undefined ? resolve() : reject(error)) }),
      ),
  );
  return { run, runs };
}

const STAY = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("who comes while it runs waits for one run more, however many they are", async () => {
  const { run, runs } = shared();
  const ended: string[] = [];
  const join = (name: string) => run.join(STAY).then(() => ended.push(name));
  const first = join("first");
  const later = [join("second"), join("third"), join("fourth")];
  expect(runs).toHaveLength(1);
  runs[0]?.end();
  await first;
  await settled();
  expect([ended, runs.length]).toEqual([["first"], 2]);
  runs[1]?.end();
  await Promise.all(later);
  expect([ended.length, runs.length]).toEqual([4, 2]);
  const again = join("again");
  runs[2]?.end();
  await again;
  expect(runs).toHaveLength(3);
});

test("a failure is told to those who waited for that run, and the next one begins", async () => {
  const { run, runs } = shared();
  const first = run.join(STAY);
  const second = run.join(STAY);
  runs[0]?.end(new Error("no leader"));
  await expect(first).rejects.toThrow("no leader");
  await settled();
  runs[1]?.end();
  await second;
});

test("each leaves when its own signal says so; a run ends once all have left, and those who come get another", async () => {
  const { run, runs } = shared();
  const leaving = [0, 1, 2].map(() => new AbortController());
  const [first, second, third] = leaving.map(({ signal }) => run.join(signal).catch((why: unknown) => why));
  leaving[1]?.abort(new Error("late"));
  leaving[2]?.abort(new Error("later"));
  expect(await Promise.all([second, third])).toEqual([new Error("late"), new Error("later")]);
  const stays = run.join(STAY);
  expect(runs[0]?.signal.aborted).toBe(false);
  leaving[0]?.abort(new Error("gone"));
  expect(await first).toEqual(new Error("gone"));
  expect(runs[0]?.signal.aborted).toBe(true);
  runs[0]?.end(new Error("aborted"));
  await settled();
  expect([runs.length, runs[1]?.signal.aborted]).toEqual([2, false]);
  runs[1]?.end();
  await stays;
});

test("nobody is left to wait: what nobody wants does not begin", async () => {
  const { run, runs } = shared();
  const leaving = new AbortController();
  const first = run.join(STAY);
  const second = run.join(leaving.signal).catch((why: unknown) => why);
  leaving.abort(new Error("gone"));
  await second;
  runs[0]?.end();
  await first;
  await settled();
  expect(runs).toHaveLength(1);
});
