/**
 * The consensus core of one group on one node: a function of its inputs. Inputs change its state at once; what follows
 * from them is collected and handed out by {@link RaftCore.ready} when the driver asks. It waits for nothing, reads no
 * clock and rolls no dice of its own.
 *
 *     tick, step, propose, ... ──▶ RaftCore ──ready()──▶ send │ persist ─▶ thenSend, thenApply
 *                                     ▲                            │
 *                                     └──── persisted, applied ────┘
 */
import { applyConfChange, restoreConfiguration } from "./membership.ts";
import { askToRead, type ReadOutcome } from "./read-index.ts";
import { becomeFollower, drawElectionTimeout, setLeader } from "./roles.ts";
import { NO_TERM, before, lower } from "./index-math.ts";
import { CoreState } from "./state.ts";
import { encodeConfChange, type ConfChange } from "./conf-change.ts";
import { Evidence } from "./death-evidence.ts";
import { invariant } from "./invariant.ts";
import { onSnapshotReport, onUnreachable, proposeAsLeader, tickLeader } from "./leader.ts";
import { Outbox } from "./outbox.ts";
import { RaftLog } from "./raft-log.ts";
import { ReadQueue } from "./read-queue.ts";
import { settingsOf, type CoreOptions } from "./options.ts";
import { standForElection } from "./election.ts";
import { startTransfer } from "./transfer.ts";
import { statusOf, type Status } from "./status.ts";
import { stepMessage } from "./step.ts";
import { Tracker } from "./tracker.ts";
import { considerEvidence, tickEvidence } from "./suspicion.ts";
import { followIntoRest, isEverybodyActive, isSettledLeader, resumeAfterRest } from "./rest.ts";
import { Work } from "./work.ts";
import { NOBODY, type ConfState, type LogIndex, type NodeId, type Term } from "./types.ts";
import type { Draft } from "./replication.ts";
import type { LogView } from "./log-view.ts";
import type { Message } from "./message.ts";
import type { PersistReceipt, Ready } from "./ready.ts";

/** `accepted`: in this leader's log, committed or replaced later; `forwarded`: sent to the leader, fate unknown here. */
export type ProposeOutcome =
  | { readonly kind: "accepted"; readonly first: LogIndex; readonly term: Term }
  | { readonly kind: "forwarded"; readonly to: NodeId }
  | { readonly kind: "dropped"; readonly why: string };

/** `refused`: it does not fit the current configuration; nothing of it will happen. */
export type ConfChangeOutcome = ProposeOutcome | { readonly kind: "refused"; readonly why: string };

export class RaftCore {
  readonly #core: CoreState;
  readonly #work: Work;
  /** Names this run of the node in forwarded reads: an answer to an earlier run is no answer. */
  readonly #nonce: number;

