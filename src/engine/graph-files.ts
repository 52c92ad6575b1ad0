/** Saved graphs: a file named by its manifest, and every reason to doubt one. A graph is a cache: doubt costs time. */
import { open, readFile, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { EngineError, errorOf } from "./errors.ts";
import { replaceFile, sha256Of, syncFile } from "./files.ts";
import { HnswGraph } from "./hnsw.ts";
import type { VectorSpec } from "./types.ts";

const FORMAT = 1;
const MANIFEST = "graph.json";

/** What stands beside a saved graph, since its file says none of it. */
export interface GraphManifest {
  readonly format: number;
  readonly file: string;
  readonly spec: VectorSpec;
  /** Points in the graph, tombstones among them. */
  readonly count: number;
  /** Labels of the tombstones. */
  readonly deleted: readonly number[];
  readonly bytes: number;
  readonly sha256: string;
  /** The applied index when it was written; points written later are found by comparing labels. */
  readonly appliedIndex: number;
}

export type LoadedGraph =
  | { readonly kind: "loaded"; readonly graph: HnswGraph; readonly manifest: GraphManifest }
  | { readonly kind: "none" }
  | { readonly kind: "doubtful"; readonly why: string };

/**
 * Writes the graph so that a crash at any moment leaves the old one or the new one. Throws; the old one stays.
 * `written` is called when the graph may change again, before the file is verified.
 */
export async function saveGraph(
  graph: HnswGraph,
  to: { readonly directory: string; readonly appliedIndex: number; readonly sequence: number },
  written: () => void,
): Promise<GraphManifest> {
  const file = `graph-${to.appliedIndex}-${to.sequence}.hnsw`;
  const temporary = join(to.directory, `${file}.tmp`);
  const about = { count: graph.count, deleted: graph.deletedLabels() };
  try {
    await graph.write(temporary).finally(written);
    const bytes = await checkStructure(temporary, graph.spec, about.count);
    const sha256 = await sha256Of(temporary);
    await syncFile(temporary);
    await rename(temporary, join(to.directory, file));
    const { appliedIndex } = to;
    const manifest = { format: FORMAT, file, spec: graph.spec, ...about, bytes, sha256, appliedIndex };
    await replaceFile(join(to.directory, MANIFEST), JSON.stringify(manifest));
    await removeGraphs(to.directory, file);
    return manifest;
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
}

/** `isVerified`: the file was compared with the hash of its manifest a moment ago. */
export async function loadGraph(
  directory: string,
  spec: VectorSpec,
  isVerified = false,
): Promise<LoadedGraph> {
  let text: string;
  try {
    text = await readFile(join(directory, MANIFEST), "utf8");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return { kind: "none" };
    return { kind: "doubtful", why: `${MANIFEST} cannot be read: ${errorOf(thrown).message}` };
  }
  try {
    const manifest = parseManifest(text, spec);
    const file = join(directory, manifest.file);
    const bytes = await checkStructure(file, spec, manifest.count);
    if (bytes !== manifest.bytes)
      throw new Error(`${manifest.file} has ${bytes} bytes, not ${manifest.bytes}`);
    const sha256 = isVerified ? manifest.sha256 : await sha256Of(file);
    if (sha256 !== manifest.sha256)
      throw new Error(`${manifest.file} has the hash ${sha256}, not ${manifest.sha256}`);
    const { count, deleted } = manifest;
    return { kind: "loaded", graph: await HnswGraph.load(spec, { file, count, deleted }), manifest };
  } catch (thrown) {
    return { kind: "doubtful", why: errorOf(thrown).message };
  }
}

/** The manifest of the saved graph, null when there is none to trust at first sight. */
export async function savedGraph(directory: string, spec: VectorSpec): Promise<GraphManifest | null> {
  try {
    return parseManifest(await readFile(join(directory, MANIFEST), "utf8"), spec);
  } catch (thrown) {
    if (thrown instanceof Error) return null;
    throw thrown;
  }
}

/** Removes what interrupted saves left, and saved graphs other than `keep`. */
export async function removeGraphs(directory: string, keep: string | null): Promise<void> {
  for (const name of await readdir(directory))
    if (/^graph-.*\.hnsw(\.tmp)?$/.test(name) && name !== keep)
      await rm(join(directory, name), { force: true });
}

function parseManifest(text: string, spec: VectorSpec): GraphManifest {
  const manifest = JSON.parse(text) as Partial<GraphManifest> | null;
  if (manifest?.format !== FORMAT) throw new Error(`${MANIFEST} has another format than ${FORMAT}`);
  const { file, count, deleted, bytes, sha256, appliedIndex } = manifest;
  if (
    typeof file !== "string" ||
    !/^graph-[0-9]+-[0-9]+\.hnsw$/.test(file) ||
    typeof count !== "number" ||
    typeof bytes !== "number" ||
    typeof sha256 !== "string" ||
    typeof appliedIndex !== "number" ||
    !Array.isArray(deleted)
  )
    throw new Error(`${MANIFEST} is incomplete`);
  const saved = manifest.spec;
  for (const key of ["dimension", "distance", "m", "efConstruct"] as const)
    if (saved?.[key] !== spec[key])
      throw new Error(`${MANIFEST} is of a graph with ${key} ${saved?.[key]}, not ${spec[key]}`);
  return { format: FORMAT, file, spec, count, deleted, bytes, sha256, appliedIndex };
}

const HEADER_BYTES = 96;
const PIECE = 1 << 20;

/**
 * The size of a graph file, after walking it: the library says "written" on a full disk and loads a file of another
 * dimension. Header, one block of equal records, then per point the length of its upper links and these.
 */
export async function checkStructure(file: string, spec: VectorSpec, count: number): Promise<number> {
  const { size } = await stat(file);
  const handle = await open(file, "r");
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    await handle.read(header, 0, HEADER_BYTES, 0);
    const inFile = Number(header.readBigUInt64LE(16));
    const record = Number(header.readBigUInt64LE(24));
    const expected = 4 * (2 * spec.m + 1) + 4 * spec.dimension + 8;
    if (inFile !== count || record !== expected)
      throw doubt(file, `${inFile} records of ${record} bytes, not ${count} of ${expected}`);
    let at = HEADER_BYTES + count * record;
    const piece = Buffer.alloc(PIECE);
    let pieceAt = at;
    let held = 0;
    for (let point = 0; point < count; point++) {
      if (at + 4 > pieceAt + held) {
        pieceAt = at;
        held = (await handle.read(piece, 0, PIECE, at)).bytesRead;
        if (held < 4) throw doubt(file, `it ends within its links, at ${size} bytes`);
      }
      at += 4 + piece.readUInt32LE(at - pieceAt);
    }
    if (at !== size) throw doubt(file, `${size} bytes, not ${at}`);
    return size;
  } finally {
    await handle.close();
  }
}

function doubt(file: string, what: string): EngineError {
  return new EngineError("GRAPH_FAILED", `${file} is not what was to be written: ${what}`);
}
