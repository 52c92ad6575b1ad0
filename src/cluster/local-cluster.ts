import { ApiError } from "../api/errors.ts";
import { encodeEntry, type CatalogueCommand } from "../catalog/commands.ts";
import type { Catalogue } from "../catalog/catalogue.ts";
import type { Controller } from "../catalog/controller.ts";
import type { CatalogueCollection, CatalogueOutcome } from "../catalog/types.ts";
import { asApiError, fateOf, noLeader, stoppedError } from "./outcomes.ts";
import type { Consensus, Engines } from "./ports.ts";
import { ReadPath } from "./read-path.ts";
import type { Roles } from "./roles.ts";
import { WritePath, type EncodeEntry } from "./write-path.ts";
import type {
  CallOptions,
  Cluster,
  CollectionInfo,
  CollectionPatch,
  NewCollection,
  NodeStatus,
  PayloadSelector,
  PointId,
  ReadOptions,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
  ShardStatus,
  StoredPoint,
  WriteOp,
  WriteOptions,
  WriteReceipt,
} from "./types.ts";

export interface LocalClusterOptions {
  readonly nodeId: number;
  /** Names this run of the process in proposals to the catalogue. */
  readonly run: string;
  /** `limits.entry_bytes` */
  readonly entryBytes: number;
  /** `limits.collections` */
  readonly collectionsMax: number;
  /** `limits.metadata_bytes` */
  readonly metadataBytesMax: number;
  /** `queue.write_bytes` */
  readonly writeBytesMax: number;
  /** Bounds waits whose request has no end of its own. */
  readonly timeoutMs: number;
}

export interface LocalClusterParts {
  readonly catalogue: Catalogue;
  readonly controller: Controller;
  readonly consensus: Consensus;
  readonly engines: Engines;
  readonly roles: Roles;
  readonly encode: EncodeEntry;
  readonly node: () => NodeStatus;
}

const CATALOGUE = { shard: 0, group: 0 };

/** The cluster as one node sees it: its own copy of the catalogue, and the shards it holds. */
export class LocalCluster implements Cluster {
  readonly #options: LocalClusterOptions;
  readonly #parts: LocalClusterParts;
  readonly #writes: WritePath;
  readonly #reads: ReadPath;
  #commands = 0;

  constructor(options: LocalClusterOptions, parts: LocalClusterParts) {
    this.#options = options;
    this.#parts = parts;
    const { entryBytes, writeBytesMax: bytesMax, timeoutMs } = options;
    this.#writes = new WritePath({ entryBytes, bytesMax, timeoutMs }, parts);
    this.#reads = new ReadPath({ timeoutMs }, { ...parts, checkOpen: (place) => this.#checkOpen(place) });
  }

  /** For metrics: bytes of writes that have no outcome yet. */
  get writeBytesInFlight(): number {
    return this.#writes.bytesInFlight;
  }

  collections(): readonly CollectionInfo[] {
    return this.#parts.catalogue.collections();
  }
  collection(name: string): CollectionInfo | null {
    return this.#parts.catalogue.collection(name);
  }

