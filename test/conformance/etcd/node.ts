/** One node as etcd's harness drives it: its log, its appending state machine, its queues of storage work. */
import { LogIndex, NodeId } from "../../../shards/raft/types.ts";
import { decodeConfChange } from "../../../shards/raft/conf-change.ts";
import { MemoryLog } from "../../shards/raft/support/memory-log.ts";
import { RaftCore } from "../../../shards/raft/core.ts";
import type { ConfState, Entry, HardState, SnapshotMeta } from "../../../shards/raft/types.ts";
import type { CoreOptions } from "../../../shards/raft/options.ts";
import type { Persist, PersistReceipt } from "../../../shards/raft/ready.ts";
import type { Role } from "../../../shards/raft/events.ts";
import type { Wire } from "./describe.ts";

/** Something on its way: how it looks, and what delivering it does. */
export interface Parcel {
  readonly wire: Wire;
  readonly deliver: (to: EtcdNode) => string | null;
}

export interface StorageWork {
  readonly wire: Wire;
  readonly responses: readonly Parcel[];
  readonly carryOut: () => void;
}

export type NodeOptions = Omit<CoreOptions, "id" | "random">;

export class EtcdNode {
  readonly id: number;
  core: RaftCore;
  readonly log: MemoryLog;
  readonly isAsync: boolean;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  appendWork: StorageWork[] = [];
  applyWork: StorageWork[] = [];
  /** The next number the node's dice show; ours always show the highest otherwise. */
  nextRoll: number | null = null;
  told: { leader: number; role: Role; hardState: HardState };
  #newest: SnapshotMeta;
  readonly #options: NodeOptions;

  constructor(id: number, boundary: SnapshotMeta | null, options: NodeOptions) {
    this.id = id;
    this.log = new MemoryLog(boundary ?? {});
    this.#newest = this.log.newestSnapshot() as SnapshotMeta;
    this.log.newestSnapshot = () => this.#newest;
    this.isAsync = options.storage === "async";
    this.electionTicks = options.electionTicks;
    this.heartbeatTicks = options.heartbeatTicks;
    this.#options = options;
    this.core = this.#start(options);
    this.told = this.#told();
  }

  /** Whatever was not written is gone; the state machine comes back with what it had applied. */
  restart(): void {
    this.appendWork = [];
    this.applyWork = [];
    this.core = this.#start({ ...this.#options, applied: this.#newest.index });
    this.told = this.#told();
  }

  #start(options: NodeOptions): RaftCore {
    const random = (bound: number): number => {
      const roll = this.nextRoll ?? bound - 1;
      this.nextRoll = null;
      return Math.min(roll, bound - 1);
    };
    return new RaftCore({ ...options, id: NodeId(this.id), random }, this.log);
  }

  #told(): EtcdNode["told"] {
    const { leader, role } = this.core.status();
    return { leader, role, hardState: this.log.hardState() };
  }

  get newestSnapshot(): SnapshotMeta {
    return this.#newest;
  }

  write(persist: Pick<Persist, "snapshot" | "entries" | "hardState">): void {
    this.log.write(persist);
    if (persist.snapshot !== null) this.#newest = persist.snapshot;
  }

  /** The harness takes a snapshot after every entry, so the newest one is always at the applied index. */
  apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const change = decodeConfChange(entry);
      const conf: ConfState =
        change === null ? this.#newest.conf : this.core.applyConfChange(change, entry.index);
      this.#newest = { index: entry.index, term: entry.term, conf };
    }
  }

  /** Etcd delivers a node's answers to itself one by one; each is a receipt of its own here. */
  receiptFor(receipt: PersistReceipt, own: number | null): () => null {
    const part: PersistReceipt =
      own === null
        ? { ...receipt, ownAnswers: [] }
        : {
            ...receipt,
            lastIndex: LogIndex(0),
            snapshotIndex: LogIndex(0),
            ownAnswers: receipt.ownAnswers.slice(own, own + 1),
          };
    return () => {
      this.core.persisted(part);
      return null;
    };
  }
}
