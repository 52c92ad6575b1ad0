import { LogError } from "../../shards/ports.ts";
import type {
  Entry,
  GroupId,
  GroupLog,
  GroupWrite,
  HardState,
  LogStore,
  NodeId,
  SnapshotMeta,
} from "../../shards/ports.ts";
import type { Term } from "../../shards/raft/types.ts";
import { LogIndex, NOBODY } from "../../shards/raft/types.ts";
import { invariant } from "../../shards/raft/invariant.ts";
import { GroupImage } from "./group-image.ts";
import type { SimProcess } from "./process.ts";

/** What becomes of one transaction. */
export type WriteFate =
  | { readonly kind: "synced"; readonly afterUs: number }
  /** The write fails; `kept`: its bytes reached the platter all the same. */
  | {
      readonly kind: "failed";
      readonly afterUs: number;
      readonly code: "LOG_IO" | "LOG_FULL";
      readonly kept: boolean;
    };

export interface DiskParts {
  readonly node: NodeId;
  /** Asked once per transaction, with its number in the disk's life. */
  readonly fate: (nth: number) => WriteFate;
  /** Called just before a transaction becomes durable. */
  readonly writes: (before: GroupImage, write: GroupWrite) => void;
}

/**
 * A node's disk: it outlives processes. The images are what is synced; a transaction on its way is pending and, as a
 * whole, either reaches them or is lost in a crash.
 */
export class SimDisk {
  readonly node: NodeId;
  readonly images = new Map<GroupId, GroupImage>();
  /** What was lost with a wipe: acknowledgements of it are still on their way, and rightly so. */
  readonly relics = new Map<GroupId, GroupImage>();
  /** The next opening finds damage, and so does every later one. */
  corrupt = false;
  /** As many reads as this fail next. */
  failingReads = 0;
  /** The page of every group's term and vote cannot be read, as often as that is tried. */
  hardStateUnreadable = false;
  readonly #parts: DiskParts;
  #writes = 0;
  #pending: readonly GroupWrite[] | null = null;

  constructor(parts: DiskParts) {
    this.node = parts.node;
    this.#parts = parts;
  }

  /** The store as one process sees it. */
  open(process: SimProcess): LogStore {
    return new SimLogStore(this, process);
  }

  /** The process is gone: what was on its way is lost, unless the platter was faster than the news of it. */
  crash(options: { readonly pendingSurvives: boolean }): void {
    const pending = this.#pending;
    this.#pending = null;
    if (pending !== null && options.pendingSurvives) this.#settle(pending);
  }

  wipe(): void {
    this.#pending = null;
    for (const [group, image] of this.images) this.relics.set(group, image);
    this.images.clear();
    this.corrupt = false;
  }

  begin(batch: readonly GroupWrite[]): WriteFate {
    invariant(this.#pending === null, "at most one transaction is in flight");
    this.#pending = batch;
    return this.#parts.fate(++this.#writes);
  }

  finish(batch: readonly GroupWrite[], reaches: boolean): void {
    this.#pending = null;
    if (reaches) this.#settle(batch);
  }

  #settle(batch: readonly GroupWrite[]): void {
    for (const write of batch) {
      const image = this.images.get(write.group);
      invariant(image !== undefined, () => `group ${write.group} has a log before it is written to`);
      this.#parts.writes(image, write);
      image.apply(write);
    }
  }
}

/** Time to create or destroy a log. */
const FILE_OPERATION_US = 400;

class SimLogStore implements LogStore {
  readonly #disk: SimDisk;
  readonly #process: SimProcess;
  #poisoned = false;
  #closed = false;

  constructor(disk: SimDisk, process: SimProcess) {
    if (disk.corrupt) throw new LogError("LOG_CORRUPT", `node ${disk.node}: a page's checksum is wrong`);
    this.#disk = disk;
    this.#process = process;
  }

