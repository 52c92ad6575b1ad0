/**
 * All groups of a node on one thread. A turn, in this order: the tick that is due (one, however long the thread was
 * held up), what groups finished meanwhile, messages, proposals; then what the cores say may leave; then one
 * transaction for all groups. What had to wait for the disk leaves when that is written. While it is being written
 * inputs pile up for the next one: that is the group commit.
 */
import { ticksBetweenLooks } from "./ages.ts";
import { Beats } from "./beats.ts";
import { GroupLoop } from "./group.ts";
import type { HostLink } from "./host-link.ts";
import { hostLimits } from "./limits.ts";
import { Mailroom } from "./mailroom.ts";
import type { WriteItem } from "./pipeline.ts";
import { LogError } from "./ports.ts";
import type { CommittedEntry, ConfState, GroupId, GroupWrite, ShardEvent, SnapshotMeta } from "./ports.ts";
import type { Group, Host, HostLimits, HostOptions, HostParts, OpenGroup } from "./surface.ts";
import { sizeOf } from "./log/record.ts";
import { LogIndex, Term } from "./raft/types.ts";

/** Puts a host together and starts its ticks. It owns none of its parts: whoever made them closes them afterwards. */
export function openHost(options: HostOptions, parts: HostParts): Host {
  return new NodeHost(options, parts);
}

class NodeHost implements Host {
  readonly #parts: HostParts;
  readonly #limits: HostLimits;
  readonly #lookTicks: number;
  readonly #groups = new Map<GroupId, GroupLoop>();
  readonly #mailroom: Mailroom;
  readonly #link: HostLink;
  readonly #beats: Beats;
  readonly #stopTicks: () => void;
  /** Those that do not rest. */
  readonly #ticking = new Set<GroupLoop>();
  #awake = new Set<GroupLoop>();
  #turnAsked = false;
  #tickDue = false;
  #tick = 0;
  #lastTickMs: number;
  /** The transaction under way; resolves when its items were taken note of. */
  #writing: Promise<void> | null = null;
  #closed = false;

