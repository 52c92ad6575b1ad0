/** `flotilla import`: a file of vectors into a collection, resumable and repeatable. */
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { dirname, join } from "node:path";
import { readIdxLabels } from "../datasets/idx.ts";
import { FORMATS, openVectors } from "../datasets/open.ts";
import { DatasetError } from "../datasets/source.ts";
import type { VectorBatch, VectorFormat, VectorSource } from "../datasets/source.ts";
import type { Distance } from "../engine/types.ts";
import { cacheDirectory } from "./cache-dir.ts";
import { authorities, caFileOption } from "./connection.ts";
import { HttpClient, HttpClientError } from "./http-client.ts";
import { count, duration, startProgress } from "./import/progress.ts";
import { StateFile } from "./import/state.ts";
import { prepareCollection, samplesPresent } from "./import/target.ts";
import { upload } from "./import/upload.ts";
import type { UploadResult } from "./import/upload.ts";
import { RestError } from "./rest.ts";

export interface ImportOptions {
  readonly collection: string;
  readonly url: string;
  readonly apiKey?: string;
  readonly caFile?: string;
  readonly batch: number;
  readonly concurrency: number;
  readonly format?: VectorFormat;
  readonly hdf5Dataset?: string;
  readonly distance?: Distance;
  readonly m?: number;
  readonly efConstruct?: number;
  readonly payloadLabels?: string;
  readonly idOffset: number;
  readonly skip: number;
  readonly limit?: number;
  readonly restart: boolean;
  readonly stateDir?: string;
  readonly json: boolean;
}

/** What happened, as `--json` prints it. */
export interface ImportReport {
  readonly file: string;
  readonly collection: string;
  readonly dimension: number;
  /** Rows acknowledged by this run. */
  readonly rows: number;
  /** Rows an earlier run had acknowledged. */
  readonly resumedFrom: number;
  readonly batches: number;
  readonly retries: number;
  readonly seconds: number;
  readonly rowsPerSecond: number;
  readonly interrupted: boolean;
}

/** Exit code after Ctrl-C, as shells have it: 128 + SIGINT. */
const EXIT_INTERRUPTED = 130;
const SAVE_EVERY_MS = 1_000;
const ROWS_PER_BATCH_MAX = 10_000;
/** A request stays well below what a node takes, whatever the dimension. */
const BODY_BYTES_AIM = 8 << 20;
/** Of one number as JSON, comma included, at most. */
const NUMBER_BYTES = 16;

/** Adds `import` to the program. */
export function registerImport(program: Command): void {
  program
    .command("import")
    .description("send a file of vectors (fvecs, bvecs, IDX, npy, jsonl, HDF5; gzip too) into a collection")
    .argument("<file>", "the file of vectors")
    .requiredOption("-c, --collection <name>", "where the points go")
    .option("--url <url>", "a node of the cluster", "http://127.0.0.1:6333")
    .addOption(new Option("--api-key <key>", "key or token").env("FLOTILLA_API_KEY"))
    .addOption(caFileOption())
    .option(
      "--batch <rows>",
      "points per request, fewer when vectors are long",
      wholeNumber(1, ROWS_PER_BATCH_MAX),
      100,
    )
    .option("--concurrency <n>", "requests in flight at once", wholeNumber(1, 64), 4)
    .addOption(new Option("--format <format>", "when name and first bytes do not tell").choices(FORMATS))
    .option("--hdf5-dataset <name>", "which dataset of an HDF5 file (default: train)")
    .addOption(
      new Option("--distance <distance>", "create the collection with it when it does not exist").choices([
        "Cosine",
        "Dot",
        "Euclid",
      ]),
    )
    .option("--m <links>", "graph links per point, when creating", wholeNumber(2, 200))
    .option(
      "--ef-construct <n>",
      "candidates held while a point is linked in, when creating",
      wholeNumber(4, 4096),
    )
    .option("--payload-labels <file>", "IDX file with one label per row, stored as payload {label}")
    .option("--id-offset <n>", "added to the row number, where the file has no ids", wholeNumber(0), 0)
    .option("--skip <rows>", "rows passed over at the beginning", wholeNumber(0), 0)
    .option("--limit <rows>", "rows sent at most", wholeNumber(0))
    .option("--restart", "begin at the first row, whatever an earlier run did", false)
    .option("--state-dir <dir>", "where progress is remembered (default: the user's cache directory)")
    .option("--json", "one JSON object at the end instead of a progress bar", false)
    .action(async (file: string, options: ImportOptions) => {
      process.exitCode = await importAction(file, options);
    });
}

function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`a whole number ${range} is needed.`);
  };
}

