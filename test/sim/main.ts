/**
 * The simulator's command line. Without options: the recorded regressions, then seeds for a minute.
 *
 *     npm run sim -- --seed 7 --steps 6000 --trace        one run, every event printed
 *     npm run sim -- --seeds 1000                         seeds 1 to 1000
 *     npm run sim -- --profile joint-changes --seeds 400  biased towards one kind of trouble, see profiles.ts
 *     npm run sim -- --minutes 120                        as many seeds as fit
 *     npm run sim -- --seed 7 --shrink                    the smallest set of decisions that still fails
 *     npm run sim -- --replay test/sim/regressions/x.json a recorded one
 *     npm run sim -- --mutation NAME                      hunts a planted bug (or FLOTILLA_MUTATION=NAME)
 *     npm run sim -- --mutation-table                     hunts all, and writes the table into shards/README.md
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Regression } from "./suite.ts";
import { DEFAULT_STEPS, regressions, report, repositoryRoot, runRegression, runSeed } from "./suite.ts";
import { PROFILES, profileNamed } from "./profiles.ts";
import type { ProfileName } from "./profiles.ts";
import { run } from "./run.ts";
import { shrink } from "./shrink.ts";

const SHRINK_RUNS = 2_000;
const HUNT_SEEDS = 400;
const HUNT_MS = 600_000;
/** Each row of the table is hunted from each of these seeds on: caught once may be chance. */
const TABLE_STARTS = [1, 1_001, 2_001] as const;
/** Hunts are processes of their own. */
const HUNTERS = 2;

const { values: options } = parseArgs({
  options: {
    seed: { type: "string" },
    steps: { type: "string" },
    profile: { type: "string" },
    seeds: { type: "string" },
    minutes: { type: "string" },
    trace: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    shrink: { type: "boolean", default: false },
    replay: { type: "string" },
    mutation: { type: "string" },
    "mutation-table": { type: "boolean", default: false },
    marks: { type: "boolean", default: false },
  },
});
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

function wholeNumber(name: "seed" | "steps" | "seeds" | "minutes", otherwise: number): number {
  const text = options[name];
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`--${name} is a whole number from 1 on, not ${text}`);
  return value;
}

const steps = wholeNumber("steps", DEFAULT_STEPS);
const same = { steps, ...(options.profile !== undefined && { profile: knownProfile(options.profile) }) };
const mutation = options.mutation ?? (options.json ? undefined : process.env["FLOTILLA_MUTATION"]);

if (options["mutation-table"] || mutation !== undefined) await huntPlanted(mutation);
else if (options.replay !== undefined) await replay(options.replay);
else if (options.shrink) await shrinkSeed(wholeNumber("seed", 1));
else if (options.seed !== undefined && options.seeds === undefined && options.minutes === undefined)
  await one(wholeNumber("seed", 1));
else await many();

function knownProfile(name: string): ProfileName {
  const known = profileNamed(name);
  if (known !== undefined) return known;
  throw new RangeError(`--profile is one of ${Object.keys(PROFILES).join(", ")}, not ${name}`);
}

async function one(seed: number): Promise<void> {
  const result = await runSeed({ seed, ...same, ...(options.trace ? { print: say } : {}) });
  if (!options.trace && result.failure !== null) for (const line of result.recent) say(line);
  say(report(result, steps));
  say(`trace hash ${result.hash}`);
  if (options.marks) say(JSON.stringify(result.marks, null, 2));
  if (result.failure !== null) process.exitCode = 1;
}

