/** Consistent copies of a shard: the point store as of one applied index, and the saved graph when there is one. */
import { link, mkdir, open, rm, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "./errors.ts";
import { sha256Of, syncFile } from "./files.ts";
import { savedGraph } from "./graph-files.ts";
import { POINTS_FILE } from "./shard-files.ts";
import type { PointStore } from "./point-store.ts";
import type { EngineSnapshot } from "./surface.ts";
import type { VectorSpec } from "./types.ts";

const PIECE = 1 << 20;
/** Pages copied before the thread is given free: about 2 ms. */
const PAGES_PER_STEP = 64;

export async function captureSnapshot(from: {
  readonly store: PointStore;
  readonly spec: VectorSpec;
  readonly data: string;
  /** Does not exist yet; removed when the snapshot is disposed of. */
  readonly into: string;
  /** The applied index of a copied store. */
  readonly indexOf: (file: string) => number;
}): Promise<EngineSnapshot> {
  const { into } = from;
  await mkdir(into);
  try {
    await from.store.copyTo(join(into, POINTS_FILE), PAGES_PER_STEP);
    const index = from.indexOf(join(into, POINTS_FILE));
    const names = [POINTS_FILE, ...(await linkGraph(from.data, into, from.spec))];
    const files = [];
    for (const name of names) {
      const file = join(into, name);
      files.push({ name, bytes: (await stat(file)).size, sha256: await sha256Of(file) });
    }
    return openSnapshot(into, index, files);
  } catch (thrown) {
    await rm(into, { recursive: true, force: true });
    throw thrown;
  }
}

// A link keeps the file while the shard replaces its saved graph by a newer one.
async function linkGraph(data: string, into: string, spec: VectorSpec): Promise<string[]> {
  const manifest = await savedGraph(data, spec);
  if (manifest === null) return [];
  const names = [manifest.file, "graph.json"];
  try {
    for (const name of names) await link(join(data, name), join(into, name));
    return (await savedGraph(into, spec))?.file === manifest.file ? names : [];
  } catch (thrown) {
    // A save came in between; the copy is complete without a graph.
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
}

function openSnapshot(directory: string, index: number, files: EngineSnapshot["files"]): EngineSnapshot {
  const handles = new Map<string, FileHandle>();
  return {
    index,
    files,
    read: async (name, offset, length) => {
      if (!files.some((file) => file.name === name)) throw new RangeError(`the snapshot has no file ${name}`);
      let handle = handles.get(name);
      if (handle === undefined) {
        handle = await open(join(directory, name), "r");
        handles.set(name, handle);
      }
      const bytes = new Uint8Array(length);
      const { bytesRead } = await handle.read(bytes, 0, length, offset);
      return bytes.subarray(0, bytesRead);
    },
    [Symbol.asyncDispose]: async () => {
      for (const handle of handles.values()) await handle.close();
      handles.clear();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Writes the files into `staged` and verifies them; throws SNAPSHOT_CORRUPT. */
export async function receiveSnapshot(
  snapshot: Pick<EngineSnapshot, "files" | "read">,
  staged: string,
): Promise<void> {
  if (!snapshot.files.some((file) => file.name === POINTS_FILE))
    throw new EngineError("SNAPSHOT_CORRUPT", `the snapshot has no ${POINTS_FILE}`);
  for (const { name, bytes, sha256 } of snapshot.files) {
    if (!/^[a-z0-9-]+\.[a-z]+$/.test(name))
      throw new EngineError("SNAPSHOT_CORRUPT", `${JSON.stringify(name)} is no name of a snapshot's file`);
    const file = join(staged, name);
    const handle = await open(file, "wx");
    try {
      for (let at = 0; at < bytes;) {
        const piece = await snapshot.read(name, at, Math.min(PIECE, bytes - at));
        if (piece.length === 0)
          throw new EngineError("SNAPSHOT_CORRUPT", `${name} ends at ${at} of ${bytes}`);
        await handle.write(piece);
        at += piece.length;
      }
    } finally {
      await handle.close();
    }
    await syncFile(file);
    const found = await sha256Of(file);
    if (found !== sha256)
      throw new EngineError("SNAPSHOT_CORRUPT", `${name} has the hash ${found}, not ${sha256}`);
  }
}