  groups(): readonly GroupId[] {
    return [...this.#disk.images.keys()].sort((a, b) => a - b);
  }

  async create(group: GroupId, first: SnapshotMeta): Promise<void> {
    this.#usable();
    if (this.#disk.images.has(group)) throw new LogError("LOG_EXISTS", `group ${group} has a log`, { group });
    await this.#process.sleep(FILE_OPERATION_US);
    const { index: commit, term } = first;
    this.#disk.images.set(group, new GroupImage(group, first, { term, vote: NOBODY, commit }));
  }

  open(group: GroupId): GroupLog {
    this.#usable();
    const image = this.#disk.images.get(group);
    if (image === undefined) throw new LogError("LOG_MISSING", `group ${group} has no log here`, { group });
    return new SimGroupLog(this.#disk, image);
  }

  write(batch: readonly GroupWrite[]): Promise<void> {
    this.#usable();
    const fate = this.#disk.begin(batch);
    return new Promise((resolve, reject) => {
      this.#process.after(fate.afterUs, () => {
        switch (fate.kind) {
          case "synced":
            this.#disk.finish(batch, true);
            resolve();
            return;
          case "failed":
            this.#disk.finish(batch, fate.kept);
            this.#poisoned = true;
            reject(new LogError(fate.code, `node ${this.#disk.node}: the write failed`));
        }
      });
    });
  }

  async destroy(group: GroupId): Promise<void> {
    this.#usable();
    await this.#process.sleep(FILE_OPERATION_US);
    this.#disk.images.delete(group);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.resolve();
  }

  #usable(): void {
    if (this.#closed) throw new LogError("LOG_MISSING", "the store is closed");
    if (this.#poisoned)
      throw new LogError("LOG_POISONED", "an earlier write failed, so nothing may follow it");
  }
}

class SimGroupLog implements GroupLog {
  readonly group: GroupId;
  readonly #disk: SimDisk;
  readonly #image: GroupImage;

  constructor(disk: SimDisk, image: GroupImage) {
    this.group = image.group;
    this.#disk = disk;
    this.#image = image;
  }

  hardState(): HardState {
    if (this.#disk.hardStateUnreadable) throw this.#unreadable();
    this.#readable();
    return this.#image.hardState;
  }

  boundary(): SnapshotMeta {
    return this.#image.boundary;
  }

  firstIndex(): LogIndex {
    return this.#image.firstIndex;
  }

  lastIndex(): LogIndex {
    return this.#image.lastIndex;
  }

  term(index: LogIndex): Term | "compacted" | "unavailable" {
    return this.#image.term(index);
  }

  entries(low: LogIndex, high: LogIndex, maxBytes: number): readonly Entry[] | "compacted" | "unavailable" {
    this.#readable();
    const image = this.#image;
    if (low < image.firstIndex) return "compacted";
    if (high > image.lastIndex + 1) return "unavailable";
    const found: Entry[] = [];
    let bytes = 0;
    for (let index: number = low; index < high; index++) {
      const entry = image.at(index);
      if (entry === undefined) break;
      bytes += entry.data.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  membershipEntries(low: LogIndex, high: LogIndex): readonly Entry[] {
    this.#readable();
    return this.#image.entries.filter(
      (entry) => entry.kind !== "normal" && entry.index >= low && entry.index < high,
    );
  }

  bytes(): number {
    return this.#image.entries.reduce((sum, entry) => sum + entry.data.length, 0);
  }

  cutKeeping(keepBytes: number): LogIndex {
    let kept = 0;
    let index: number = this.#image.lastIndex;
    while (index > this.#image.boundary.index && kept < keepBytes) {
      kept += this.#image.at(index)?.data.length ?? 0;
      index--;
    }
    return LogIndex(index);
  }

  #readable(): void {
    if (this.#disk.failingReads === 0) return;
    this.#disk.failingReads--;
    throw this.#unreadable();
  }

  #unreadable(): LogError {
    return new LogError("LOG_IO", `node ${this.#disk.node}: a sector could not be read`, {
      group: this.group,
    });
  }
}
