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
  /** What a failing run never asked for has no part in it. */
  const used = (parts: readonly [string, DecisionValue][], { recorded: asked }: RunResult): typeof kept =>
    asked === null ? [...parts] : parts.filter(([name]) => asked.has(name));
  kept = used(kept, best);
  // Whole classes first (all duplicates, one client, the churn): one run each, and most have nothing to do with it.
  for (const name of new Set(kept.map(([each]) => classOf(each)))) {
    const rest = kept.filter(([each]) => classOf(each) !== name);
    const worthwhile = kept.length - rest.length > 1 && runs < options.maxRuns;
    const result = worthwhile ? await attempt(rest) : null;
    if (result === null) continue;
    kept = used(rest, result);
    best = result;
    options.progress?.(`without ${name}: ${kept.length} decisions left after ${runs} runs`);
  }
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
      kept = used(rest, result);
      best = result;
      smaller = true;
      options.progress?.(`${kept.length} decisions left after ${runs} runs`);
    }
    if (size === 1 && !smaller) break;
    parts = smaller ? Math.max(2, parts - 1) : Math.min(kept.length, parts * 2);
  }
  return { decisions: new Map(kept), result: best, runs };
}

/** `net:g1:2>3:append:t4:i7#1` is of class `net:g1:2>3:append`, `client:3:17` of `client:3`. */
function classOf(name: string): string {
  const parts = name.replace(/#.*$/, "").split(":");
  return parts.slice(0, parts[0] === "net" ? 4 : Math.min(2, Math.max(1, parts.length - 1))).join(":");
}
