/** Consistent copies of a shard: the point store as of one applied index, and the saved graph when there is one. */
import { link, mkdir, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "./errors.ts";
import { OpenFiles, sha256Of, syncFile } from "./files.ts";
import { savedGraph } from "./graph-files.ts";
import { POINTS_FILE } from "./shard-files.ts";
import type { PointStore } from "./point-store.ts";
import type { EngineSnapshot } from "./surface.ts";
import type { VectorSpec } from "./types.ts";

const PIECE = 1 << 20;
/** Pages copied before the thread is given free: about 2 ms while searches come in, 20 ms otherwise. */
const PAGES_PER_STEP = 64;
const IDLE_PAGES_PER_STEP = 640;

export async function captureSnapshot(from: {
  readonly store: Pick<PointStore, "copyTo">;
  readonly spec: VectorSpec;
  readonly data: string;
  /** Does not exist yet; removed when the snapshot is disposed of. */
  readonly into: string;
  /** Begins to save the graph when that is due: what it saves is in the store by then, so in the copy too. */
  readonly save: () => Promise<unknown>;
  /** Searches or writes are waiting for the thread. */
  readonly isBusy: () => boolean;
  /** The applied index of a copied store. */
  readonly indexOf: (file: string) => number;
}): Promise<EngineSnapshot> {
  const { into } = from;
  await mkdir(into);
  try {
    const pagesPerStep = (): number => (from.isBusy() ? PAGES_PER_STEP : IDLE_PAGES_PER_STEP);
    await Promise.all([from.save(), from.store.copyTo(join(into, POINTS_FILE), pagesPerStep)]);
    const index = from.indexOf(join(into, POINTS_FILE));
    const graph = await linkGraph(from.data, into, { spec: from.spec, index });
    const found = [{ name: POINTS_FILE, sha256: null }, ...graph];
    const files = [];
    for (const { name, sha256 } of found) {
      const file = join(into, name);
      files.push({ name, bytes: (await stat(file)).size, sha256: sha256 ?? (await sha256Of(file)) });
    }
    return openSnapshot(into, index, files);
  } catch (thrown) {
    await rm(into, { recursive: true, force: true });
    throw thrown;
  }
}

interface Linked {
  readonly name: string;
  /** As its manifest says; the receiver finds out whether that still holds. null: to be computed. */
  readonly sha256: string | null;
}

/**
 * A link keeps the file while the shard replaces its saved graph by a newer one. One that is newer than the copied
 * store at `index` may hold labels that this would give away again.
 */
async function linkGraph(
  data: string,
  into: string,
  { spec, index }: { readonly spec: VectorSpec; readonly index: number },
): Promise<readonly Linked[]> {
  const manifest = await savedGraph(data, spec);
  if (manifest === null || manifest.appliedIndex > index) return [];
  const linked = [
    { name: manifest.file, sha256: manifest.sha256 },
    { name: "graph.json", sha256: null },
  ];
  try {
    for (const { name } of linked) await link(join(data, name), join(into, name));
    return (await savedGraph(into, spec))?.file === manifest.file ? linked : [];
  } catch (thrown) {
    // A save came in between; the copy is complete without a graph.
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
}

function openSnapshot(directory: string, index: number, files: EngineSnapshot["files"]): EngineSnapshot {
  const open = new OpenFiles(directory);
  return {
    index,
    files,
    readableIn: directory,
    read: async (name, offset, length) => {
      if (!files.some((file) => file.name === name)) throw new RangeError(`the snapshot has no file ${name}`);
      return await open.read(name, offset, length);
    },
    [Symbol.asyncDispose]: async () => {
      await open.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/**
 * Brings the files into `staged`: by links where they lie on this disk, synced and verified; else by copies, which are
 * verified here. Throws SNAPSHOT_CORRUPT.
 */
export async function receiveSnapshot(
  snapshot: Pick<EngineSnapshot, "files" | "read" | "directory">,
  staged: string,
): Promise<void> {
  if (!snapshot.files.some((file) => file.name === POINTS_FILE))
    throw new EngineError("SNAPSHOT_CORRUPT", `the snapshot has no ${POINTS_FILE}`);
  for (const { name, bytes, sha256 } of snapshot.files) {
    if (!/^[a-z0-9-]+\.[a-z]+$/.test(name))
      throw new EngineError("SNAPSHOT_CORRUPT", `${JSON.stringify(name)} is no name of a snapshot's file`);
    const file = join(staged, name);
    if (await linked(snapshot.directory, name, file)) continue;
    await copied(snapshot, { name, bytes }, file);
    await syncFile(file);
    const found = await sha256Of(file);
    if (found !== sha256)
      throw new EngineError("SNAPSHOT_CORRUPT", `${name} has the hash ${found}, not ${sha256}`);
  }
}

/** False when it has to be copied: the file is elsewhere, or on a file system that has no links. */
async function linked(directory: string | undefined, name: string, file: string): Promise<boolean> {
  if (directory === undefined) return false;
  try {
    await link(join(directory, name), file);
    return true;
  } catch (thrown) {
    if (["EXDEV", "EPERM", "ENOTSUP", "EMLINK"].includes((thrown as NodeJS.ErrnoException).code ?? ""))
      return false;
    throw thrown;
  }
}

async function copied(
  snapshot: Pick<EngineSnapshot, "read">,
  { name, bytes }: { readonly name: string; readonly bytes: number },
  file: string,
): Promise<void> {
  const handle = await open(file, "wx");
  try {
    for (let at = 0; at < bytes;) {
      const piece = await snapshot.read(name, at, Math.min(PIECE, bytes - at));
      if (piece.length === 0) throw new EngineError("SNAPSHOT_CORRUPT", `${name} ends at ${at} of ${bytes}`);
      await handle.write(piece);
      at += piece.length;
    }
  } finally {
    await handle.close();
  }
}
