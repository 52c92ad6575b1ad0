/** The figures a node is held to, each as a ratio within this one run, on MNIST through REST. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { machineFacts } from "../src/cli/bench/machine.ts";
import { table } from "../src/cli/bench/table.ts";
import { cacheDirectory } from "../src/cli/cache-dir.ts";
import { delayFigures } from "./consensus-delay.ts";
import { Bench, held, scale } from "./figures/context.ts";
import type { Figure } from "./figures/context.ts";
import { duringImport } from "./figures/during-import.ts";
import { restart } from "./figures/restart.ts";
import { search } from "./figures/search.ts";
import { upserts } from "./figures/upserts.ts";
import { killFigures } from "./kill.ts";

const SEED = 20_261;
const PARTS = ["loaded", "kill", "delay"];

/** `--quick`: a small part of the set, to see that everything runs. `--only loaded,kill,delay`. `--out DIR`. */
export async function main(args: readonly string[]): Promise<void> {
  const quick = args.includes("--quick");
  const only = value(args, "--only")?.split(",") ?? PARTS;
  const unknown = only.find((part) => !PARTS.includes(part));
  if (unknown !== undefined) throw new RangeError(`--only ${unknown}: there are ${PARTS.join(", ")}`);
  const say = (line: string) => console.error(line);
  const size = scale(quick);
  const startedAt = new Date().toISOString();
  const figures: Figure[] = [];
  let set: object | null = null;
  if (only.includes("loaded")) {
    await using bench = await Bench.open(size, say);
    const { name, origin, files, sha256 } = bench.set;
    set = { name, origin, files, sha256, points: bench.points };
    figures.push(...(await upserts(bench)), ...(await search(bench, say)), ...(await restart(bench)));
    figures.push(...(await duringImport(bench)));
  }
  if (only.includes("kill")) figures.push(...(await killFigures(size.kills, SEED, say)));
  if (only.includes("delay")) figures.push(...(await delayFigures(quick ? 4_000 : 20_000, say)));
  figures.sort((a, b) => (a.figure < b.figure ? -1 : 1));

  const report = { kind: "flotilla-bench-figures", startedAt, quick, set, machine: machineFacts(), figures };
  const directory = resolve(value(args, "--out") ?? join(cacheDirectory(), "reports"));
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `figures-${startedAt.replace(/[:.]/g, "-")}.json`);
  writeFileSync(file, JSON.stringify(report, null, 2));
  console.log(figuresText(figures));
  if (quick) console.log("\n--quick: the set is too small for these ratios to mean much");
  console.error(`written: ${file}`);
  process.exitCode = figures.every(held) ? 0 : 1;
}

function value(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at === -1 ? undefined : args[at + 1];
}

export function figuresText(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.figure,
    figure.what,
    `${short(figure.found)} ${figure.unit}`.trim(),
    `${figure.rule === "atMost" ? "<=" : ">="} ${short(figure.limit)}`,
    held(figure) ? "held" : "MISSED",
    Object.entries(figure.detail)
      .map(([key, found]) => `${key} ${typeof found === "number" ? short(found) : found}`)
      .join(", "),
  ]);
  return table(["#", "figure", "found", "promised", "", "details"], rows);
}

function short(found: number): string {
  if (Number.isInteger(found)) return String(found);
  return Math.abs(found) >= 100 ? found.toFixed(0) : found.toPrecision(3);
}
