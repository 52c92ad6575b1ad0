import { LogIndex, Term, NOBODY } from "../../../../shards/raft/types.ts";
import type { ConfState, Entry, HardState, SnapshotMeta } from "../../../../shards/raft/types.ts";
import type { LogView } from "../../../../shards/raft/log-view.ts";
import type { Persist } from "../../../../shards/raft/ready.ts";

const NO_CONF: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** A log in memory that keeps the contract of {@link LogView}: what was written is there, nothing else is. */
export class MemoryLog implements LogView {
  #boundary: SnapshotMeta;
  #entries: Entry[] = [];
  #hardState: HardState = { term: Term(0), vote: NOBODY, commit: LogIndex(0) };
  /** What to send to a member that is too far behind; the state machine's newest state. */
  newestSnapshot: () => SnapshotMeta | "temporarilyUnavailable";

  constructor(boundary?: Partial<SnapshotMeta>) {
    this.#boundary = { index: LogIndex(0), term: Term(0), conf: NO_CONF, ...boundary };
    this.newestSnapshot = () => this.#boundary;
  }

  initialState() {
    return { hardState: this.#hardState, conf: this.#boundary.conf };
  }
  firstIndex(): LogIndex {
    return LogIndex(this.#boundary.index + 1);
  }
  lastIndex(): LogIndex {
    return LogIndex(this.#boundary.index + this.#entries.length);
  }
  term(index: LogIndex): Term | "compacted" | "unavailable" {
    if (index === this.#boundary.index) return this.#boundary.term;
    if (index < this.#boundary.index) return "compacted";
    return this.#entries[index - this.#boundary.index - 1]?.term ?? "unavailable";
  }
  entries(low: LogIndex, high: LogIndex, maxBytes: number): readonly Entry[] | "compacted" | "unavailable" {
    if (low <= this.#boundary.index) return "compacted";
    if (high > this.lastIndex() + 1) return "unavailable";
    const found = this.#entries.slice(low - this.#boundary.index - 1, high - this.#boundary.index - 1);
    let bytes = 0;
    const cut = found.findIndex((entry, at) => (bytes += entry.data.length) > maxBytes && at > 0);
    return cut < 0 ? found : found.slice(0, cut);
  }
  membershipEntries(low: LogIndex, high: LogIndex): readonly Entry[] {
    return this.#entries.filter(({ kind, index }) => kind !== "normal" && index >= low && index < high);
  }
  snapshot(): SnapshotMeta | "temporarilyUnavailable" {
    return this.newestSnapshot();
  }

  hardState(): HardState {
    return this.#hardState;
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  write(persist: Pick<Persist, "snapshot" | "entries" | "hardState">): void {
    if (persist.snapshot !== null) {
      this.#boundary = persist.snapshot;
      this.#entries = [];
    }
    const first = persist.entries[0];
    if (first !== undefined) {
      const keep = first.index - this.#boundary.index - 1;
      if (keep < 0 || keep > this.#entries.length)
        throw new Error(`entry ${first.index} leaves a gap behind ${this.lastIndex()}`);
      this.#entries.length = keep;
      for (const entry of persist.entries) this.#entries.push(entry);
    }
    if (persist.hardState !== null) this.#hardState = persist.hardState;
  }

  /** Forgets entries up to `index`; the configuration there is what a restart begins with. */
  compact(index: LogIndex, conf: ConfState): void {
    const term = this.term(index);
    if (typeof term !== "number") throw new Error(`entry ${index} is ${term}`);
    this.#entries = this.#entries.slice(index - this.#boundary.index);
    this.#boundary = { index, term, conf };
  }

  all(): readonly Entry[] {
    return this.#entries;
  }
}
