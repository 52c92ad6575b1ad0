/** Reads a file front to back in exact pieces, unpacking gzip when the file begins with its magic number. */
import { open, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { DatasetError } from "./source.ts";

const CHUNK_BYTES = 1 << 20;

export interface FileFacts {
  readonly bytes: number;
  readonly compressed: boolean;
}

/** Size of a file and whether it is gzip; a missing or unreadable one is a {@link DatasetError}. */
export async function fileFacts(file: string): Promise<FileFacts> {
  try {
    const { size } = await stat(file);
    const handle = await open(file, "r");
    try {
      const head = Buffer.alloc(2);
      const { bytesRead } = await handle.read(head, 0, 2, 0);
      return { bytes: size, compressed: bytesRead === 2 && head[0] === 0x1f && head[1] === 0x8b };
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw new DatasetError(file, "opening", `cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** One pass over a file. Positions count unpacked bytes. */
export class ByteReader implements AsyncDisposable {
  readonly #file: string;
  readonly #raw: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);
  #position: number;
  #ended = false;

  private constructor(file: string, handle: FileHandle, compressed: boolean, start: number) {
    this.#file = file;
    this.#position = start;
    this.#raw = handle.createReadStream({ highWaterMark: CHUNK_BYTES, start });
    const stream = compressed
      ? // A failure of either end arrives at the reader as the error of its next read.
        pipeline(this.#raw, createGunzip({ chunkSize: CHUNK_BYTES }), () => undefined)
      : this.#raw;
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Begins at byte `start` of the unpacked content. */
  static async open(file: string, start = 0): Promise<ByteReader> {
    const { compressed } = await fileFacts(file);
    const reader = new ByteReader(file, await open(file, "r"), compressed, compressed ? 0 : start);
    if (compressed) await reader.skip(start);
    return reader;
  }

  /** Unpacked bytes handed out or skipped so far. */
  get position(): number {
    return this.#position;
  }

  /** Up to `bytes` bytes, fewer only at the end of the file. */
  async read(bytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let have = 0;
    while (have < bytes) {
      const part = await this.#take(bytes - have);
      if (part === null) break;
      parts.push(part);
      have += part.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, have);
  }

  /** Exactly `bytes` bytes; `what` names them in the error when the file ends before. */
  async readExactly(bytes: number, what: string): Promise<Buffer> {
    const at = this.#position;
    const found = await this.read(bytes);
    if (found.length === bytes) return found;
    throw new DatasetError(
      this.#file,
      `byte ${at}`,
      `the file ends inside ${what}: ${bytes} bytes are needed, ${found.length} are left`,
    );
  }

  async skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0;) {
      const part = await this.#take(left);
      if (part === null) return;
      left -= part.length;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#raw.closed) return;
    // Not events.once: a failure that the reader already reported would be reported a second time.
    const closed = new Promise<void>((resolve) => this.#raw.once("close", resolve));
    this.#raw.destroy();
    await closed;
  }

  /** Between 1 and `most` bytes without copying; null at the end. */
  async #take(most: number): Promise<Buffer | null> {
    while (this.#chunk.length === 0) {
      if (this.#ended) return null;
      const next = await this.#next();
      if (next.done === true) this.#ended = true;
      else this.#chunk = next.value;
    }
    const part = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(part.length);
    this.#position += part.length;
    return part;
  }

  async #next(): Promise<IteratorResult<Buffer>> {
    try {
      return await this.#chunks.next();
    } catch (cause) {
      throw new DatasetError(
        this.#file,
        `byte ${this.#position}`,
        `cannot be read further: ${(cause as Error).message}`,
        { cause },
      );
    }
  }
}