  async createCollection(collection: NewCollection, options: CallOptions): Promise<CollectionInfo> {
    const made = await this.#command(
      {
        kind: "createCollection",
        collection,
        placement: Array.from({ length: collection.shardNumber }, () => [this.#options.nodeId]),
        collectionsMax: this.#options.collectionsMax,
      },
      options,
    );
    const groups = made.shards.map(({ group }) => group);
    try {
      await within(this.#parts.controller.opened(groups), options.signal);
    } catch (cause) {
      if (options.signal.aborted) {
        throw new ApiError(
          "OUTCOME_UNKNOWN",
          `Timeout error: collection \`${made.name}\` was created, but its shards are not open yet`,
          { unknown: [] },
          { cause },
        );
      }
      throw new ApiError(
        "SHARD_FAILED",
        `Service internal error: collection \`${made.name}\` was created, but a shard does not open: ${reasonOf(cause)}`,
        {},
        { cause },
      );
    }
    return made;
  }

  async updateCollection(
    name: string,
    patch: CollectionPatch,
    options: CallOptions,
  ): Promise<CollectionInfo> {
    return await this.#command(
      { kind: "updateCollection", name, patch, metadataBytesMax: this.#options.metadataBytesMax },
      options,
    );
  }

  async deleteCollection(name: string, options: CallOptions): Promise<boolean> {
    let gone: CatalogueCollection;
    try {
      gone = await this.#command({ kind: "deleteCollection", name }, options);
    } catch (error) {
      if (error instanceof ApiError && error.code === "COLLECTION_NOT_FOUND") return false;
      throw error;
    }
    const groups = gone.shards.map(({ group }) => group);
    await within(this.#parts.controller.closed(groups), options.signal);
    for (const group of groups) this.#reads.forget(group);
    return true;
  }

  async write(name: string, operations: readonly WriteOp[], options: WriteOptions): Promise<WriteReceipt> {
    const collection = this.#collection(name);
    try {
      const receipt = await this.#writes.write(collection, operations, options);
      if (options.wait) {
        for (const { shard, index } of receipt.indexes) {
          this.#reads.sawApplied(collection.shards[shard]?.group ?? -1, index);
        }
      }
      return receipt;
    } catch (error) {
      throw this.#ifGone(collection, error);
    }
  }

  async search(
    name: string,
    queries: readonly SearchQuery[],
    options: ReadOptions,
  ): Promise<readonly (readonly ScoredPoint[])[]> {
    return await this.#read(name, (collection) => this.#reads.search(collection, queries, options));
  }
  async retrieve(
    name: string,
    ids: readonly PointId[],
    shape: { readonly withPayload: PayloadSelector; readonly withVector: boolean },
    options: ReadOptions,
  ): Promise<readonly StoredPoint[]> {
    return await this.#read(name, (collection) => this.#reads.retrieve(collection, ids, shape, options));
  }
  async scroll(
    name: string,
    page: {
      readonly from: PointId | null;
      readonly limit: number;
      readonly withPayload: PayloadSelector;
      readonly withVector: boolean;
    },
    options: ReadOptions,
  ): Promise<ScrollPage> {
    return await this.#read(name, (collection) => this.#reads.scroll(collection, page, options));
  }
  async count(name: string, options: ReadOptions): Promise<number> {
    return await this.#read(name, (collection) => this.#reads.count(collection, options));
  }

  async shards(name: string, options: CallOptions): Promise<readonly ShardStatus[]> {
    const { shards } = this.#collection(name);
    return await Promise.all(shards.map((place) => this.#shard(place, options.signal)));
  }

  node(): NodeStatus {
    return this.#parts.node();
  }

  async #shard(
    { shard, group }: { readonly shard: number; readonly group: number },
    signal: AbortSignal,
  ): Promise<ShardStatus> {
    const { consensus, engines, controller, roles } = this.#parts;
    const open = controller.isOpen(group);
    const [status, engine] = await Promise.all([
      consensus.status(group),
      open ? engines.stats(group, signal) : null,
    ]);
    const role = status?.role ?? "follower";
    return {
      shard,
      group,
      node: this.#options.nodeId,
      role: status?.learner === true ? "learner" : role === "preCandidate" ? "candidate" : role,
      leader: status?.leader ?? null,
      term: status?.term ?? 0,
      commit: status?.commit ?? 0,
      applied: status?.applied ?? 0,
      firstIndex: status?.firstIndex ?? 0,
      logBytes: status?.logBytes ?? 0,
      engine,
      error:
        engine?.failure ??
        status?.failure ??
        roles.of(group).stopped?.why ??
        controller.error(group)?.message ??
        null,
    };
  }

  #collection(name: string): CatalogueCollection {
    const found = this.#parts.catalogue.collection(name);
    if (found !== null) return found;
    throw new ApiError("COLLECTION_NOT_FOUND", `Not found: Collection \`${name}\` doesn't exist!`);
  }

  async #read<T>(name: string, ask: (collection: CatalogueCollection) => Promise<T>): Promise<T> {
    const collection = this.#collection(name);
    try {
      return await ask(collection);
    } catch (error) {
      throw this.#ifGone(collection, error);
    }
  }

  /** A shard that is being closed fails in many ways; when its collection was deleted meanwhile, that is why. */
  #ifGone(collection: CatalogueCollection, error: unknown): unknown {
    const closed = error instanceof ApiError && (error.code === "NOT_READY" || error.code === "NO_LEADER");
    if (!closed || this.#parts.catalogue.collection(collection.name)?.id === collection.id) return error;
    return new ApiError(
      "COLLECTION_NOT_FOUND",
      `Not found: Collection \`${collection.name}\` doesn't exist!`,
      {},
      { cause: error },
    );
  }

  #checkOpen(place: { readonly shard: number; readonly group: number }): void {
    const { controller, roles } = this.#parts;
    if (controller.isOpen(place.group)) return;
    const error = controller.error(place.group);
    if (error !== null) {
      throw new ApiError("SHARD_FAILED", `shard ${place.shard} failed to open: ${error.message}`, {
        shard: place.shard,
      });
    }
    throw stoppedError(place, roles, "it is opening");
  }

  async #command(command: CatalogueCommand, options: CallOptions): Promise<CatalogueCollection> {
    return madeOf(await this.command(command, options));
  }

