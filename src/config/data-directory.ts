import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { lockDirectory, type DirectoryLock } from "./directory-lock.ts";
import { replaceFileDurably } from "./files.ts";
import { ConfigError } from "./load.ts";

/** Layout of the directory: raised when an older program could no longer read what a newer one wrote. */
const FORMAT = 1;
/** What a data directory holds; anything else in it means that it is somebody else's directory. */
const OURS =
  /^(lock(\..*)?|node\.json(\.tmp)?|raft\.db.*|catalogue\.json(\.tmp)?|shards|incoming|lost\+found)$/;

/** Who this node is, written once: when it founds a cluster or is let into one. */
export interface NodeIdentity {
  readonly nodeId: number;
  readonly clusterId: string;
  /** It made the cluster: its log of the catalogue begins with itself as the only voter. */
  readonly founder: boolean;
}

/** A node's directory, held exclusively until disposed. */
export class DataDirectory implements Disposable {
  readonly path: string;
  /** Drawn when the directory was made: tells this node from what it was before its data was wiped. */
  readonly incarnation: string;
  #identity: NodeIdentity | null;
  readonly #lock: DirectoryLock;

  private constructor(path: string, { incarnation, identity }: Written, lock: DirectoryLock) {
    this.path = path;
    this.incarnation = incarnation;
    this.#identity = identity;
    this.#lock = lock;
  }

  /** null until the first start has found a place in a cluster. */
  get identity(): NodeIdentity | null {
    return this.#identity;
  }

  /** Durably, before anything else is done under this name. Throws {@link ConfigError}. */
  assign(identity: NodeIdentity): void {
    write(this.path, { incarnation: this.incarnation, identity });
    this.#identity = identity;
  }

  /**
   * Creates or opens and locks it. Throws {@link ConfigError} when it cannot be written, is held by another process,
   * is not a data directory, or belongs to another node id. `nodeId` null: whatever is written down.
   */
  static open(directory: string, nodeId: number | null): DataDirectory {
    const path = prepare(directory);
    const lock = lockDirectory(path);
    try {
      return new DataDirectory(path, identify(path, nodeId), lock);
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** A node was started in it, or what is left of one is there. */
  static exists(directory: string): boolean {
    return ["node.json", "raft.db"].some((name) => existsSync(join(directory, name)));
  }

  get raftFile(): string {
    return join(this.path, "raft.db");
  }
  get catalogueFile(): string {
    return join(this.path, "catalogue.json");
  }
  /** Snapshots on their way in. */
  get incomingPath(): string {
    return join(this.path, "incoming");
  }
  get shardsPath(): string {
    return join(this.path, "shards");
  }
  shardPath(group: number): string {
    return join(this.shardsPath, String(group));
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

function prepare(directory: string): string {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = realpathSync(directory);
    const foreign = readdirSync(path).find((name) => !OURS.test(name));
    if (foreign === undefined) {
      mkdirSync(join(path, "shards"), { recursive: true, mode: 0o700 });
      return path;
    }
    throw new ConfigError(
      `${path} is not a data directory of Flotilla: it holds ${JSON.stringify(foreign)}; choose an empty or new directory`,
    );
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(`the data directory ${directory} cannot be used: ${reasonOf(cause)}`, { cause });
  }
}

interface Written {
  readonly incarnation: string;
  readonly identity: NodeIdentity | null;
}

function identify(path: string, wanted: number | null): Written {
  const file = nodeFile(path);
  if (!existsSync(file)) {
    if (existsSync(join(path, "raft.db"))) {
      throw new ConfigError(
        `${file} is missing although raft.db exists: restore it, or start in an empty directory`,
      );
    }
    const fresh = { incarnation: randomUUID(), identity: null };
    write(path, fresh);
    return fresh;
  }
  const written = readNode(file);
  const { identity } = written;
  if (wanted !== null && identity !== null && wanted !== identity.nodeId) {
    throw new ConfigError(
      `${path} belongs to node ${identity.nodeId}, but --node-id says ${wanted}: node ids are never reused; ` +
        "leave --node-id out or use another directory",
    );
  }
  return written;
}

function nodeFile(path: string): string {
  return join(path, "node.json");
}

function write(path: string, { incarnation, identity }: Written): void {
  try {
    replaceFileDurably(
      nodeFile(path),
      `${JSON.stringify({ format: FORMAT, incarnation, ...identity }, null, 2)}\n`,
    );
  } catch (cause) {
    throw new ConfigError(`the data directory ${path} cannot be written: ${reasonOf(cause)}`, { cause });
  }
}

function readNode(file: string): Written {
  let read: unknown;
  try {
    read = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new ConfigError(`${file} is corrupt: ${reasonOf(cause)}`, { cause });
  }
  const { format, nodeId, clusterId, incarnation, founder } = (read ?? {}) as Record<string, unknown>;
  if (typeof format === "number" && format > FORMAT) {
    throw new ConfigError(
      `${file} has format ${format}, written by a newer Flotilla; this one reads up to ${FORMAT}`,
    );
  }
  if (format === FORMAT && typeof incarnation === "string") {
    if (nodeId === undefined && clusterId === undefined) return { incarnation, identity: null };
    if (Number.isSafeInteger(nodeId) && typeof clusterId === "string" && typeof founder === "boolean") {
      return { incarnation, identity: { nodeId: nodeId as number, clusterId, founder } };
    }
  }
  throw new ConfigError(
    `${file} is corrupt: it must hold format ${FORMAT}, an incarnation and, once known, nodeId, clusterId and founder`,
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
