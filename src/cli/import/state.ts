/** What an import remembers between runs: how far it came, under which run, and some ids to check that by. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { PointId } from "../../engine/types.ts";

/** Ids kept as samples; when there are more, every second one goes. */
const SAMPLES_MAX = 64;
const SAMPLE_BYTES = 1 << 20;
const FORMAT = 1;

export interface ImportState {
  readonly format: typeof FORMAT;
  /** Part of every Idempotency-Key, so that a new import of the same file is not taken for a repetition. */
  readonly run: string;
  readonly file: string;
  readonly collection: string;
  readonly url: string;
  /** Rows from the first on that the node acknowledged without a gap. */
  readonly acknowledged: number;
  /** Ids spread over the acknowledged rows. */
  readonly samples: readonly PointId[];
}

/** The state file of one import: the same content, target and options find the same file again. */
export class StateFile {
  readonly path: string;
  #state: ImportState;
  #sampleStride = 1;
  #seen = 0;

  private constructor(path: string, state: ImportState) {
    this.path = path;
    this.#state = state;
  }

  /** Reads what an earlier run left; one that cannot be read is treated as none. */
  static async open(
    directory: string,
    target: { readonly file: string; readonly url: string; readonly collection: string },
    options: object,
  ): Promise<StateFile> {
    const { url, collection } = target;
    const content = await fingerprint(target.file);
    const key = createHash("sha256")
      .update(JSON.stringify([content, url, collection, options]))
      .digest("hex");
    const path = join(directory, `${key.slice(0, 32)}.json`);
    const found = await readState(path);
    return new StateFile(path, found ?? { ...fresh(), file: resolve(target.file), url, collection });
  }

  get state(): ImportState {
    return this.#state;
  }

  /** Forgets the progress; the run gets a new name. */
  restart(): void {
    this.#state = { ...this.#state, ...fresh() };
    this.#seen = 0;
    this.#sampleStride = 1;
  }

  /** Notes that every row before `acknowledged` is in; `lastId` is the id of the row before it. */
  advance(acknowledged: number, lastId: PointId): void {
    let samples = this.#state.samples;
    if (this.#seen++ % this.#sampleStride === 0) samples = [...samples, lastId];
    if (samples.length > SAMPLES_MAX) {
      samples = samples.filter((_, i) => i % 2 === 1);
      this.#sampleStride *= 2;
    }
    this.#state = { ...this.#state, acknowledged, samples };
  }

  /** Replaces the file as a whole, so that a crash leaves the old or the new one. */
  async save(): Promise<void> {
    await mkdir(dirname(this.path), { recursive: true });
    const next = `${this.path}.${process.pid}.tmp`;
    await writeFile(next, JSON.stringify(this.#state));
    await rename(next, this.path);
  }

  /** The import is complete: there is nothing to resume. */
  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }
}

function fresh(): Pick<ImportState, "format" | "run" | "acknowledged" | "samples"> {
  return { format: FORMAT, run: randomUUID(), acknowledged: 0, samples: [] };
}

async function readState(path: string): Promise<ImportState | null> {
  try {
    const state = JSON.parse(await readFile(path, "utf8")) as ImportState;
    const valid =
      state.format === FORMAT && Number.isSafeInteger(state.acknowledged) && Array.isArray(state.samples);
    return valid ? state : null;
  } catch (error) {
    // Missing is the normal case. A torn or foreign file only costs sending rows again, which changes nothing.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Size, time of change, first and last MiB: a file of any size is told apart at once, and a changed one too. */
async function fingerprint(file: string): Promise<string> {
  const { size, mtimeMs } = await stat(file);
  const hash = createHash("sha256").update(`${size} ${mtimeMs}`);
  const handle = await open(file, "r");
  try {
    const buffer = Buffer.alloc(Math.min(size, SAMPLE_BYTES));
    for (const at of [0, size - buffer.length]) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
  return hash.digest("hex");
}