  /** Puts a command into the catalogue's log; repeated under its own name, so that it is carried out once. */
  async command(command: CatalogueCommand, { signal }: CallOptions): Promise<CatalogueOutcome> {
    signal.throwIfAborted();
    const { consensus, roles } = this.#parts;
    const data = encodeEntry({ origin: this.#options.run, sequence: ++this.#commands, command });
    for (;;) {
      await roles.leading(CATALOGUE.group, signal);
      const { timeoutMs } = this.#options;
      const outcome = await consensus
        .propose(CATALOGUE.group, data.slice(), { wait: "applied", timeoutMs, signal })
        .catch((error: unknown) => {
          throw asApiError(error);
        });
      const fate = fateOf(outcome, CATALOGUE, roles);
      if (fate.kind === "again") {
        if (roles.leads(CATALOGUE.group)) throw noLeader(CATALOGUE);
        continue;
      }
      if (fate.kind === "failed") {
        throw fate.error.code === "DEADLINE_EXCEEDED" && signal.aborted ? signal.reason : fate.error;
      }
      return outcome.kind === "applied" ? (outcome.result as CatalogueOutcome) : { kind: "nothing" };
    }
  }
}

function madeOf(outcome: CatalogueOutcome): CatalogueCollection {
  switch (outcome.kind) {
    case "created":
    case "updated":
    case "deleted":
      return outcome.collection;
    case "rejected":
      throw rejected(outcome);
    case "node":
    case "done":
    case "nothing":
      throw new TypeError("a command to the catalogue was applied without a result");
  }
}

function rejected({ code, message }: CatalogueOutcome & { readonly kind: "rejected" }): ApiError {
  switch (code) {
    case "COLLECTION_EXISTS":
      return new ApiError(code, `Wrong input: ${message}`);
    case "COLLECTION_NOT_FOUND":
      return new ApiError(code, message);
    case "LIMIT_EXCEEDED":
      return new ApiError("INVALID", `Wrong input: ${message}`);
    case "BAD_ENTRY":
      return new ApiError("INTERNAL", message);
    case "ALIAS_NOT_FOUND":
      return new ApiError("COLLECTION_NOT_FOUND", message);
    case "NAME_TAKEN":
    case "NODE_ID_EXISTS":
    case "NODE_IN_USE":
    case "LAST_NODE":
    case "REPLICA_EXISTS":
    case "LAST_REPLICA":
      return new ApiError("CONFLICT", `Conflict: ${message}`);
    case "NODE_NOT_FOUND":
    case "SHARD_NOT_FOUND":
    case "REPLICA_NOT_FOUND":
      return new ApiError("INVALID", `Wrong input: ${message}`);
  }
}

/** Waits no longer than the signal allows; what is waited for goes on. */
async function within<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    stop = () => signal.removeEventListener("abort", onAbort);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    stop();
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