  constructor(options: HostOptions, parts: HostParts) {
    this.#parts = parts;
    const limits = (this.#limits = hostLimits(options.limits));
    this.#lookTicks = ticksBetweenLooks(limits.keepAgeTicks);
    const host = this.#hooks();
    const beats = (this.#beats = new Beats({
      node: options.identity.node,
      limits,
      epoch: parts.random.below(EPOCHS),
      tick: host.tick,
      post: (message) => this.#mailroom.post(message),
      rouse: (group) => this.#withGroup(group, (loop) => this.#guard(loop, () => loop.rouse())),
    }));
    this.#link = {
      node: options.identity.node,
      limits,
      random: parts.random,
      get tick() {
        return host.tick();
      },
      nowMs: () => parts.clock.nowMs(),
      get epoch() {
        return beats.epoch;
      },
      rests: (group, on, leads) => {
        beats.rests(group, on, leads);
        this.#withGroup(group, (loop) => this.#ticking.delete(loop));
      },
      stirs: (group) => {
        beats.stirs(group);
        this.#withGroup(group, (loop) => this.#ticking.add(loop));
      },
      heard: (node, epoch) => beats.heard(node, epoch),
      silence: (node) => beats.silence(node),
      wake: host.wake,
      guard: host.guard,
      send: (message) => this.#mailroom.post(message),
      sendSnapshot: async (message, snapshot) =>
        await parts.transport.sendSnapshot(message.message.to, message, snapshot),
      discard: host.discard,
      event: (event) => parts.events.event(event),
    };
    this.#mailroom = new Mailroom(options.identity, {
      transport: parts.transport,
      events: parts.events,
      group: (id) => this.#groups.get(id),
      groups: () => this.#groups.values(),
      beat: (from, beat) => beats.beat(from, beat),
      guard: host.guard,
      discard: host.discard,
    });
    this.#lastTickMs = parts.clock.nowMs();
    this.#stopTicks = parts.clock.every(limits.tickMs, () => {
      this.#tickDue = true;
      this.#askForTurn();
    });
  }

  // -------------------------------------------------------------------------------------------------- groups

  async openGroup({ group, applyOp, bootstrap }: OpenGroup): Promise<Group> {
    if (this.#closed) throw new Error("the host is closed");
    if (this.#groups.has(group))
      throw new LogError("LOG_EXISTS", `group ${group} is open already`, { group });
    const { log } = this.#parts;
    if (bootstrap !== null && !log.groups().includes(group)) {
      const held = await applyOp.appliedIndex();
      // A founder's log would begin anew below what was applied: writes acknowledged there would never be applied.
      if (bootstrap.voters.length > 0 && held > FOUNDING_INDEX)
        throw new LogError(
          "LOG_CORRUPT",
          `group ${group} has no log, but its state machine has applied ${held}; what this node promised to others is ` +
            `lost: restore the log, or remove this node and let it join again`,
          { group, index: held },
        );
      await this.#idleLog();
      await log.create(group, firstOf(bootstrap));
    }
    const groupLog = log.open(group);
    const boundary = groupLog.boundary().index;
    if (boundary === FOUNDING_INDEX && (await applyOp.appliedIndex()) === 0) await applyOp.apply([FOUNDING]);
    const [applied, durable] = [await applyOp.appliedIndex(), await applyOp.durableIndex()];
    if (applied < boundary)
      throw new LogError(
        "LOG_CORRUPT",
        `the log of group ${group} begins after ${boundary}, but its state machine has applied only ${applied}; ` +
          `remove this node and let it join again`,
        { group, index: boundary },
      );
    if (this.#closed) throw new Error("the host is closed");
    if (this.#groups.has(group))
      throw new LogError("LOG_EXISTS", `group ${group} is open already`, { group });
    const loop = new GroupLoop(group, { log: groupLog, applyOp, applied, durable, link: this.#link });
    this.#groups.set(group, loop);
    this.#ticking.add(loop);
    this.#beats.opens(loop.members);
    this.#event({ kind: "groupOpened", group, applied, last: groupLog.lastIndex() });
    this.#wake(loop);
    return loop;
  }

  async closeGroup(group: GroupId): Promise<void> {
    const loop = this.#groups.get(group);
    if (loop === undefined) return;
    this.#groups.delete(group);
    this.#forget(loop);
    const { unwritten } = loop;
    await this.#end(loop, "the group was closed");
    // Its items of the running transaction come to rest before anybody opens it again.
    if (unwritten !== null) await this.#writeLast(unwritten);
    else await this.#idleLog();
    this.#event({ kind: "groupClosed", group });
  }

  async destroyGroup(group: GroupId): Promise<void> {
    await this.closeGroup(group);
    await this.#idleLog();
    await this.#parts.log.destroy(group);
  }

  async restartGroup(open: OpenGroup): Promise<Group> {
    await this.closeGroup(open.group);
    return await this.openGroup(open);
  }

  group(group: GroupId): Group | undefined {
    return this.#groups.get(group);
  }

  groups(): readonly Group[] {
    return [...this.#groups.values()].sort((a, b) => a.id - b.id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#stopTicks();
    this.#mailroom.close();
    for (const group of [...this.#groups.keys()]) await this.closeGroup(group);
  }

  // --------------------------------------------------------------------------------------------------- turns

  #hooks(): Pick<HostLink, "wake" | "guard" | "discard"> & { readonly tick: () => number } {
    return {
      tick: () => this.#tick,
      wake: (group) => this.#withGroup(group, (loop) => this.#wake(loop)),
      guard: (group, action) => this.#withGroup(group, (loop) => this.#guard(loop, action)),
      discard: (snapshot, group) => {
        snapshot[Symbol.asyncDispose]().then(undefined, (error: unknown) =>
          this.#event({ kind: "snapshotFailed", group, error: asError(error) }),
        );
      },
    };
  }

  #withGroup(id: GroupId, action: (group: GroupLoop) => void): void {
    const group = this.#groups.get(id);
    if (group !== undefined) action(group);
  }

  #wake(group: GroupLoop): void {
    if (group.stopped) return;
    this.#awake.add(group);
    this.#askForTurn();
  }

  #askForTurn(): void {
    if (this.#turnAsked || this.#closed) return;
    this.#turnAsked = true;
    this.#parts.scheduler.soon(() => {
      this.#turnAsked = false;
      this.#turn();
    });
  }

  #turn(): void {
    if (this.#closed) return;
    const startedMs = this.#parts.clock.nowMs();
    const lateMs = this.#tickDue ? this.#tickAll(startedMs) : 0;
    const groups = this.#takeAwake();
    let inputs = 0;
    for (const group of groups) this.#guard(group, () => (inputs += group.drain()));
    for (const group of groups) this.#guard(group, () => group.collect());
    const sent = this.#mailroom.flush();
    this.#startWrite(groups, sent);
    let queued = 0;
    for (const group of groups) queued += group.queued;
    const durationMs = this.#parts.clock.nowMs() - startedMs;
    this.#event({ kind: "turn", durationMs, lateMs, inputs, groups: groups.length, queued });
  }

  /** One tick, also after a stall: what arrived meanwhile is stepped before the next, or a stall would look like silence. */
  #tickAll(nowMs: number): number {
    this.#tickDue = false;
    this.#tick++;
    this.#mailroom.release();
    const lateMs = Math.max(0, nowMs - this.#lastTickMs - this.#limits.tickMs);
    this.#lastTickMs = nowMs;
    this.#beats.tick();
    for (const group of this.#ticking) this.#guard(group, this.#tickOne);
    this.#ageSome();
    return lateMs;
  }

  /** Those whose turn it is, resting ones too: all at once would have every state machine write at once. */
  #ageSome(): void {
    for (const group of this.#groups.values())
      if ((this.#tick + group.id) % this.#lookTicks === 0) this.#guard(group, this.#ageOne);
  }
  readonly #ageOne = (group: GroupLoop): void => group.age();

  // Made once: it is called for every group and tick.
  readonly #tickOne = (group: GroupLoop): void => group.tick();

  #takeAwake(): readonly GroupLoop[] {
    const groups = [...this.#awake];
    this.#awake = new Set();
    return groups;
  }

  // -------------------------------------------------------------------------------------------------- writing

  /**
   * One transaction for all groups that have something; the others' turn comes when it is done. It holds the thread, so
   * what was `sent` gets onto the wire before: the followers' disks then work while this one does (dissertation 10.2.1).
   */
  #startWrite(groups: readonly GroupLoop[], sent: boolean): void {
    if (this.#writing !== null) {
      for (const group of groups) if (!group.stopped) this.#awake.add(group);
      return;
    }
    const items: WriteItem[] = [];
    const settled: WriteItem[] = [];
    for (const group of groups)
      this.#guard(group, () => {
        const taken = group.takeWrites();
        const first = taken.findIndex((item) => item.write !== null);
        settled.push(...(first < 0 ? taken : taken.slice(0, first)));
        if (first >= 0) items.push(...taken.slice(first));
      });
    // What rests on earlier writes alone goes on at once: the state machine works while the disk does.
    if (settled.length > 0) this.#finishWrite(settled);
    if (items.length === 0) return;
    const writes = items.map((item) => item.write).filter((write) => write !== null);
    let startedMs = 0;
    const write = (): Promise<void> => {
      startedMs = this.#parts.clock.nowMs();
      return this.#parts.log.write(writes);
    };
    const { scheduler } = this.#parts;
    const onDisk = sent ? new Promise<void>((resolve) => scheduler.soon(resolve)).then(write) : write();
    this.#writing = onDisk.then(
      () => {
        this.#writing = null;
        this.#event(written(writes, this.#parts.clock.nowMs() - startedMs));
        this.#finishWrite(items);
      },
      (error: unknown) => {
        this.#writing = null;
        this.#logFailed(asError(error));
      },
    );
  }

  /** What waited for the disk may leave now, in the order it was handed out. */
  #finishWrite(items: readonly WriteItem[]): void {
    const groups = new Set<GroupLoop>();
    for (const item of items) {
      const group = this.#groups.get(item.group);
      // It was closed or stopped meanwhile, and told everybody who waited.
      if (group === undefined || group.stopped) continue;
      groups.add(group);
      this.#guard(group, () => group.written(item));
    }
    for (const group of groups) this.#guard(group, () => group.collect());
    this.#mailroom.flush();
    if (this.#awake.size > 0) this.#askForTurn();
  }

  /** The log is one file: nobody knows what of it is on disk now, so no group may promise anything any more. */
  #logFailed(error: Error): void {
    for (const group of this.#groups.values()) if (!group.stopped) this.#stop(group, error);
  }

  /** Spares the next start some entries; whether it succeeds changes no promise. */
  async #writeLast(write: GroupWrite): Promise<void> {
    // Asked here, where nothing comes between the answer and the write: several groups may be closing at once.
    while (this.#writing !== null) await this.#writing;
    this.#writing = this.#parts.log.write([write]).then(
      () => {
        this.#writing = null;
        if (this.#awake.size > 0) this.#askForTurn();
      },
      (error: unknown) => {
        this.#writing = null;
        this.#logFailed(asError(error));
      },
    );
    await this.#writing;
  }

  async #idleLog(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  // -------------------------------------------------------------------------------------------------- failures

  /** A group that throws is stopped, and only that one. */
  #guard(group: GroupLoop, action: (group: GroupLoop) => void): void {
    if (group.stopped) return;
    try {
      action(group);
    } catch (error) {
      this.#stop(group, asError(error));
    }
  }

  #stop(group: GroupLoop, error: Error): void {
    this.#forget(group);
    this.#event({ kind: "groupStopped", group: group.id, why: error.message, error });
    void this.#end(group, error.message);
  }

  /** A snapshot that cannot be put away is told, and holds up nothing. */
  async #end(group: GroupLoop, why: string): Promise<void> {
    try {
      await group.stop(why);
    } catch (failure) {
      this.#event({ kind: "snapshotFailed", group: group.id, error: asError(failure) });
    }
  }

  #forget(group: GroupLoop): void {
    this.#awake.delete(group);
    this.#ticking.delete(group);
    this.#beats.leaves(group.id);
  }

  #event(event: ShardEvent): void {
    this.#parts.events.event(event);
  }
}

/** How many there are to draw from; counting on from any of them stays exact. */
const EPOCHS = 2 ** 40;

/** The place of a group's first configuration: nobody can be fed a log whose first members he does not know. */
const FOUNDING_INDEX = LogIndex(1);
const FOUNDING: CommittedEntry = { term: Term(1), index: FOUNDING_INDEX, data: new Uint8Array(0) };

/** Founders begin after their configuration; a newcomer, who has none, begins empty and is sent a snapshot. */
function firstOf(conf: ConfState): SnapshotMeta {
  return conf.voters.length === 0
    ? { index: LogIndex(0), term: Term(0), conf }
    : { index: FOUNDING_INDEX, term: FOUNDING.term, conf };
}

function written(writes: readonly GroupWrite[], durationMs: number): ShardEvent {
  let entries = 0;
  let bytes = 0;
  for (const write of writes) {
    entries += write.entries?.length ?? 0;
    for (const entry of write.entries ?? []) bytes += sizeOf(entry);
  }
  const groups = new Set(writes.map((write) => write.group)).size;
  return { kind: "logWritten", durationMs, groups, entries, bytes };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
