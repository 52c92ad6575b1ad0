/**
 * Files whose contents are in use and may be replaced while the node runs: keys, certificates. Contents are compared,
 * not times or events: files that are swapped by renaming or behind a symbolic link are seen like any others.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** No key or certificate comes near; what does is another file, given by mistake. */
const FILE_BYTES_MAX = 1_048_576;

export interface WatchedOptions {
  readonly paths: readonly string[];
  /** Between two looks, in milliseconds; 0: only when {@link WatchedFiles.check} is called. */
  readonly everyMs: number;
}

export interface WatchedParts<T> {
  /** From the contents, in the order of the paths, to what is used. Throws when they cannot be. */
  parse(contents: readonly Buffer[]): T;
  /** New contents cannot be used: the last good ones stay in use. Told once for each such contents. */
  trouble(error: Error): void;
}

/** Always: `value` is what the last usable contents meant. */
export class WatchedFiles<T> implements Disposable {
  readonly #paths: readonly string[];
  readonly #parts: WatchedParts<T>;
  readonly #listeners = new Set<(value: T) => void>();
  readonly #timer: NodeJS.Timeout | null;
  #contents: readonly Buffer[];
  #value: T;
  #lastTrouble = "";

  /** Reads the files at once; throws what makes them unusable, with the path in the message. */
  constructor(options: WatchedOptions, parts: WatchedParts<T>) {
    this.#paths = options.paths;
    this.#parts = parts;
    this.#contents = options.paths.map((path) => bounded(path, readFileSync(path)));
    this.#value = parts.parse(this.#contents);
    this.#timer = options.everyMs === 0 ? null : setInterval(() => void this.check(), options.everyMs);
    this.#timer?.unref();
  }

  get value(): T {
    return this.#value;
  }

  /** Called after each change, with the new value. Returns what ends it. */
  onChange(listener: (value: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks now; resolves with whether something new is in use. */
  async check(): Promise<boolean> {
    let contents: readonly Buffer[];
    try {
      contents = await Promise.all(this.#paths.map(async (path) => bounded(path, await readFile(path))));
      if (contents.every((bytes, at) => bytes.equals(this.#contents[at] as Buffer))) {
        this.#lastTrouble = "";
        return false;
      }
      this.#value = this.#parts.parse(contents);
    } catch (error) {
      // A pair of files is replaced one after the other: what does not fit together now may at the next look.
      this.#report(error instanceof Error ? error : new Error(String(error)));
      return false;
    }
    this.#lastTrouble = "";
    this.#contents = contents;
    for (const listener of this.#listeners) listener(this.#value);
    return true;
  }

  #report(error: Error): void {
    if (error.message === this.#lastTrouble) return;
    this.#lastTrouble = error.message;
    this.#parts.trouble(error);
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#listeners.clear();
  }
}

function bounded(path: string, bytes: Buffer): Buffer {
  if (bytes.length > FILE_BYTES_MAX)
    throw new Error(`${path} has ${bytes.length} bytes, at most ${FILE_BYTES_MAX} are read`);
  return bytes;
}
