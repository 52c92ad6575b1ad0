/**
 * One shard's group on this node: the only place that touches its core.
 *
 *     callers, peers --> inbox --+                          +--> send (at once)
 *     ticks ---------------------+--> core --> Ready ------+--> writes --> thenSend, persisted, thenApply
 *     apply, snapshots --> done --+                                              |
 *                     ^                                                       Applier --> ApplyOp
 *                     +----------------------------------------------------------+
 *
 * The host calls `tick`, `drain`, `collect`, `takeWrites` and `written` from its turn; everything else only leaves
 * something in a queue and asks for a turn.
 */
import { Ages } from "./ages.ts";
import { Applier } from "./applier.ts";
import type { ApplyDone } from "./applier.ts";
import { Compactor } from "./compactor.ts";
import type { HostLink } from "./host-link.ts";
import { decidesAlone, membershipOf } from "./membership.ts";
import type { MembershipHistory } from "./membership.ts";
import { Notices } from "./notices.ts";
import { openCore } from "./open-core.ts";
import { Pipeline, writeOf } from "./pipeline.ts";
import type { WriteItem } from "./pipeline.ts";
import type {
  ApplyOp,
  CapturedSnapshot,
  Entry,
  GroupId,
  GroupLog,
  GroupWrite,
  Message,
  NodeId,
  PeerState,
  SnapshotMeta,
} from "./ports.ts";
import { Proposer } from "./proposer.ts";
import type { RaftCore } from "./raft/core.ts";
import type { CoreEvent, Role } from "./raft/events.ts";
import { invariant } from "./raft/invariant.ts";
import type { Ready } from "./raft/ready.ts";
import { LogIndex, NOBODY, Term } from "./raft/types.ts";
import { Reads } from "./reads.ts";
import { Resting, type Inbound } from "./resting.ts";
import { SnapshotSource } from "./snapshot-source.ts";
import { Staging } from "./staging.ts";
import type { SnapshotMessage } from "./staging.ts";
import { describeGroup, lastWord } from "./status.ts";
import type {
  Group,
  GroupNotice,
  GroupStatus,
  MembershipStep,
  ProposalOutcome,
  ProposeOptions,
  ReadOutcome,
  WaitOptions,
} from "./surface.ts";
import { Patience } from "./waiting.ts";

export interface GroupParts {
  readonly log: GroupLog;
  readonly applyOp: ApplyOp;
  /** What the state machine held when it was opened. */
  readonly applied: LogIndex;
  readonly durable: LogIndex;
  readonly link: HostLink;
}

type Internal =
  | ApplyDone
  | { readonly kind: "snapshotSent"; readonly to: NodeId; readonly index: LogIndex; readonly ok: boolean }
  | { readonly kind: "compact"; readonly to: SnapshotMeta };

export class GroupLoop implements Group {
  readonly id: GroupId;
  readonly #log: GroupLog;
  readonly #logBytes: () => number;
  readonly #link: HostLink;
  readonly #core: RaftCore;
  readonly #applier: Applier;
  readonly #source: SnapshotSource;
  readonly #compactor: Compactor;
  readonly #ages: Ages;
  readonly #proposer: Proposer;
  readonly #reads: Reads;
  readonly #resting: Resting;
  readonly #history: MembershipHistory;
  readonly #notices = new Notices();
  #inbox: Inbound[] = [];
  #internal: Internal[] = [];
  readonly #staging = new Staging();
  readonly #pipeline: Pipeline;
  #role: Role = "follower";
  #term = Term(0);
  #leader: NodeId | null = null;
  /** Applied, and taken note of: memberships up to here are known. */
  #noted: LogIndex;
  #failure: string | null = null;