  /** Starts from any persisted state; throws InvariantViolation, with the numbers, when that is an impossible one. */
  constructor(options: CoreOptions, view: LogView) {
    const settings = settingsOf(options);
    const log = new RaftLog(view, settings.maxApplyBytes);
    this.#core = new CoreState(settings, {
      log,
      tracker: new Tracker(settings),
      out: new Outbox(settings.id),
      reads: new ReadQueue(),
      evidence: new Evidence(),
    });
    const core = this.#core;
    const { hardState } = view.initialState();
    const boundary = before(log.firstIndex());
    log.resume(hardState.commit, options.applied ?? boundary);
    core.term = hardState.term;
    core.vote = hardState.vote;
    restoreConfiguration(core, view);
    becomeFollower(core, hardState.term, NOBODY);
    if (settings.readMode === "lease" && hardState.term > 0) core.quietTicks = settings.electionTicks;
    this.#nonce = settings.random(2 ** 31);
    this.#work = new Work(core);
  }

  /** Time passes. At most one tick before the messages that came meanwhile are stepped, or a stall looks like silence. */
  tick(): void {
    const core = this.#core;
    if (core.role === "leader") {
      tickLeader(core);
      return;
    }
    core.electionElapsed++;
    if (core.quietTicks > 0) core.quietTicks--;
    for (const token of core.reads.giveUp(core.settings.electionTicks))
      core.out.event({ kind: "readDropped", token, why: "the leader did not answer" });
    if (tickEvidence(core)) return;
    if (core.electionElapsed < core.electionTimeout || !core.isPromotable()) return;
    core.electionElapsed = 0;
    standForElection(core, false);
  }

  /**
   * A message from a peer. What no correct peer would send is an event and changes nothing. Returns why it was dropped,
   * or null.
   */
  step(message: Message): string | null {
    const why = stepMessage(this.#core, message);
    if (why !== null)
      this.#core.out.event({ kind: "messageDropped", from: message.from, type: message.kind, why });
    return why;
  }

  /** Appends all of them, in order, or none. */
  propose(payloads: readonly Uint8Array[]): ProposeOutcome {
    invariant(payloads.length > 0, "a proposal has a payload");
    const outcome = this.#propose(payloads.map(asDraft));
    return outcome.kind === "refused" ? { kind: "dropped", why: outcome.why } : outcome;
  }

  /** One at a time; takes effect on each member when it calls {@link applyConfChange} for the entry. */
  proposeConfChange(change: ConfChange): ConfChangeOutcome {
    return this.#propose([{ kind: change.entryKind, data: encodeConfChange(change) }]);
  }

  /**
   * The driver applies a membership entry, before it reports it as applied. Null for one that the state machine
   * rejects: nothing changes.
   */
  applyConfChange(change: ConfChange | null, index: LogIndex): ConfState {
    return change === null ? this.#core.tracker.conf : applyConfChange(this.#core, change, index);
  }

  /** Returns why nothing was started, or null. Abandoned after one election timeout (event `transferAbandoned`). */
  transferLeader(to: NodeId): string | null {
    const core = this.#core;
    if (core.role === "leader") return startTransfer(core, to);
    if (core.leader === NOBODY) return `no leader is known in term ${core.term}`;
    core.out.now({ kind: "transferLeader", from: core.id, to: core.leader, term: NO_TERM, target: to });
    return null;
  }

  /** Asks for an index at which reads are linearizable; `token` comes back in `ready().reads`. Use each once. */
  readIndex(token: string): ReadOutcome {
    return askToRead(this.#core, token, this.#nonce);
  }

  /**
   * A follower forgets its leader, keeping its term, so that it may grant votes at once. Returns why not, or null:
   * under lease reads the leader counts on being remembered.
   */
  forgetLeader(): string | null {
    const core = this.#core;
    if (core.settings.readMode === "lease") return "lease reads rest on followers remembering their leader";
    if (core.role === "follower") setLeader(core, NOBODY);
    return null;
  }

  /** A message to this peer was lost for certain. */
  reportUnreachable(id: NodeId): void {
    onUnreachable(this.#core, id);
  }

  /** The stream of a snapshot ended. */
  reportSnapshot(id: NodeId, ok: boolean): void {
    onSnapshotReport(this.#core, id, ok);
  }

  reportConnectionLost(id: NodeId): void {
    this.#core.evidence.lost(id);
    considerEvidence(this.#core);
  }

  /** The peer's host answered that nobody listens there. A timeout is no refusal. */
  reportConnectionRefused(id: NodeId): void {
    this.#core.evidence.refused(id);
    considerEvidence(this.#core);
  }

  reportConnected(id: NodeId): void {
    this.#core.evidence.disproved(id);
  }

  /** Draws a new election timeout, as every reign does at its beginning: for a driver that was suspended for long. */
  redrawElectionTimeout(): void {
    drawElectionTimeout(this.#core);
  }

  /**
   * Stands for election now, with a pre-vote first when that is on. Under lease reads not while a leader is alive: its
   * lease counts on this member's silence.
   */
  campaign(): void {
    const core = this.#core;
    const { electionTicks, readMode } = core.settings;
    if (readMode === "lease" && core.leader !== NOBODY && core.electionElapsed < electionTicks)
      core.out.event({ kind: "campaignRefused", why: `leader ${core.leader} may hold a lease` });
    else standForElection(core, false);
  }

  hasReady(): boolean {
    return this.#work.hasWork() || this.#work.hasEvents();
  }

  /** As {@link hasReady}, not counting events that need no action. */
  hasWork(): boolean {
    return this.#work.hasWork();
  }

  /** Hands out everything there is to do, once. Its lists belong to the caller. */
  ready(): Ready {
    return this.#work.take();
  }

  /** Synchronous mode: all of the last Ready was done, in its order. */
  advance(): void {
    this.#work.advance();
  }

  /** Asynchronous mode: that `persist`, and every earlier one, is on disk. Each receipt once, in order. */
  persisted(receipt: PersistReceipt): void {
    invariant(this.#core.settings.storage === "async", "synchronous mode reports with advance()");
    this.#work.persisted(receipt);
  }

  /** Asynchronous mode: the state machine has applied everything up to `index`. */
  applied(index: LogIndex): void {
    invariant(this.#core.settings.storage === "async", "synchronous mode reports with advance()");
    this.#work.applied(index);
  }

  /**
   * A leader's: its state machine held everything up to `index` when the term began, more than this member knew to be
   * committed. What was applied anywhere was committed, and an elected leader's log has it (§5.4.3). Without this a
   * leader could wait for ever for a follower that itself needs a snapshot from up there.
   */
  knownCommitted(index: LogIndex): void {
    const core = this.#core;
    invariant(core.role === "leader", "only an elected leader's log is known to hold what was applied");
    core.log.commitTo(lower(index, core.log.lastIndex()));
  }

  /** A leader all of whose members hold, and which has itself applied, everything: its driver may let it rest. */
  isSettledLeader(): boolean {
    return isSettledLeader(this.#core);
  }

  /** The next tick would send heartbeats, and every member has answered lately: the moment to rest instead. */
  mayRestNow(): boolean {
    const core = this.#core;
    return core.heartbeatElapsed + 1 >= core.settings.heartbeatTicks && isEverybodyActive(core);
  }

  /** The leader `from` rests: true when this follower may stop ticking, too; false, and nothing changed, if not. */
  followIntoRest(from: NodeId, term: Term, lastIndex: LogIndex): boolean {
    return followIntoRest(this.#core, from, term, lastIndex);
  }

  /** Ticks will come again. `silentTicks`: for how long a follower's leader has given no sign of life. */
  resume(silentTicks: number): void {
    resumeAfterRest(this.#core, silentTicks);
  }

  isMember(id: NodeId): boolean {
    return this.#core.tracker.get(id) !== undefined;
  }

  status(): Status {
    return statusOf(this.#core);
  }

  /** Allocates nothing, for the driver's loop. */
  get term(): Term {
    return this.#core.term;
  }
  get leader(): NodeId {
    return this.#core.leader;
  }
  get isLeader(): boolean {
    return this.#core.role === "leader";
  }
  get lastIndex(): LogIndex {
    return this.#core.log.lastIndex();
  }

  #propose(drafts: readonly Draft[]): ConfChangeOutcome {
    const core = this.#core;
    if (core.role === "leader") {
      const { first, dropped, changeRefused } = proposeAsLeader(core, drafts);
      if (dropped !== null) return this.#dropped(dropped);
      return changeRefused === null
        ? { kind: "accepted", first, term: core.term }
        : { kind: "refused", why: changeRefused };
    }
    if (core.role !== "follower") return this.#dropped("an election is going on");
    if (core.leader === NOBODY) return this.#dropped(`no leader is known in term ${core.term}`);
    if (!core.settings.forwardProposals) return this.#dropped(`member ${core.leader} leads`);
    core.out.now({ kind: "propose", from: core.id, to: core.leader, term: NO_TERM, entries: drafts });
    return { kind: "forwarded", to: core.leader };
  }

  #dropped(why: string): ProposeOutcome {
    this.#core.out.event({ kind: "proposalDropped", why });
    return { kind: "dropped", why };
  }
}

function asDraft(data: Uint8Array): Draft {
  return { kind: "normal", data };
}
