/** Runs the figures of one benchmark, writes the report beside the others' and says what held. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { machineFacts } from "../../src/cli/bench/machine.ts";
import { cacheDirectory } from "../../src/cli/cache-dir.ts";
import { figuresText } from "../figures.ts";
import { held, type Figure } from "../figures/context.ts";

export async function concludes(
  name: string,
  args: readonly string[],
  run: (say: (line: string) => void) => Promise<readonly Figure[]>,
): Promise<void> {
  const quick = args.includes("--quick");
  const startedAt = new Date().toISOString();
  const figures = await run((line) => console.error(line));
  const report = { kind: `flotilla-bench-${name}`, startedAt, quick, machine: machineFacts(), figures };
  const at = args.indexOf("--out");
  const directory = resolve((at === -1 ? undefined : args[at + 1]) ?? join(cacheDirectory(), "reports"));
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${name}-${startedAt.replace(/[:.]/g, "-")}.json`);
  writeFileSync(file, JSON.stringify(report, null, 2));
  console.log(figuresText(figures));
  if (quick) console.log("\n--quick: too few runs for these figures to mean much");
  console.error(`written: ${file}`);
  // A quick run shows that everything runs; its figures prove nothing either way.
  process.exitCode = quick || figures.every(held) ? 0 : 1;
}
