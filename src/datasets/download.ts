/** Fetches a public benchmark file once into the cache; a network that is not there is an answer, not a long wait. */
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";

export interface DownloadOptions {
  readonly url: string;
  readonly file: string;
  /** Until the first byte of the answer. */
  readonly connectTimeoutMs?: number;
  /** Between two pieces. */
  readonly stallTimeoutMs?: number;
  readonly onProgress?: (bytes: number, total: number | null) => void;
}

const CONNECT_TIMEOUT_MS = 8_000;
const STALL_TIMEOUT_MS = 30_000;

/** Why there is no file; the message is one line for a user. */
export class DownloadError extends Error {
  override readonly name = "DownloadError";
}

/** The file is complete when it resolves; one that is already there is used as it is. Throws {@link DownloadError}. */
export async function download(options: DownloadOptions): Promise<void> {
  const { url, file } = options;
  const part = `${file}.${process.pid}.part`;
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
  let bytes = 0;
  try {
    if (await exists(file)) return;
    await mkdir(dirname(file), { recursive: true });
    const response = await fetch(url, { signal: stop.signal, headers: { "accept-encoding": "identity" } });
    if (!response.ok || response.body === null)
      throw new DownloadError(`the server answered ${response.status}`);
    const total = announcedBytes(response.headers);
    const counted = async function* (pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const piece of pieces) {
        clearTimeout(timer);
        timer = setTimeout(() => stop.abort(), options.stallTimeoutMs ?? STALL_TIMEOUT_MS);
        bytes += piece.length;
        options.onProgress?.(bytes, total);
        yield piece;
      }
    };
    await pipeline(response.body, counted, createWriteStream(part), { signal: stop.signal });
    if (total !== null && bytes !== total) throw new DownloadError(`${bytes} of ${total} bytes arrived`);
    await rename(part, file);
  } catch (cause) {
    const left = await removePart(part);
    const why = stop.signal.aborted ? "no answer in time" : reason(cause);
    throw new DownloadError(`${url} cannot be downloaded to ${file}: ${why}${left}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** Null where the header counts other bytes than those that arrive here: fetch decodes what the server encoded. */
function announcedBytes(headers: Headers): number | null {
  const encoding = headers.get("content-encoding") ?? "identity";
  const length = Number(headers.get("content-length") ?? Number.NaN);
  return encoding.trim().toLowerCase() === "identity" && Number.isSafeInteger(length) ? length : null;
}

/** A part is of no use to the next attempt, whose process has another number; what cannot be removed is named. */
async function removePart(part: string): Promise<string> {
  try {
    await rm(part, { force: true });
    return "";
  } catch (error) {
    // Below a path that is a file there is nothing to remove; the download's own error already says so.
    return (error as NodeJS.ErrnoException).code === "ENOTDIR" ? "" : `; ${part} stays behind`;
  }
}

/** fetch says "fetch failed" and keeps the reason one level down. */
function reason(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== "" ? cause.message : message;
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).size > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
