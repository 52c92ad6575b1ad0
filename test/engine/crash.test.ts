/** A real process, killed in the middle of whatever it does: what is there is whole, and the log brings the rest. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { query, SPEC, openEngine, temporaryDirectory } from "./support.ts";
import { CHILD_OPTIONS, entryAt } from "./crash-child.ts";

const CHILD = new URL("../../dist/test/engine/crash-child.js", import.meta.url).pathname;

/** Kills the child at the `nth` line that begins with `mark`; answers the indexes it told last. */
async function runUntil(
  directory: string,
  mark: string,
  nth: number,
): Promise<{ readonly acknowledged: number; readonly durable: number }> {
  const child = spawn(process.execPath, [CHILD, directory], { stdio: ["ignore", "pipe", "inherit"] });
  const gone = once(child, "exit");
  let acknowledged = 0;
  let durable = 0;
  let seen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("applied ")) acknowledged = Number(line.slice("applied ".length));
    if (line.startsWith("durable ")) durable = Number(line.slice("durable ".length));
    if (line.startsWith(mark) && ++seen === nth) child.kill("SIGKILL");
  }
  expect(await gone).toEqual([null, "SIGKILL"]);
  return { acknowledged, durable };
}

test("kill -9 amid applies, saves and rebuilds: nothing durable is lost, nothing is half there, the rest comes again", async () => {
  using directory = temporaryDirectory();
  using fresh = temporaryDirectory();
  await using replayed = await openEngine(fresh.path, { options: CHILD_OPTIONS });
  const moments = [
    ["applied", 1],
    ["applied", 37],
    ["graphSaved", 1],
    ["rebuildStarted", 1],
    ["backPressure", 3],
    ["rebuildFinished", 2],
    ["graphSaved", 4],
    ["applied", 11],
  ] as const;
  for (const [mark, nth] of moments) {
    const { acknowledged, durable } = await runUntil(directory.path, mark, nth);
    const engine = await openEngine(directory.path, { options: CHILD_OPTIONS });
    try {
      const applied = engine.appliedIndex();
      expect(applied).toBeGreaterThanOrEqual(durable);
      for (let index = applied + 1; index <= acknowledged; index++)
        await engine.applyEntries([entryAt(index)]);
      for (let index = replayed.appliedIndex() + 1; index <= engine.appliedIndex(); index++)
        await replayed.applyEntries([entryAt(index)]);
      expect(engine.stats().stateHash).toBe(replayed.stats().stateHash);
      expect(engine.recomputeStateHash()).toBe(replayed.stats().stateHash);
      const asked = query(new Float32Array(SPEC.dimension).fill(5), { limit: 400, ef: 1_000 });
      const [there] = await engine.search([asked]);
      const [expected] = await replayed.search([{ ...asked, exact: true }]);
      expect(there).toEqual(expected);
    } finally {
      await engine.close();
    }
  }
}, 60_000);
