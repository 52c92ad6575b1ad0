/** An append-only file of lines that is set aside when it is full, as `path.1`, `path.2` and so on. */
import { closeSync, existsSync, fstatSync, openSync, readSync, renameSync, writeSync } from "node:fs";

export interface RotatingOptions {
  readonly path: string;
  /** Size at which the next line begins a new file. */
  readonly fileBytes: number;
  /** Files kept beside the current one. */
  readonly files: number;
}

/** As `fs.writeSync`; another one where a test fills the disk. */
export type WriteBytes = (fd: number, bytes: Buffer, offset: number) => number;

export class RotatingFile implements Disposable {
  readonly #options: RotatingOptions;
  readonly #write: WriteBytes;
  #fd: number | null = null;
  #size = 0;

  constructor(options: RotatingOptions, parts: { readonly write?: WriteBytes } = {}) {
    this.#options = options;
    this.#write = parts.write ?? ((fd, bytes, offset) => writeSync(fd, bytes, offset));
  }

  /** Makes it exist. Throws the system's errors. */
  open(): void {
    this.#opened();
  }

  /**
   * Hands a line from `offset` on to the system, and returns where the rest begins; all is written when that is its
   * length. A line is never divided between files. Throws the system's errors, with nothing more written.
   */
  append(line: Buffer, offset: number): number {
    // First: after an attempt that failed the size is that of a file that is not open any more.
    this.#opened();
    if (offset === 0 && this.#size > 0 && this.#size + line.length > this.#options.fileBytes) this.#rotate();
    const written = this.#write(this.#opened(), line, offset);
    this.#size += written;
    return offset + written;
  }

  #opened(): number {
    if (this.#fd !== null) return this.#fd;
    // Who did what is for few eyes.
    const fd = openSync(this.#options.path, "a+", 0o600);
    this.#fd = fd;
    const stats = fstatSync(fd);
    this.#size = stats.isFile() ? stats.size : 0;
    const last = Buffer.alloc(1);
    // A crash may have left half a line: the next one does not continue it.
    if (this.#size > 0 && readSync(fd, last, 0, 1, this.#size - 1) === 1 && last[0] !== 0x0a)
      this.#size += this.#write(fd, Buffer.from("\n"), 0);
    return fd;
  }

  #rotate(): void {
    const { path, files } = this.#options;
    this[Symbol.dispose]();
    // Whoever removed or moved it did what is to be done here.
    if (!existsSync(path)) return;
    for (let at = files - 1; at >= 1; at--)
      if (existsSync(`${path}.${at}`)) renameSync(`${path}.${at}`, `${path}.${at + 1}`);
    renameSync(path, `${path}.1`);
  }

  [Symbol.dispose](): void {
    if (this.#fd === null) return;
    const fd = this.#fd;
    this.#fd = null;
    closeSync(fd);
  }
}
