import { LogError } from "../ports.ts";
import type {
  Entry,
  GroupId,
  GroupLog,
  GroupWrite,
  HardState,
  LogStore,
  SnapshotMeta,
  Term,
} from "../ports.ts";
import type { LogIndex } from "../raft/types.ts";
import { LogOutline } from "./outline.ts";
import { hardStateAfter } from "./record.ts";

/** A log that lives as long as the object: the SQLite log's twin for tests, benches and simulation. */
export class MemoryLog implements LogStore {
  readonly #groups = new Map<GroupId, MemoryGroupLog>();
  #broken: unknown = null;

  groups(): readonly GroupId[] {
    return [...this.#groups.keys()].sort((a, b) => a - b);
  }

  async create(group: GroupId, first: SnapshotMeta): Promise<void> {
    this.#check();
    if (this.#groups.has(group))
      throw new LogError("LOG_EXISTS", `group ${group} has a log already`, { group });
    this.#groups.set(group, new MemoryGroupLog(group, first));
  }

  open(group: GroupId): GroupLog {
    this.#check();
    return this.#log(group);
  }

  async write(batch: readonly GroupWrite[]): Promise<void> {
    this.#check();
    try {
      for (const write of batch) this.#log(write.group).take(write);
    } catch (error) {
      this.#broken = error;
      throw error;
    }
  }

  async destroy(group: GroupId): Promise<void> {
    this.#check();
    this.#groups.delete(group);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#broken ??= new LogError("LOG_MISSING", "the log was closed");
  }

  #log(group: GroupId): MemoryGroupLog {
    const log = this.#groups.get(group);
    if (log === undefined) throw new LogError("LOG_MISSING", `group ${group} has no log here`, { group });
    return log;
  }

  #check(): void {
    if (this.#broken !== null)
      throw new LogError("LOG_POISONED", "the log failed before or was closed", {}, { cause: this.#broken });
  }
}

class MemoryGroupLog implements GroupLog {
  readonly group: GroupId;
  readonly #outline: LogOutline;
  #entries: Entry[] = [];

  constructor(group: GroupId, first: SnapshotMeta) {
    this.group = group;
    this.#outline = new LogOutline(hardStateAfter(first), first);
  }

  take(write: GroupWrite): void {
    const before = this.#outline.boundary.index;
    this.#outline.take(write);
    if (write.snapshot !== undefined) this.#entries = [];
    else if (write.entries?.[0] !== undefined) this.#entries.length = write.entries[0].index - 1 - before;
    for (const entry of write.entries ?? []) this.#entries.push(entry);
    const start = write.snapshot?.index ?? before;
    if (this.#outline.boundary.index > start)
      this.#entries = this.#entries.slice(this.#outline.boundary.index - start);
  }

  hardState(): HardState {
    return this.#outline.hardState;
  }
  boundary(): SnapshotMeta {
    return this.#outline.boundary;
  }
  firstIndex(): LogIndex {
    return this.#outline.first;
  }
  lastIndex(): LogIndex {
    return this.#outline.last;
  }
  term(index: LogIndex): Term | "compacted" | "unavailable" {
    return this.#outline.term(index);
  }
  bytes(): number {
    return this.#outline.bytes;
  }
  cutKeeping(keepBytes: number): LogIndex {
    return this.#outline.cutKeeping(keepBytes);
  }

  entries(low: LogIndex, high: LogIndex, maxBytes: number): readonly Entry[] | "compacted" | "unavailable" {
    if (low < this.#outline.first) return "compacted";
    if (high > this.#outline.last + 1) return "unavailable";
    const found: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#slice(low, high)) {
      bytes += entry.data.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(entry);
    }
    return found;
  }

  membershipEntries(low: LogIndex, high: LogIndex): readonly Entry[] {
    return this.#slice(low, high).filter((entry) => entry.kind !== "normal");
  }

  #slice(low: LogIndex, high: LogIndex): Entry[] {
    const first = this.#outline.first;
    return this.#entries.slice(Math.max(0, low - first), Math.max(0, high - first));
  }
}
