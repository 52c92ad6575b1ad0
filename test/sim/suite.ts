import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import type { DecisionValue } from "./decisions.ts";
import type { ProfileName } from "./profiles.ts";
import type { RunOptions, RunResult } from "./run.ts";
import { run } from "./run.ts";

/** Events with faults, per seed, when nothing else is asked for. */
export const DEFAULT_STEPS = 6_000;
/** Every so many seeds one is run twice: a run is a function of its seed. */
const TWICE_EVERY = 20;

/** The one command that shows a failure again. */
export function replayCommand({ seed, profile }: Pick<RunResult, "seed" | "profile">, steps: number): string {
  const biased = profile === null ? "" : ` --profile ${profile}`;
  return `npm run sim -- --seed ${seed} --steps ${steps}${biased} --trace`;
}

export function report(result: RunResult, steps: number): string {
  const { failure } = result;
  if (failure === null)
    return `seed ${result.seed}: all held over ${result.steps} events (${result.virtualMs} ms)`;
  return (
    `seed ${result.seed}: "${failure.invariant}" does not hold at ${(failure.atUs / 1000).toFixed(3)} ms, ` +
    `event ${result.steps}\n${failure.message}\nreplay: ${replayCommand(result, steps)}`
  );
}

/** Runs a seed; some a second time, failing when the second run differs from the first. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const result = await run(options);
  if (result.failure !== null || options.seed % TWICE_EVERY !== 0) return result;
  const again = await run(only(options));
  if (again.hash === result.hash) return result;
  const message = `the trace hash was ${result.hash}, the second time ${again.hash}`;
  return { ...result, failure: { invariant: "a run is a function of its seed", message, atUs: 0 } };
}

/** A failure of the past, kept as the decisions that led to it. */
export interface Regression {
  readonly name: string;
  /** What went wrong then. */
  readonly note: string;
  readonly seed: number;
  readonly steps: number;
  readonly profile?: ProfileName;
  /** null: the seed alone. */
  readonly decisions: Readonly<Record<string, DecisionValue>> | null;
}

/** The recorded failures, from the source tree even when the code that reads them was compiled. */
export function regressions(root: string): readonly Regression[] {
  const folder = join(root, "test", "sim", "regressions");
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Regression);
}

export function runRegression(
  regression: Regression,
  options: Pick<RunOptions, "print"> = {},
): Promise<RunResult> {
  const { decisions } = regression;
  return run({
    ...only(regression),
    ...options,
    ...(decisions !== null && { replay: new Map(Object.entries(decisions)) }),
  });
}

/** What makes a run the run it is. */
function only({ seed, steps, profile }: Pick<RunOptions, "seed" | "steps" | "profile">): RunOptions {
  return { seed, steps, ...(profile !== undefined && { profile }) };
}

/** The repository, whether this file runs from `test/sim` or from `dist/test/sim`. */
export function repositoryRoot(): string {
  const here = fileURLToPath(new URL("../..", import.meta.url));
  return here.endsWith("/dist/") ? fileURLToPath(new URL("../../..", import.meta.url)) : here;
}
