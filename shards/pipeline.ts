import type { Applier } from "./applier.ts";
import type {
  CapturedSnapshot,
  Entry,
  GroupId,
  GroupWrite,
  HardState,
  LogIndex,
  Message,
  SnapshotMeta,
} from "./ports.ts";
import type { Persist, PersistReceipt } from "./raft/ready.ts";

/** One Ready's part that waits for the disk. */
export interface WriteItem {
  readonly group: GroupId;
  /** null: only its place in the order counts. */
  readonly write: GroupWrite | null;
  readonly receipt: PersistReceipt | null;
  /** The commit index when it moved. */
  readonly commit: LogIndex | null;
  readonly thenSend: readonly Message[];
  readonly thenApply: readonly Entry[];
  /** The state machine takes this over before the log does; null once it has, or when there is none. */
  restore: { readonly meta: SnapshotMeta; readonly snapshot: CapturedSnapshot; begun: boolean } | null;
}

/**
 * What one group wants written, in the order of its Readys; a snapshot holds up what comes after it.
 *
 * A commit index that moved is no promise to anybody, and costs no fsync of its own: it rides on the next write, or
 * is written after a while. After a crash the state machine may thus be ahead of the commit index on disk; a group
 * opens with the lower of the two and the state machine skips what it has (adr/0003; raft.md, never 15).
 */
export class Pipeline {
  readonly #group: GroupId;
  readonly #carryTicks: number;
  #items: WriteItem[] = [];
  #writing = 0;
  /** The last one handed out. */
  #hardState: HardState;
  /** Not on its way to the disk yet; differs from what is there in its commit index. */
  #carried: { readonly hardState: HardState; readonly sinceTick: number } | null = null;

  constructor(group: GroupId, hardState: HardState, carryTicks: number) {
    this.#group = group;
    this.#hardState = hardState;
    this.#carryTicks = carryTicks;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** Nothing is to be written, now or in a while. */
  get isIdle(): boolean {
    return this.#items.length === 0 && this.#writing === 0 && this.#carried === null;
  }

  /** True while a snapshot is on its way into the state machine. */
  get isRestoring(): boolean {
    return this.#items.some((item) => item.restore !== null);
  }

  push(item: WriteItem, tick: number): void {
    const { write } = item;
    const before = this.#hardState;
    if (write?.hardState !== undefined) this.#hardState = write.hardState;
    const onlyCommits =
      write?.hardState !== undefined &&
      write.entries === undefined &&
      write.snapshot === undefined &&
      write.hardState.term === before.term &&
      write.hardState.vote === before.vote;
    if (onlyCommits) {
      this.#carried = { hardState: this.#hardState, sinceTick: this.#carried?.sinceTick ?? tick };
      this.#items.push({ ...item, write: null });
    } else if (write !== null && this.#carried !== null) {
      this.#carried = null;
      this.#items.push({ ...item, write: { ...write, hardState: this.#hardState } });
    } else this.#items.push(item);
  }

  /** Writes what was carried along for too long. True when there is something to write. */
  tick(tick: number): boolean {
    if (this.#carried === null || tick - this.#carried.sinceTick < this.#carryTicks) return false;
    this.#carried = null;
    this.#items.push({
      group: this.#group,
      write: { group: this.#group, hardState: this.#hardState },
      receipt: null,
      commit: null,
      thenSend: [],
      thenApply: [],
      restore: null,
    });
    return true;
  }

  /**
   * What is still carried along when the group closes. Nothing while entries or a snapshot wait before it: those are not
   * written any more, and the commit index may lie within them.
   */
  get unwritten(): GroupWrite | null {
    if (this.#carried === null || this.#items.some(({ write }) => write !== null)) return null;
    return { group: this.#group, hardState: this.#carried.hardState };
  }

  /**
   * What the next transaction is to carry. A snapshot is restored when everything before it is written and handed to
   * the state machine, and its boundary is written after that: a crash in between leaves a state machine ahead of an
   * intact log, which skips what it has. The other way round would leave a hole that nothing fills.
   */
  take(applier: Applier): readonly WriteItem[] {
    const blocked = this.#items.findIndex((item) => item.restore !== null);
    const taken = blocked < 0 ? this.#items : this.#items.slice(0, blocked);
    this.#items = blocked < 0 ? [] : this.#items.slice(blocked);
    this.#writing += taken.length;
    const restore = this.#items[0]?.restore ?? null;
    if (restore !== null && !restore.begun && this.#writing === 0) {
      restore.begun = true;
      applier.restore(restore.meta, restore.snapshot);
    }
    return taken;
  }

  /** One of the taken ones is on disk. */
  finished(): void {
    this.#writing--;
  }

  restored(meta: SnapshotMeta): void {
    for (const item of this.#items) if (item.restore?.meta === meta) item.restore = null;
  }

  /** Forgets everything; answers the snapshots that nobody will dispose of now. */
  clear(): readonly CapturedSnapshot[] {
    const left = this.#items.flatMap(({ restore }) => (restore?.begun === false ? [restore.snapshot] : []));
    this.#items = [];
    return left;
  }
}

/** null when there is nothing to write. */
export function writeOf(group: GroupId, persist: Persist | null): GroupWrite | null {
  if (persist === null) return null;
  const { snapshot, entries, hardState } = persist;
  if (snapshot === null && entries.length === 0 && hardState === null) return null;
  return {
    group,
    ...(snapshot !== null && { snapshot }),
    ...(entries.length > 0 && { entries }),
    ...(hardState !== null && { hardState }),
  };
}
