import type { DecisionValue } from "./decisions.ts";
import type { RunOptions, RunResult } from "./run.ts";

export interface Shrunk {
  readonly decisions: ReadonlyMap<string, DecisionValue>;
  readonly result: RunResult;
  readonly runs: number;
}

type Run = (options: RunOptions) => Promise<RunResult>;

/**
 * Makes a failing run small by delta debugging (Zeller and Hildebrandt): leaves out ever smaller parts of what was
 * decided against the harmless default, as long as the same invariant still fails. The result is minimal in the sense
 * that no single part of the last size can go, or the best found within `maxRuns`. Null when the recorded decisions
 * alone do not reproduce the failure.
 */
export async function shrink(
  failing: Pick<RunOptions, "seed" | "steps" | "profile"> & { readonly invariant: string },
  recorded: ReadonlyMap<string, DecisionValue>,
  options: { readonly maxRuns: number; readonly run: Run; readonly progress?: (text: string) => void },
): Promise<Shrunk | null> {
  const { invariant, ...same } = failing;
  let runs = 0;
  const attempt = async (parts: readonly [string, DecisionValue][]): Promise<RunResult | null> => {
    runs++;
    const result = await options.run({ ...same, replay: new Map(parts) });
    return result.failure?.invariant === invariant ? result : null;
  };
  let kept = [...recorded];
  let best = await attempt(kept);
  if (best === null) return null;
  let parts = 2;
  while (kept.length > 0 && runs < options.maxRuns) {
    const size = Math.ceil(kept.length / parts);
    let smaller = false;
    for (let from = 0; from < kept.length && runs < options.maxRuns;) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      const result = await attempt(rest);
      if (result === null) {
        from += size;
        continue;
      }
      kept = rest;
      best = result;
      smaller = true;
      options.progress?.(`${kept.length} decisions left after ${runs} runs`);
    }
    if (size === 1 && !smaller) break;
    parts = smaller ? Math.max(2, parts - 1) : Math.min(kept.length, parts * 2);
  }
  return { decisions: new Map(kept), result: best, runs };
}