  constructor(id: GroupId, parts: GroupParts) {
    this.id = id;
    this.#log = parts.log;
    this.#link = parts.link;
    const { link, log } = parts;
    const { limits } = link;
    const isStopped = (): boolean => this.stopped;
    this.#logBytes = lastWord(() => log.bytes(), isStopped);
    // The state machine may be ahead of what is known as committed (a crash in the middle of a restore): entries up to
    // there are handed in again and skipped by it.
    const known = LogIndex(Math.max(log.boundary().index, Math.min(parts.applied, log.hardState().commit)));
    this.#history = membershipOf(log, known);
    this.#noted = known;
    this.#applier = new Applier({
      applyOp: parts.applyOp,
      applied: parts.applied,
      batchBytesMax: limits.applyBytesMax,
      nowMs: () => link.nowMs(),
      done: (done) => this.#later(done),
    });
    this.#source = new SnapshotSource({
      applyOp: parts.applyOp,
      keepTicks: limits.snapshotKeepTicks,
      metaAt: (index) => this.#metaAt(index),
      onCaptured: ({ index }, bytes) => link.event({ kind: "snapshotCaptured", group: id, index, bytes }),
      onFailed: (error) => link.event({ kind: "snapshotFailed", group: id, error }),
    });
    this.#compactor = new Compactor({
      log,
      applyOp: parts.applyOp,
      durable: parts.durable,
      compactBytes: limits.compactBytes,
      keepBytes: limits.keepBytes,
      decided: (to) => this.#compactTo(to),
      failed: (error) => this.#later({ kind: "applyFailed", error }),
    });
    this.#ages = new Ages(limits.keepAgeTicks);
    this.#proposer = new Proposer(id, link);
    this.#pipeline = new Pipeline(id, log.hardState(), limits.commitCarryTicks);
    this.#reads = new Reads({
      max: limits.readsMax,
      retryTicks: limits.readRetryTicks,
      nonce: `${link.node}.${link.random.below(2 ** 31)}.${link.random.below(2 ** 31)}`,
    });
    this.#core = openCore(link, log, {
      applied: known,
      snapshot: () => this.#source.newest(link.tick) ?? "temporarilyUnavailable",
      isStopped,
    });
    this.#resting = new Resting({
      group: id,
      link,
      core: this.#core,
      isIdle: () => this.#isIdle(),
      members: () => this.members,
    });
    this.#term = log.hardState().term;
    // Nobody else could answer, so there is nothing to wait for.
    if (decidesAlone(this.#history.latest, link.node)) this.#core.campaign();
  }

  // ---------------------------------------------------------------------------------------------- for callers

  propose(data: Uint8Array, options: ProposeOptions = {}): Promise<ProposalOutcome> {
    return this.#propose(() => this.#proposer.data(data, options));
  }

  changeMembership(steps: readonly MembershipStep[], options: WaitOptions = {}): Promise<ProposalOutcome> {
    return this.#propose(() => this.#proposer.membership(steps, options));
  }

  readIndex(options: WaitOptions = {}): Promise<ReadOutcome> {
    if (this.#failure !== null) return Promise.resolve({ kind: "stopped", why: this.#failure });
    const outcome = this.#reads.linearizable(this.#patience(options));
    this.#stir();
    return outcome;
  }

  waitApplied(index: LogIndex, options: WaitOptions = {}): Promise<ReadOutcome> {
    if (this.#failure !== null) return Promise.resolve({ kind: "stopped", why: this.#failure });
    // Its deadline is counted in ticks.
    if (index > this.#applier.applied) this.#stir();
    return this.#reads.from(index, this.#applier.applied, this.#patience(options));
  }

  transferLeadership(to: NodeId): string | null {
    let refusal = this.#failure;
    this.#act(() => (refusal = this.#core.transferLeader(to)));
    return refusal;
  }
  campaign(): void {
    this.#act(() => this.#core.campaign());
  }
  stateMachineFailed(error: Error): void {
    this.#later({ kind: "applyFailed", error });
  }

  status(): GroupStatus {
    return describeGroup({
      group: this.id,
      node: this.#link.node,
      failure: this.#failure,
      resting: this.#resting.isResting,
      core: this.#core.status(),
      logBytes: this.#logBytes(),
      applier: this.#applier,
      durable: this.#compactor.durable,
      proposals: this.#proposer.count,
    });
  }

  subscribe(listener: (notice: GroupNotice) => void): () => void {
    return this.#notices.subscribe(listener);
  }

  // ---------------------------------------------------------------------------------------------- for the host

  /** Of its configuration, this node perhaps among them. */
  get members(): readonly NodeId[] {
    const { voters, votersOutgoing, learners } = this.#history.latest;
    return [...voters, ...votersOutgoing, ...learners];
  }

  get stopped(): boolean {
    return this.#failure !== null;
  }

  /** Messages that are not stepped yet. */
  get queued(): number {
    return this.#inbox.length;
  }

  /** False when the queue is full: the message is lost, which Raft survives. */
  receive(message: Inbound): boolean {
    if (this.#inbox.length >= this.#link.limits.inboxMessagesMax) return false;
    this.#inbox.push(message);
    this.#link.wake(this.id);
    return true;
  }

  receiveSnapshot(message: SnapshotMessage, snapshot: CapturedSnapshot): boolean {
    if (!this.receive(message)) return false;
    this.#staging.add(message, snapshot);
    return true;
  }

  peerChanged(peer: NodeId, state: PeerState): void {
    if (state === "connected") this.#core.reportConnected(peer);
    else if (state === "lost") this.#core.reportConnectionLost(peer);
    else if (state === "refused") this.#core.reportConnectionRefused(peer);
    else this.#core.reportUnreachable(peer);
    if (this.#core.isMember(peer)) this.rouse();
    this.#link.wake(this.id);
  }

  tick(): void {
    if (this.#resting.tick()) return;
    this.#core.tick();
    const now = this.#link.tick;
    const proposes = this.#proposer.tick();
    this.#applier.tick();
    this.#source.tick(now);
    const carried = this.#pipeline.tick(now);
    if (this.#reads.tick(now) || proposes || carried || this.#core.hasReady()) this.#link.wake(this.id);
  }

  /** What it rested on may not hold any more. */
  rouse(): void {
    this.#resting.rouse();
  }

  /** Now and then, resting or not: what is old and on every active member's disk leaves the log. */
  age(): void {
    const old = this.#ages.look(this.#link.tick, this.#noted);
    if (old <= this.#log.boundary().index) return;
    // On a follower no peers are listed: who lacks what is the leader's to know, and its log has it.
    const matches = this.#core
      .status()
      .progress.filter(({ active }) => active)
      .map(({ match }) => match);
    this.#compactor.drop(LogIndex(Math.min(old, this.#source.heldIndex ?? old, ...matches)));
  }

  /** Internal events, then messages, then proposals and reads; answers how many inputs it took. */
  drain(): number {
    const internal = this.#internal;
    this.#internal = [];
    for (const event of internal) this.#note(event);
    const max = this.#link.limits.turnInputsMax;
    const messages = this.#inbox.length <= max ? this.#inbox : this.#inbox.slice(0, max);
    this.#inbox = this.#inbox.length <= max ? [] : this.#inbox.slice(max);
    for (const message of messages) {
      const heard = this.#resting.hear(message);
      if (heard !== null) this.#core.step(heard);
    }
    if (this.#inbox.length > 0) this.#link.wake(this.id);
    const proposed = this.#proposer.pump(this.#core, this.#leader);
    const token = this.#reads.ask(this.#link.tick);
    if (token !== null) {
      const asked = this.#core.readIndex(token);
      if (asked.kind === "dropped") this.#reads.dropped(token, this.#leader);
    }
    return internal.length + messages.length + proposed;
  }

  /** Hands out what the core has ready: messages at once, the rest behind its write. */
  collect(): void {
    while (this.#core.hasReady()) {
      const ready = this.#core.ready();
      for (const event of ready.events) this.#heard(event);
      // The core lets a candidate ask before its term is durable. After a crash in between it could stand again in the
      // same term and meet an answer to its first request; waiting costs an election one fsync.
      const [asks, free] = votesApart(ready);
      this.#route(free);
      for (const { token, index } of ready.reads) this.#reads.confirmed(token, index);
      const { persist, thenApply } = ready;
      const thenSend = asks.length === 0 ? ready.thenSend : [...asks, ...ready.thenSend];
      const snapshot = persist?.snapshot ?? null;
      if (persist !== null || thenSend.length > 0 || thenApply.length > 0)
        this.#pipeline.push(
          {
            group: this.id,
            write: writeOf(this.id, persist),
            receipt: persist?.receipt ?? null,
            commit: persist?.hardState?.commit ?? null,
            thenSend,
            thenApply,
            restore:
              snapshot === null
                ? null
                : { meta: snapshot, snapshot: this.#staging.claim(snapshot), begun: false },
          },
          this.#link.tick,
        );
    }
    this.#reads.applied(this.#applier.applied);
    if (this.#isAwaited) this.#applier.hurry();
    for (const unwanted of this.#staging.unwanted((message) => this.#inbox.includes(message)))
      this.#link.discard(unwanted, this.id);
  }

  /** What the next transaction is to carry, in order. */
  takeWrites(): readonly WriteItem[] {
    return this.#pipeline.take(this.#applier);
  }

  /** What a closing host may still write, though nobody waits for it. */
  get unwritten(): GroupWrite | null {
    return this.#failure === null ? this.#pipeline.unwritten : null;
  }

  written(item: WriteItem): void {
    this.#pipeline.finished();
    if (item.write?.compactTo !== undefined) this.#compacted(item.write.compactTo);
    this.#route(item.thenSend);
    if (item.receipt !== null) this.#core.persisted(item.receipt);
    const proposes = this.#proposer.committed(item.thenApply);
    this.#applier.entries(item.thenApply, !this.#isAwaited);
    if (item.commit !== null) this.#notices.tell({ kind: "commit", index: item.commit });
    if (proposes || !this.#pipeline.isEmpty || this.#core.hasReady()) this.#link.wake(this.id);
  }

  /** Whether somebody waits for what is to be applied. */
  get #isAwaited(): boolean {
    return this.#role === "leader" || this.#reads.count > 0 || this.#proposer.count > 0;
  }

  /** Ends the group's part on this node; what waits is told. */
  async stop(why: string): Promise<void> {
    if (this.#failure !== null) return;
    this.#failure = why;
    this.#inbox = [];
    this.#internal = [];
    const left = [...this.#staging.unwanted(() => false), ...this.#pipeline.clear()];
    this.#proposer.stop(why);
    this.#reads.stop(why);
    this.#notices.tell({ kind: "stopped", why });
    // All of it, whatever fails: a state machine that was not told to stop would be handed the next entries.
    const ended = await Promise.allSettled([
      this.#applier.stop(),
      this.#source.stop(),
      ...left.map((snapshot) => snapshot[Symbol.asyncDispose]()),
    ]);
    for (const end of ended) if (end.status === "rejected") throw end.reason;
  }

  // ---------------------------------------------------------------------------------------------- inside

  #later(event: Internal): void {
    if (this.#failure !== null) return;
    this.#internal.push(event);
    this.#stir();
  }

  #act(action: () => void): void {
    if (this.#failure !== null) return;
    this.#stir();
    this.#link.guard(this.id, action);
  }

  /** Something happens here: a turn is wanted. */
  #stir(): void {
    this.#resting.stir();
    this.#link.wake(this.id);
  }

  #isIdle(): boolean {
    return (
      this.#inbox.length === 0 &&
      this.#internal.length === 0 &&
      this.#proposer.count === 0 &&
      this.#reads.count === 0 &&
      this.#applier.lagEntries === 0 &&
      this.#pipeline.isIdle &&
      this.#source.isIdle &&
      this.#staging.isEmpty
    );
  }

  #patience(options: WaitOptions): Patience {
    return new Patience(options, { tick: this.#link.tick, tickMs: this.#link.limits.tickMs });
  }

  #propose(add: () => Promise<ProposalOutcome>): Promise<ProposalOutcome> {
    if (this.#failure !== null) return Promise.resolve({ kind: "stopped", why: this.#failure });
    const outcome = add();
    this.#stir();
    return outcome;
  }

  #note(event: Internal): void {
    switch (event.kind) {
      case "applied":
        return this.#applied(event);
      case "restored":
        this.#noted = event.meta.index;
        this.#history.restart(event.meta.index, event.meta.conf);
        this.#source.neededFrom(event.meta.index);
        this.#notices.tell({ kind: "membership", conf: event.meta.conf, index: event.meta.index });
        this.#proposer.skippedTo(event.meta.index);
        this.#pipeline.restored(event.meta);
        this.#link.event({ kind: "snapshotRestored", group: this.id, index: event.meta.index });
        this.#notices.tell({ kind: "applied", index: this.#applier.applied });
        return;
      case "applyFailed":
        throw new Error(`the state machine failed: ${event.error.message}`, { cause: event.error });
      case "snapshotSent":
        this.#source.release(event.index, this.#link.tick);
        this.#core.reportSnapshot(event.to, event.ok);
        return;
      case "compact":
        // A snapshot that replaces the log, or is about to, lies above whatever was to be cut off.
        if (this.#pipeline.isRestoring || !this.#history.reaches(event.to.index))
          return this.#compactor.done();
        this.#pipeline.push(
          {
            group: this.id,
            write: { group: this.id, compactTo: event.to },
            receipt: null,
            commit: null,
            thenSend: [],
            thenApply: [],
            restore: null,
          },
          this.#link.tick,
        );
    }
  }

  #applied({ entries, results, durationMs }: Extract<ApplyDone, { kind: "applied" }>): void {
    const last = entries.at(-1);
    invariant(last !== undefined, "an apply call has entries");
    entries.forEach((entry, at) => {
      if (entry.kind !== "normal") this.#applyMembership(entry);
      this.#proposer.applied(entry, results[at], entry.term === this.#term);
    });
    this.#noted = last.index;
    this.#core.applied(last.index);
    this.#link.event({
      kind: "applied",
      group: this.id,
      index: last.index,
      entries: entries.length,
      durationMs,
      lagEntries: this.#applier.lagEntries,
      lagBytes: this.#applier.lagBytes,
    });
    this.#notices.tell({ kind: "applied", index: last.index });
    const kept = this.#log.bytes() > this.#link.limits.heldBytesMax ? null : this.#source.heldIndex;
    this.#compactor.consider(kept === null ? last.index : LogIndex(Math.min(kept, last.index)));
  }

  /** Takes effect when applied. One that does not fit any more changes nothing, on every member alike. */
  #applyMembership(entry: Entry): void {
    const applied = this.#history.apply(entry);
    if (applied === null) return;
    this.#core.applyConfChange(applied.change, entry.index);
    this.#source.neededFrom(entry.index);
    this.#notices.tell({ kind: "membership", conf: applied.conf, index: entry.index });
  }

  #heard(event: CoreEvent): void {
    this.#link.event({ kind: "core", group: this.id, event });
    if (event.kind === "roleChanged") {
      const led = this.#role === "leader";
      this.#role = event.role;
      this.#term = event.term;
      const change = event.role === "leader" ? "won" : led ? "lost" : "none";
      this.#proposer.roleChanged(change, this.#leader);
      if (change === "won" && this.#core.isLeader) this.#core.knownCommitted(this.#applier.applied);
      this.#notices.tell({ kind: "role", role: event.role, term: event.term });
    } else if (event.kind === "leaderChanged") {
      this.#leader = event.leader === NOBODY ? null : event.leader;
      this.#notices.tell({ kind: "leader", leader: this.#leader, term: event.term });
    } else if (event.kind === "readDropped") this.#reads.dropped(event.token, this.#leader);
  }

  #route(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.kind !== "snapshot") this.#link.send({ group: this.id, message });
      else this.#sendSnapshot(message);
    }
  }

  #sendSnapshot(message: SnapshotMessage): void {
    const { to, meta } = message;
    const captured = this.#source.acquire(meta.index);
    const report = (ok: boolean): void =>
      this.#later({ kind: "snapshotSent", to, index: meta.index, ok: ok && captured !== null });
    if (captured === null) return report(false);
    this.#link.sendSnapshot({ group: this.id, message }, captured).then(report, () => report(false));
  }

  /** The boundary at an applied index; null while this loop has not taken note of that index. */
  #metaAt(index: LogIndex): SnapshotMeta | "compacted" | null {
    if (index > this.#noted) return null;
    // A snapshot takes the log's place, though it may not be written yet.
    if (!this.#history.reaches(index)) return "compacted";
    const term = this.#log.term(index);
    return typeof term === "number" ? { index, term, conf: this.#history.at(index) } : "compacted";
  }

  #compactTo(index: LogIndex): void {
    const to = this.#metaAt(index);
    if (to !== null && to !== "compacted") this.#later({ kind: "compact", to });
    else this.#compactor.done();
  }

  #compacted(to: SnapshotMeta): void {
    this.#history.forgetBefore(to.index);
    this.#source.neededFrom(to.index);
    this.#compactor.done();
    this.#link.event({ kind: "compacted", group: this.id, to: to.index, keptBytes: this.#log.bytes() });
  }
}

/** Vote requests whose term is only being written, and the rest of what may leave at once. */
function votesApart({ send, persist }: Ready): readonly [readonly Message[], readonly Message[]] {
  const isAsk = (message: Message): boolean => message.kind === "voteRequest";
  if (persist === null || !send.some(isAsk)) return [[], send];
  return [send.filter(isAsk), send.filter((message) => !isAsk(message))];
}
