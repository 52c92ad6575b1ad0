/** Collecting what is to be done into a {@link Ready}, and taking note of what was done. */
import { noteApplied } from "./replication.ts";
import { sendReadRound } from "./read-index.ts";
import { stepOwn } from "./step.ts";
import { NO_TERM, ZERO } from "./index-math.ts";
import { higher } from "./index-math.ts";
import { invariant, violated } from "./invariant.ts";
import type { CoreState } from "./state.ts";
import type { Entry, HardState, LogIndex, NodeId, SnapshotMeta } from "./types.ts";
import type { Persist, PersistReceipt, Ready } from "./ready.ts";
import type { Role } from "./events.ts";

/** What the driver was told last, so that it is told again only when it changed. */
export class Work {
  readonly #core: CoreState;
  readonly #isSync: boolean;
  #hardState: HardState;
  #leader: NodeId;
  #role: Role;
  /** Synchronous mode: what `advance()` vouches for. */
  #outstanding: Ready | null = null;

  constructor(core: CoreState) {
    this.#core = core;
    this.#isSync = core.settings.storage === "sync";
    this.#hardState = core.hardState();
    this.#leader = core.leader;
    this.#role = core.role;
  }

  /** Something to do: to send, to write, to apply, to answer; or a change of leader or role to be told. */
  hasWork(): boolean {
    const { out, log, reads, role } = this.#core;
    return (
      out.send.length > 0 ||
      out.thenSend.length > 0 ||
      out.own.length > 0 ||
      out.reads.length > 0 ||
      (role === "leader" && reads.hasUnsent) ||
      log.hasNextUnstable() ||
      log.nextSnapshot() !== null ||
      log.hasNextCommitted(this.#isSync) ||
      this.#hardStateChanged() ||
      this.#core.leader !== this.#leader ||
      role !== this.#role
    );
  }

  hasEvents(): boolean {
    return this.#core.out.events.length > 0;
  }

  take(): Ready {
    const core = this.#core;
    const { log, out } = core;
    invariant(this.#outstanding === null, "in synchronous mode advance() comes before the next ready()");
    sendReadRound(core);
    const snapshot = log.nextSnapshot();
    const entries = log.nextUnstable();
    const hardState = this.#hardStateChanged() ? core.hardState() : null;
    const persist = this.#persist(snapshot, entries, hardState);
    const thenApply = log.nextCommitted(this.#isSync);
    const { send, thenSend, reads, events } = out;
    const ready: Ready = {
      send: send.length > 0 ? send : NOTHING,
      persist,
      thenSend: thenSend.length > 0 ? thenSend : NOTHING,
      thenApply,
      reads: reads.length > 0 ? reads : NOTHING,
      events: events.length > 0 ? events : NOTHING,
    };
    out.renew();
    if (hardState !== null) this.#hardState = hardState;
    this.#leader = core.leader;
    this.#role = core.role;
    log.acceptUnstable();
    if (thenApply.length > 0) log.acceptApplying(thenApply, this.#isSync);
    if (this.#isSync) this.#outstanding = ready;
    return ready;
  }

  /** Everything of the last Ready was done, in its order. */
  advance(): void {
    const ready = this.#outstanding;
    invariant(this.#isSync && ready !== null, "advance() follows a ready(), in synchronous mode");
    this.#outstanding = null;
    if (ready.persist !== null) this.persisted(ready.persist.receipt);
    const last = ready.thenApply[ready.thenApply.length - 1];
    if (last !== undefined) this.applied(last.index);
  }

  persisted(receipt: PersistReceipt): void {
    const { log, term } = this.#core;
    for (const message of receipt.ownAnswers) stepOwn(this.#core, message);
    // Written in an earlier term, entries at these indexes may have been replaced and not be written yet. What was
    // handed out since the term changed vouches for all of them.
    if (receipt.lastIndex > 0 && receipt.term === term) log.stableTo(receipt.lastIndex, receipt.lastTerm);
    if (receipt.snapshotIndex > 0) {
      log.snapshotInstalled(receipt.snapshotIndex);
      noteApplied(this.#core, higher(receipt.snapshotIndex, log.applied));
    }
  }

  applied(index: LogIndex): void {
    const handedOut = this.#core.log.window.applying;
    if (index > handedOut) violated(`applied ${index} was handed out before; that went up to ${handedOut}`);
    noteApplied(this.#core, index);
  }

  /** Also without anything to write, when answers of this node's own wait or when unfinished writes are to be vouched for. */
  #persist(
    snapshot: SnapshotMeta | null,
    entries: readonly Entry[],
    hardState: HardState | null,
  ): Persist | null {
    const { log, out, term } = this.#core;
    const vouches = log.hasUnstable();
    const writes = snapshot !== null || entries.length > 0 || hardState !== null;
    if (!writes && out.own.length === 0 && !(vouches && out.thenSend.length > 0)) return null;
    const receipt: PersistReceipt = {
      term,
      lastIndex: vouches ? log.lastIndex() : ZERO,
      lastTerm: vouches ? log.lastTerm() : NO_TERM,
      snapshotIndex: snapshot === null ? ZERO : snapshot.index,
      ownAnswers: out.own.length > 0 ? out.own : NOTHING,
    };
    return { snapshot, entries, hardState, receipt };
  }

  #hardStateChanged(): boolean {
    const core = this.#core;
    const told = this.#hardState;
    return told.commit !== core.log.committed || told.term !== core.term || told.vote !== core.vote;
  }
}

/** An empty list stays in the outbox, so it must not be the one that is handed out. */
const NOTHING: readonly never[] = [];