async function many(): Promise<void> {
  const first = wholeNumber("seed", 1);
  const count = options.minutes !== undefined ? Infinity : wholeNumber("seeds", 200);
  const untilMs =
    options.minutes !== undefined ? performance.now() + wholeNumber("minutes", 1) * 60_000 : Infinity;
  if (!options.json) {
    for (const regression of regressions(repositoryRoot())) {
      const result = await runRegression(regression);
      if (result.failure !== null)
        failWith(`regression ${regression.name}: ${report(result, regression.steps)}`);
    }
  }
  const marks = new Map<string, number>();
  let events = 0;
  const startedMs = performance.now();
  let seed = first;
  for (; seed < first + count && performance.now() < untilMs; seed++) {
    const result = await (options.json ? run : runSeed)({ seed, ...same });
    events += result.steps;
    for (const [mark, hits] of Object.entries(result.marks)) marks.set(mark, (marks.get(mark) ?? 0) + hits);
    if (result.failure === null) continue;
    if (options.json) {
      const { invariant, message } = result.failure;
      say(JSON.stringify({ caught: { seed, invariant, steps: result.steps, message } }));
      return;
    }
    for (const line of result.recent) say(line);
    failWith(report(result, steps));
    if (options.minutes === undefined) return;
  }
  if (options.json) {
    say(JSON.stringify({ caught: null }));
    return;
  }
  if (options.marks) say(JSON.stringify(Object.fromEntries([...marks].sort()), null, 2));
  const seconds = (performance.now() - startedMs) / 1000;
  say(`${seed - first} seeds, ${events} events in ${seconds.toFixed(1)} s`);
}

function failWith(text: string): void {
  say(text);
  process.exitCode = 1;
}

async function replay(path: string): Promise<void> {
  const regression = JSON.parse(readFileSync(path, "utf8")) as Regression;
  const result = await runRegression(regression, options.trace ? { print: say } : {});
  say(report(result, regression.steps));
  if (result.failure !== null) process.exitCode = 1;
}

async function shrinkSeed(seed: number): Promise<void> {
  const result = await run({ seed, ...same, record: true });
  say(report(result, steps));
  if (result.failure === null || result.recorded === null) return;
  process.exitCode = 1;
  // Steps after the failure add nothing, unless it was found after the faults had ended.
  const enough = Math.min(steps, result.steps);
  const failing = { ...same, seed, steps: enough, invariant: result.failure.invariant };
  say(`${result.recorded.size} decisions to begin with`);
  const small = await shrink(failing, result.recorded, { maxRuns: SHRINK_RUNS, run, progress: say });
  if (small === null) {
    say("the recorded decisions alone do not show the failure: replay the seed instead");
    return;
  }
  const path = `sim-failure-${seed}.json`;
  const regression: Regression = {
    name: `seed ${seed}`,
    note: small.result.failure?.message ?? "",
    ...same,
    seed,
    steps: enough,
    decisions: Object.fromEntries(small.decisions),
  };
  writeFileSync(path, `${JSON.stringify(regression, null, 2)}\n`);
  say(
    `${small.decisions.size} decisions after ${small.runs} runs; replay: npm run sim -- --replay ${path} --trace`,
  );
}

async function huntPlanted(name: string | undefined): Promise<void> {
  const { MUTATIONS } = await import("./mutations/index.ts");
  const { hunt } = await import("./mutate.ts");
  const root = repositoryRoot();
  const seeds = wholeNumber("seeds", HUNT_SEEDS);
  const wanted = MUTATIONS.filter((one) => name === undefined || one.name === name);
  if (wanted.length === 0)
    throw new RangeError(
      `no mutation is called ${name}; there are ${MUTATIONS.map((one) => one.name).join(", ")}`,
    );
  const starts = options["mutation-table"] ? TABLE_STARTS : [wholeNumber("seed", 1)];
  const rows = await inParallel(wanted, HUNTERS, async (mutation) => {
    const found = [];
    for (const firstSeed of starts) {
      const caught = await hunt(mutation, { root, seeds, steps, firstSeed, timeoutMs: HUNT_MS });
      found.push(caught);
      say(
        caught === null
          ? `${mutation.name}: SURVIVED ${seeds} seeds from ${firstSeed} on`
          : `${mutation.name}: "${caught.invariant}" after ${caught.seeds} seeds from ${firstSeed} on, ` +
              `event ${caught.steps}: ${caught.message.split("\n")[0]}`,
      );
      if (caught === null) process.exitCode = 1;
    }
    return { mutation, found };
  });
  if (name !== undefined) return;
  const { writeTable } = await import("./mutation-table.ts");
  writeTable(root, rows, { steps, seeds, starts });
}

/** Answers of `work` in the order of `items`, at most `atOnce` under way. */
async function inParallel<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at] as T);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}