async function importAction(file: string, options: ImportOptions): Promise<number> {
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(EXIT_INTERRUPTED);
    stop.abort();
    console.error("\nstopping: waiting for the batches in flight (Ctrl-C again to give up on them)");
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    const report = await runImport(file, options, stop.signal);
    if (options.json) console.log(JSON.stringify(report));
    else console.log(summary(report));
    return report.interrupted ? EXIT_INTERRUPTED : 0;
  } catch (error) {
    if (!(error instanceof DatasetError || error instanceof RestError || error instanceof HttpClientError))
      throw error;
    console.error(`import failed: ${error.message}`);
    return 1;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

function summary(report: ImportReport): string {
  const rows = `${count(report.rows)} points in ${duration(report.seconds)} (${count(report.rowsPerSecond)}/s)`;
  const before = report.resumedFrom > 0 ? ` after ${count(report.resumedFrom)} of an earlier run` : "";
  const retries = report.retries > 0 ? `, ${report.retries} repetitions` : "";
  return report.interrupted
    ? `stopped: ${rows}${before}${retries} are acknowledged; run the same command again to go on from there`
    : `imported ${rows}${before}${retries}`;
}

/**
 * Sends every row that an earlier run did not. Resolves when each is acknowledged as durable and searchable, or,
 * after `signal`, when the batches in flight are; progress is on disk then. Throws DatasetError, RestError or
 * HttpClientError; progress up to there is on disk as well.
 */
export async function runImport(
  file: string,
  options: ImportOptions,
  signal: AbortSignal,
): Promise<ImportReport> {
  const source = await openVectors(file, {
    ...(options.format === undefined ? {} : { format: options.format }),
    ...(options.hdf5Dataset === undefined ? {} : { dataset: options.hdf5Dataset }),
  });
  const payloadOf = await readLabels(source, options.payloadLabels);
  using client = new HttpClient({
    url: options.url,
    apiKey: options.apiKey,
    ca: authorities(options.caFile),
    connections: options.concurrency,
  });
  await prepareCollection(client, source, options);
  const state = await openState(file, options);
  if (options.restart) state.restart();
  const lost = !(await samplesPresent(client, options.collection, state.state.samples));
  if (lost) state.restart();
  // Before anything is sent: a run whose progress cannot be kept, or an earlier one's that is to be forgotten.
  await saveProgress(state);
  const resumedFrom = state.state.acknowledged;

  const total = source.rows === null ? null : Math.min(source.rows - options.skip, options.limit ?? Infinity);
  const progress = startProgress({
    title: "import",
    total: total === null ? (options.limit ?? null) : Math.max(0, total),
    from: resumedFrom,
    unit: "points",
    silent: options.json,
  });
  if (lost)
    progress.note("points of the earlier run are gone from the collection: beginning at the first row");
  else if (resumedFrom > 0) progress.note(`going on after ${count(resumedFrom)} points of an earlier run`);
  const started = performance.now();
  let savedAt = started;
  let saving: Promise<void> = Promise.resolve();
  let unsaved: Error | null = null;
  let result: UploadResult;
  try {
    result = await upload(client, rowsAfter(source, options, resumedFrom), {
      collection: options.collection,
      concurrency: options.concurrency,
      idOffset: options.idOffset,
      run: state.state.run,
      signal,
      ...(payloadOf === null ? {} : { payloadOf }),
      onRetry: (reason, delayMs) => progress.note(`trying again in ${delayMs.toFixed(0)} ms: ${reason}`),
      onProgress: (prefix, lastId, rows) => {
        state.advance(prefix - options.skip, lastId);
        progress.update(resumedFrom + rows);
        if (performance.now() - savedAt < SAVE_EVERY_MS) return;
        savedAt = performance.now();
        saving = saving
          .then(() => state.save())
          .catch((error: Error) => {
            // The rows arrive all the same; an interrupted run begins again at what was saved last.
            if (unsaved === null) progress.note(`progress cannot be saved: ${error.message}`);
            unsaved = error;
          });
      },
    });
  } catch (error) {
    await saving;
    await state.save().catch((second: Error) => progress.note(`progress cannot be saved: ${second.message}`));
    throw error;
  } finally {
    progress.stop();
  }
  await saving;
  if (result.interrupted) await saveProgress(state);
  else await state.remove();
  const seconds = (performance.now() - started) / 1000;
  return {
    file,
    collection: options.collection,
    dimension: source.dimension,
    rows: result.rows,
    resumedFrom,
    batches: result.batches,
    retries: result.retries,
    seconds,
    rowsPerSecond: seconds > 0 ? result.rows / seconds : 0,
    interrupted: result.interrupted,
  };
}

async function readLabels(
  source: VectorSource,
  file: string | undefined,
): Promise<((row: number) => object | null) | null> {
  if (file === undefined) return null;
  if (source.rows === null)
    throw new DatasetError(file, "labels", `a ${source.format} file of unknown length cannot be labelled`);
  const labels = await readIdxLabels(file, source.rows);
  return (row) => ({ label: labels[row] });
}

function openState(file: string, options: ImportOptions): Promise<StateFile> {
  const directory = options.stateDir ?? join(cacheDirectory(), "import");
  const { collection, url } = options;
  // Batch size and concurrency may change between runs: only what decides on the rows is part of the key.
  return StateFile.open(
    directory,
    { file, url, collection },
    {
      format: options.format,
      dataset: options.hdf5Dataset,
      labels: options.payloadLabels,
      idOffset: options.idOffset,
      skip: options.skip,
      limit: options.limit,
    },
  );
}

async function saveProgress(state: StateFile): Promise<void> {
  try {
    await state.save();
  } catch (cause) {
    throw new Error(
      `progress cannot be kept in ${dirname(state.path)}: ${(cause as Error).message}; --state-dir takes another directory`,
      { cause },
    );
  }
}

function rowsAfter(source: VectorSource, options: ImportOptions, done: number): AsyncGenerator<VectorBatch> {
  return source.batches({
    rows: Math.max(
      1,
      Math.min(options.batch, Math.floor(BODY_BYTES_AIM / (source.dimension * NUMBER_BYTES))),
    ),
    skip: options.skip + done,
    ...(options.limit === undefined ? {} : { limit: Math.max(0, options.limit - done) }),
  });
}
