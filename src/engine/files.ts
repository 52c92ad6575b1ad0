/** Files that are complete or absent: written under another name, on disk before they are renamed into place. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Read in pieces, so that the thread is free between them. Hex digits. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(piece as Buffer);
  return hash.digest("hex");
}

export async function syncFile(file: string): Promise<void> {
  const handle = await open(file, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A new or renamed name is on disk only when its directory is. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The old content or the new one, also across a crash. */
export async function replaceFile(file: string, content: string): Promise<void> {
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, "w");
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncDirectory(dirname(file));
}

/** Reads pieces of files of one directory, each of which is opened once. */
export class OpenFiles {
  readonly #directory: string;
  // Opened once each, though several reads may come before the first is answered.
  readonly #handles = new Map<string, Promise<FileHandle>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Fewer bytes than `length` only at the end of the file; in `into`, or in a buffer of their own. */
  async read(name: string, offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    let opening = this.#handles.get(name);
    if (opening === undefined) this.#handles.set(name, (opening = open(join(this.#directory, name), "r")));
    const handle = await opening;
    const bytes = into ?? Buffer.allocUnsafeSlow(length);
    const { bytesRead } = await handle.read(bytes, 0, length, offset);
    return bytes.subarray(0, bytesRead);
  }

  async close(): Promise<void> {
    const handles = [...this.#handles.values()];
    this.#handles.clear();
    for (const opened of await Promise.allSettled(handles))
      if (opened.status === "fulfilled") await opened.value.close();
  }
}
