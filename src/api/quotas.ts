/** What this node has left of disk and memory, looked at in time: before a log cannot be written any more. */
import { statfs } from "node:fs/promises";
import { ApiError } from "./errors.ts";

export interface QuotaOptions {
  /** Least free disk under `directory`, in bytes; 0: any. */
  readonly diskFreeBytes: number;
  /** Most memory of the process, in bytes; 0: any. */
  readonly memoryBytes: number;
  readonly directory: string;
}

export interface QuotaProbes {
  /** Bytes an ordinary user may still write under a directory. */
  freeBytes(directory: string): Promise<number>;
  /** Bytes of memory the process has. */
  memoryBytes(): number;
}

/** Disk fills at most by some hundred megabytes in this time. */
const LOOK_MS = 1_000;

const SYSTEM: QuotaProbes = {
  async freeBytes(directory) {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  },
  memoryBytes: () => process.memoryUsage.rss(),
};

export class Quotas implements Disposable {
  readonly #options: QuotaOptions;
  readonly #probes: QuotaProbes;
  readonly #timer: NodeJS.Timeout | null;
  #problem: string | null = null;

  /** `everyMs` 0: looks only when {@link look} is called. */
  constructor(
    options: QuotaOptions,
    parts: { readonly probes?: QuotaProbes; readonly everyMs?: number } = {},
  ) {
    this.#options = options;
    this.#probes = parts.probes ?? SYSTEM;
    const everyMs = parts.everyMs ?? LOOK_MS;
    this.#timer = everyMs === 0 ? null : setInterval(() => void this.look(), everyMs);
    this.#timer?.unref();
  }

  /** What is used up, in words; null: nothing. */
  get problem(): string | null {
    return this.#problem;
  }

  /** OUT_OF_SPACE while something is used up. For what adds data: what removes some must still be possible. */
  check(): void {
    if (this.#problem !== null)
      throw new ApiError("OUT_OF_SPACE", `Out of space: ${this.#problem}; nothing was changed`);
  }

  async look(): Promise<void> {
    const { diskFreeBytes, memoryBytes, directory } = this.#options;
    const memory = memoryBytes === 0 ? 0 : this.#probes.memoryBytes();
    const over = `the node uses ${memory} bytes of memory, ${memoryBytes} are allowed (option \`quota.memory_bytes\`)`;
    this.#problem = (await this.#disk(diskFreeBytes, directory)) ?? (memory > memoryBytes ? over : null);
  }

  async #disk(least: number, directory: string): Promise<string | null> {
    if (least === 0) return null;
    try {
      const free = await this.#probes.freeBytes(directory);
      if (free >= least) return null;
      return `${free} bytes of disk are free, at least ${least} must stay (option \`quota.disk_free_bytes\`)`;
    } catch (error) {
      return `the disk cannot be asked: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }
}
