/** Exact neighbours of a benchmark's queries: computed once, kept in the cache under the hash of what they belong to. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { BenchmarkSet } from "../../datasets/benchmark-set.ts";
import type { BareAsk } from "./bare-process.ts";
import { Child } from "./child.ts";
import type { Truth } from "./statistics.ts";
import type { VectorFile } from "./vector-file.ts";

/** What reports say about it. */
export const TRUTH_METHOD =
  "every base vector scanned in float32, the nearest candidates ranked in double precision, ties by id; " +
  "a query whose candidates are not proven complete is scanned for more";

/** Raised when the method changes, so that nothing older is used. */
const VERSION = 1;
const MAGIC = "flotilla-truth";

export interface TruthParts {
  readonly set: Pick<BenchmarkSet, "sha256" | "distance" | "dimension">;
  readonly base: VectorFile;
  readonly queries: VectorFile;
  readonly k: number;
  readonly cacheDir: string;
  /** What a user should know: that it cannot be kept. */
  readonly report?: (line: string) => void;
}

/** The k nearest base vectors of each query; `cached` says whether an earlier run had computed them. */
export async function groundTruth(
  parts: TruthParts,
): Promise<{ readonly truth: Truth; readonly cached: boolean; readonly seconds: number }> {
  const { set, base, queries } = parts;
  const k = Math.min(parts.k, base.count);
  const key = createHash("sha256")
    .update([VERSION, set.sha256, set.distance, set.dimension, base.count, queries.count, k].join(" "))
    .digest("hex");
  const file = join(parts.cacheDir, "truth", `${key.slice(0, 32)}.bin`);
  const known = await readTruth(file, k, queries.count);
  if (known !== null) return { truth: known, cached: true, seconds: 0 };
  const started = performance.now();
  await using child = new Child<BareAsk>("src/cli/bench/bare-process.ts");
  const truth = await child.ask<Truth>({ kind: "truth", base, queries, distance: set.distance, k });
  await writeTruth(file, truth).catch((error: Error) =>
    parts.report?.(`the exact neighbours cannot be kept for the next run: ${error.message}`),
  );
  return { truth, cached: false, seconds: (performance.now() - started) / 1000 };
}

async function writeTruth(file: string, truth: Truth): Promise<void> {
  const content = Buffer.concat([
    Buffer.from(truth.ids.buffer, truth.ids.byteOffset, truth.ids.byteLength),
    Buffer.from(truth.distances.buffer, truth.distances.byteOffset, truth.distances.byteLength),
  ]);
  const sha = createHash("sha256").update(content).digest();
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.${process.pid}.tmp`, Buffer.concat([Buffer.from(MAGIC), sha, content]));
  await rename(`${file}.${process.pid}.tmp`, file);
}

/** null when there is none or it is damaged: computing it again is always right. */
async function readTruth(file: string, k: number, queries: number): Promise<Truth | null> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    // Why it cannot be read is said when it cannot be written either.
    if ((error as NodeJS.ErrnoException).code !== undefined) return null;
    throw error;
  }
  const start = MAGIC.length + 32;
  const count = k * queries;
  if (bytes.length !== start + count * 12 || bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) return null;
  const content = bytes.subarray(start);
  if (!createHash("sha256").update(content).digest().equals(bytes.subarray(MAGIC.length, start))) return null;
  // Copied, since the arrays must begin at a multiple of their element's size.
  const aligned = Uint8Array.from(content).buffer;
  return {
    k,
    ids: new Uint32Array(aligned.slice(0, 4 * count)),
    distances: new Float64Array(aligned.slice(4 * count)),
  };
}
