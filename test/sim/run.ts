import { Client } from "./clients.ts";
import { Churn } from "./churn.ts";
import type { DecisionValue } from "./decisions.ts";
import { DrawnDecisions, ReplayedDecisions } from "./decisions.ts";
import { allInvariants } from "./invariants/index.ts";
import { checkLiveness } from "./liveness.ts";
import { Nemesis } from "./nemesis.ts";
import type { ProfileName } from "./profiles.ts";
import { Trace } from "./trace.ts";
import type { Failure } from "./world.ts";
import { World } from "./world.ts";

export interface RunOptions {
  readonly seed: number;
  /** Events before the faults end. */
  readonly steps: number;
  /** What the swarm is biased towards. */
  readonly profile?: ProfileName;
  readonly print?: (line: string) => void;
  /** Keep what was decided, for the shrinker. */
  readonly record?: boolean;
  /** Repeat these decisions instead of rolling dice; everything not named takes its harmless default. */
  readonly replay?: ReadonlyMap<string, DecisionValue>;
}

export interface RunResult {
  readonly seed: number;
  readonly profile: ProfileName | null;
  readonly failure: Failure | null;
  /** Events until the end or the failure, liveness phase included. */
  readonly steps: number;
  readonly hash: string;
  readonly virtualMs: number;
  readonly operations: number;
  readonly marks: Readonly<Record<string, number>>;
  readonly recent: readonly string[];
  /** With `record`: what was decided. In a replay: what of it was asked for. */
  readonly recorded: ReadonlyMap<string, DecisionValue> | null;
}

/** One run from its first event to its verdict: a function of the options and the code. */
export async function run(options: RunOptions): Promise<RunResult> {
  const decisions: DrawnDecisions | ReplayedDecisions =
    options.replay === undefined
      ? new DrawnDecisions({ record: options.record === true })
      : new ReplayedDecisions(options.replay);
  const trace = new Trace(options.print ?? null);
  const refused = new Set<string>();
  const strays = new Map<string, number>();
  const world = new World({
    seed: options.seed,
    decisions,
    trace,
    profile: options.profile ?? null,
    invariants: allInvariants({ refused, strays: () => strays }),
  });
  const nemesis = new Nemesis(world);
  const clients = Array.from({ length: world.swarm.clients }, (_, i) => new Client(world, i + 1, refused));
  const churn = new Churn(world);
  nemesis.start();
  churn.start();
  for (const client of clients) client.start();

  const failed = watchRejections(world);
  let steps = 0;
  try {
    while (steps < options.steps && world.failure === null) {
      steps++;
      if (!(await world.step())) break;
    }
    for (const client of clients) client.quiet = true;
    if (world.failure === null) await checkLiveness(world, refused);
    for (const [why, count] of nemesis.strays) strays.set(why, count);
    if (world.failure === null) world.ends();
  } catch (error) {
    // Thrown through the event that called production code: nobody there was responsible for it.
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    world.fail("no failure is lost", `an event threw: ${text}`);
  } finally {
    failed.stop();
  }
  return {
    seed: options.seed,
    profile: options.profile ?? null,
    failure: world.failure,
    steps: world.steps,
    hash: trace.hash(),
    virtualMs: Math.round(world.nowUs() / 1000),
    operations: world.history.length,
    marks: world.marks.counts(),
    recent: trace.recent(),
    recorded: decisions instanceof ReplayedDecisions ? decisions.used : decisions.recorded,
  };
}

/** Nothing under test may lose a failure: a promise that nobody handles ends the run. */
function watchRejections(world: World): { stop(): void } {
  const listener = (reason: unknown): void => {
    const text = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
    world.fail("no failure is lost", `a promise was rejected and nobody handled it: ${text}`);
  };
  process.on("unhandledRejection", listener);
  return {
    stop: () => {
      process.off("unhandledRejection", listener);
    },
  };
}
