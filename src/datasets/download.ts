/** Fetches a public benchmark file once into the cache; a network that is not there is an answer, not a long wait. */
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { once } from "node:events";

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
  if (await exists(file)) return;
  const part = `${file}.${process.pid}.part`;
  await mkdir(dirname(file), { recursive: true });
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
  try {
    const response = await fetch(url, { signal: stop.signal });
    if (!response.ok || response.body === null)
      throw new DownloadError(`the server answered ${response.status}`);
    const length = Number(response.headers.get("content-length") ?? Number.NaN);
    const total = Number.isSafeInteger(length) ? length : null;
    const out = createWriteStream(part);
    let bytes = 0;
    for await (const piece of response.body) {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), options.stallTimeoutMs ?? STALL_TIMEOUT_MS);
      bytes += piece.length;
      if (!out.write(piece)) await once(out, "drain");
      options.onProgress?.(bytes, total);
    }
    out.end();
    await once(out, "close");
    if (total !== null && bytes !== total) throw new DownloadError(`${bytes} of ${total} bytes arrived`);
    await rename(part, file);
  } catch (cause) {
    await rm(part, { force: true });
    const why = stop.signal.aborted ? "no answer in time" : reason(cause);
    throw new DownloadError(`${url} cannot be downloaded: ${why}`, { cause });
  } finally {
    clearTimeout(timer);
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
