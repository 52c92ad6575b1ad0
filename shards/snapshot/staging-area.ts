/**
 * Where a snapshot lies while it comes in: a directory per snapshot, named after what it is, so that a transfer that
 * broke goes on where it stood, whichever side was restarted. It becomes readable when every file has its checksum.
 */
import { createHash, type Hash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { open, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { CapturedSnapshot, LogIndex } from "../ports.ts";

export interface FileEntry {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Manifest {
  readonly group: number;
  readonly index: LogIndex;
  readonly term: number;
  readonly files: readonly FileEntry[];
}

/** Read at once when checksums are computed. */
const PIECE_BYTES = 1 << 20;
/** What was not written to for this long at a start is not gone on with: its sender has a newer one by now. */
const STALE_MS = 24 * 3_600_000;
/** What a half snapshot is of. Not a name that a snapshot's file may have. */
const CONTENTS = ".contents.json";
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Throws RangeError for what no state machine of ours captures: names are paths here. */
export function checkManifest(manifest: Manifest): Manifest {
  const names = new Set<string>();
  for (const { name, bytes } of manifest.files) {
    if (!NAME.test(name) || names.has(name))
      throw new RangeError(`${JSON.stringify(name)} is no name of a file`);
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`${name} cannot have ${bytes} bytes`);
    names.add(name);
  }
  return manifest;
}

export class StagingArea {
  readonly #path: string;
  readonly #open = new Set<string>();

  constructor(path: string) {
    this.#path = path;
    mkdirSync(path, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(path)) {
      const directory = join(path, name);
      if (Date.now() - lastWriteMs(directory) > STALE_MS) rmSync(directory, { recursive: true, force: true });
    }
  }

  /** Begins or goes on with a snapshot; null while another stream brings the same group one. */
  async begin(manifest: Manifest): Promise<Incoming | null> {
    const group = String(manifest.group);
    if (this.#open.has(group)) return null;
    this.#open.add(group);
    try {
      const name = nameOf(manifest);
      const directory = join(this.#path, name);
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      // Of another snapshot of the group that stands here half, files that both have are of use, and nothing else.
      for (const other of readdirSync(this.#path)) {
        if (!other.startsWith(`${group}-`) || other === name) continue;
        inherit(join(this.#path, other), directory, manifest.files);
        rmSync(join(this.#path, other), { recursive: true, force: true });
      }
      writeFileSync(join(directory, CONTENTS), JSON.stringify(manifest.files));
      return await Incoming.open(directory, manifest, () => this.#open.delete(group));
    } catch (error) {
      this.#open.delete(group);
      throw error;
    }
  }
}

/**
 * Moves what came of the same files before: a sender that was restarted captures anew, at another index, and its saved
 * graph is the same file all the same.
 */
function inherit(from: string, to: string, files: readonly FileEntry[]): void {
  const known = contentsOf(from);
  for (const { name, bytes, sha256 } of files) {
    const isSame = known.some((old) => old.name === name && old.bytes === bytes && old.sha256 === sha256);
    if (isSame && existsSync(join(from, name)) && !existsSync(join(to, name)))
      renameSync(join(from, name), join(to, name));
  }
}

/** Nothing for what a crash left without a readable list: it comes again. */
function contentsOf(directory: string): readonly Partial<FileEntry>[] {
  try {
    const files: unknown = JSON.parse(readFileSync(join(directory, CONTENTS), "utf8"));
    return Array.isArray(files) ? (files as readonly Partial<FileEntry>[]) : [];
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Of the directory or of anything in it: appending to a file leaves its directory as old as it was. */
function lastWriteMs(directory: string): number {
  if (!statSync(directory).isDirectory()) return statSync(directory).mtimeMs;
  const within = readdirSync(directory).map((name) => statSync(join(directory, name)).mtimeMs);
  return Math.max(statSync(directory).mtimeMs, ...within);
}

function nameOf({ group, index, term, files }: Manifest): string {
  const hash = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16);
  return `${group}-${index}-${term}-${hash}`;
}

/** One snapshot on its way in. */
export class Incoming {
  readonly #directory: string;
  readonly #manifest: Manifest;
  readonly #handles: readonly FileHandle[];
  readonly #held: number[];
  /** Of what came so far; null for a file of which a part was here before, which is read at the end. */
  readonly #hashes: readonly (Hash | null)[];
  readonly #release: () => void;
  #written: Promise<void> = Promise.resolve();
  /** Of files that are whole, while others still come in. */
  readonly #syncs = new Map<number, Promise<void>>();
  /** A sync failed: what was not written then counts as clean, and another sync would say that all is well. */
  #mayLack = false;
  #ended = false;

  private constructor(
    directory: string,
    manifest: Manifest,
    parts: { readonly handles: readonly FileHandle[]; readonly held: number[]; readonly release: () => void },
  ) {
    this.#directory = directory;
    this.#manifest = manifest;
    this.#handles = parts.handles;
    this.#held = parts.held;
    this.#hashes = parts.held.map((bytes) => (bytes === 0 ? createHash("sha256") : null));
    this.#release = parts.release;
  }

  static async open(directory: string, manifest: Manifest, release: () => void): Promise<Incoming> {
    const handles: FileHandle[] = [];
    const held: number[] = [];
    try {
      for (const { name, bytes } of manifest.files) {
        const handle = await open(join(directory, name), "a+");
        handles.push(handle);
        const { size } = await handle.stat();
        if (size > bytes) await handle.truncate(0);
        held.push(size > bytes ? 0 : size);
      }
    } catch (error) {
      for (const handle of handles) await handle.close();
      throw error;
    }
    return new Incoming(directory, manifest, { handles, held, release });
  }

  /** Bytes that are here already, per file. */
  get held(): readonly number[] {
    return this.#held;
  }

  /**
   * Begins to write a piece; resolves when it is in the file. The next one may be handed in before that, and waits for it:
   * the disk works while the next piece arrives and is hashed. Throws RangeError for a piece that does not go on where the
   * file stands.
   */
  append(file: number, offset: number, data: Uint8Array): Promise<void> {
    const entry = this.#manifest.files[file];
    const handle = this.#handles[file];
    const at = this.#held[file];
    if (entry === undefined || handle === undefined || at !== offset || at + data.length > entry.bytes)
      throw new RangeError(`a piece at ${offset} of file ${file} does not follow ${at}`);
    this.#held[file] = at + data.length;
    // After a failure nothing more is written: what is in the file stays a beginning of it.
    const written = settledLater(this.#written.then(() => handle.appendFile(data)));
    this.#written = written;
    if (at + data.length === entry.bytes)
      this.#syncs.set(file, settledLater(written.then(() => this.#sync(handle))));
    this.#hashes[file]?.update(data);
    return written;
  }

  /** The snapshot, once every byte is here and every checksum holds; null, and nothing kept, when one does not. */
  async finish(): Promise<CapturedSnapshot | null> {
    await this.#written;
    for (const [at, { bytes, sha256 }] of this.#manifest.files.entries()) {
      const handle = this.#handles[at];
      if (
        handle === undefined ||
        this.#held[at] !== bytes ||
        (await this.#hashOf(at, handle, bytes)) !== sha256
      ) {
        await this.discard();
        return null;
      }
      await (this.#syncs.get(at) ?? this.#sync(handle));
    }
    const { index, files } = this.#manifest;
    const handles = new Map(files.map(({ name }, at) => [name, this.#handles[at]]));
    return {
      index,
      files,
      directory: this.#directory,
      read: async (name, offset, length) => {
        const handle = handles.get(name);
        if (handle === undefined) throw new RangeError(`the snapshot has no file ${name}`);
        return await readAt(handle, offset, length);
      },
      [Symbol.asyncDispose]: () => this.discard(),
    };
  }

  async #sync(handle: FileHandle): Promise<void> {
    try {
      await handle.sync();
    } catch (error) {
      this.#mayLack = true;
      throw error;
    }
  }

  #hashOf(at: number, handle: FileHandle, bytes: number): Promise<string> {
    const hash = this.#hashes[at] ?? null;
    return hash === null ? hashOf(handle, bytes) : Promise.resolve(hash.digest("hex"));
  }

  /** Ends it; what is here stays for the next attempt, unless the disk may lack some of it. */
  async pause(): Promise<void> {
    await this.#end("kept");
  }

  async discard(): Promise<void> {
    await this.#end("removed");
  }

  async #end(files: "kept" | "removed"): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    try {
      await this.#written.catch(() => undefined);
      await Promise.allSettled(this.#syncs.values());
      await Promise.all(this.#handles.map((handle) => handle.close()));
      if (files === "removed" || this.#mayLack) await rm(this.#directory, { recursive: true, force: true });
    } finally {
      // Whatever went wrong here, it is not to keep every later snapshot of the group out.
      this.#release();
    }
  }
}

/** Whoever waits for it is told of a failure; nobody may, when something before it failed. */
export function settledLater<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

async function hashOf(handle: FileHandle, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < bytes;) {
    const piece = await readAt(handle, at, Math.min(PIECE_BYTES, bytes - at));
    if (piece.length === 0) break;
    hash.update(piece);
    at += piece.length;
  }
  return hash.digest("hex");
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  const { bytesRead } = await handle.read(buffer, 0, length, offset);
  return bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
}
