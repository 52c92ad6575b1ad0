import type { ConfState, CoreEvent, GroupWrite, ShardEvent } from "../../shards/ports.ts";
import { GroupId, LogError } from "../../shards/ports.ts";
import type { Group, GroupStatus, HostLimits, MembershipStep } from "../../shards/surface.ts";
import { NodeId } from "../../shards/raft/types.ts";
import { InvariantViolation } from "../../shards/raft/invariant.ts";
import { Naming } from "./decisions.ts";
import type { DecisionRecord, Decisions } from "./decisions.ts";
import { Dice } from "./dice.ts";
import { SimDisk } from "./disk.ts";
import type { WriteFate } from "./disk.ts";
import type { Invariant, Watcher, WorldView } from "./facts.ts";
import type { GroupImage } from "./group-image.ts";
import type { ClientOperation } from "./history.ts";
import type { KvMachine } from "./kv-machine.ts";
import { Marks } from "./marks.ts";
import { SimNetwork } from "./network.ts";
import type { MessageFate, StreamFate } from "./network.ts";
import { CLUSTER, SimNode } from "./node.ts";
import { SimProcess } from "./process.ts";
import { PROFILES } from "./profiles.ts";
import type { ProfileName } from "./profiles.ts";
import { drawSwarm } from "./swarm.ts";
import type { Swarm } from "./swarm.ts";
import { Timeline } from "./timeline.ts";
import type { Trace } from "./trace.ts";

export interface Failure {
  readonly invariant: string;
  readonly message: string;
  readonly atUs: number;
}

export interface WorldOptions {
  readonly seed: number;
  readonly decisions: Decisions;
  readonly trace: Trace;
  readonly invariants: readonly Invariant[];
  readonly profile: ProfileName | null;
}

const GROUPS = [GroupId(1), GroupId(2)] as const;
/** With nothing decided against it, a message takes this long, a transaction that long. */
const MESSAGE_US = 500;
const SYNC_US = 300;
const APPLY_US = 60;
const CHUNK_US = 400;

/** All nodes, disks and the network of one run, and everyone who watches. */
export class World implements WorldView {
  readonly timeline = new Timeline();
  readonly marks = new Marks();
  readonly dice: Dice;
  readonly swarm: Swarm;
  readonly network: SimNetwork;
  readonly decisions: Decisions;
  readonly trace: Trace;
  readonly byId = new Map<NodeId, SimNode>();
  readonly history: ClientOperation[] = [];
  /** Membership changes whose end is not known: they may still be on their way. */
  readonly asked = new Set<{
    readonly atUs: number;
    readonly group: GroupId;
    readonly steps: readonly MembershipStep[];
  }>();
  /** No more faults: the liveness phase. */
  calm = false;
  failure: Failure | null = null;
  /** Events so far. */
  steps = 0;
  #order = 0;
  #nextNode = 1;
  readonly #naming = new Naming();
  readonly #watchers: readonly Watcher[];
  readonly #touched = new Set<NodeId>();
  readonly #committed = new Map<GroupId, number>();
  /** Called when a replica has entered a joint configuration. */
  whenJoint: (group: GroupId, conf: ConfState, index: number) => void = () => undefined;
  readonly #bootstrap: ReadonlyMap<GroupId, ConfState>;
  readonly #streams: { readonly [name in "network" | "disk" | "apply" | "clock"]: Dice };

  constructor(options: WorldOptions) {
    this.dice = new Dice(`flotilla ${options.seed}`);
    const drawn = drawSwarm(this.dice.fork("swarm"));
    this.swarm = options.profile === null ? drawn : { ...drawn, ...PROFILES[options.profile] };
    this.decisions = options.decisions;
    this.trace = options.trace;
    const fork = (name: string): Dice => this.dice.fork(name);
    this.#streams = {
      network: fork("network"),
      disk: fork("disk"),
      apply: fork("apply"),
      clock: fork("clock"),
    };
    this.network = new SimNetwork({
      timeline: this.timeline,
      marks: this.marks,
      messageFate: (name) => this.#messageFate(name),
      streamFate: (name) => this.#streamFate(name),
      sends: (from, { group, message }) => {
        // What drivers say about resting is no promise of a core.
        if (message.kind === "quiesce" || message.kind === "beat") this.marks.hit(`sent: ${message.kind}`);
        else this.#tell((watcher) => watcher.sends?.(from, group, message));
      },
      delivers: (name) => {
        this.note(`deliver ${name}`);
      },
    });
    const voters = Array.from({ length: this.swarm.voters }, (_, i) => NodeId(i + 1));
    this.#bootstrap = new Map(GROUPS.map((group) => [group, onlyVoters(voters)]));
    this.#watchers = options.invariants.map((one) =>
      one.watch({
        world: this,
        fail: (message) => {
          this.fail(one.name, message);
        },
      }),
    );
    for (const _voter of voters) this.spawn();
  }

  // ------------------------------------------------------------------------------------------------ what is so

  nowUs(): number {
    return this.timeline.nowUs;
  }
  nodes(): readonly NodeId[] {
    return [...this.byId.values()].filter(({ gone }) => !gone).map(({ id }) => id);
  }
  groups(): readonly GroupId[] {
    return GROUPS;
  }
  image(node: NodeId, group: GroupId): GroupImage | null {
    const disk = this.byId.get(node)?.disk;
    return disk?.images.get(group) ?? disk?.relics.get(group) ?? null;
  }
  group(node: NodeId, group: GroupId): Group | null {
    return this.byId.get(node)?.life?.groups.get(group) ?? null;
  }
  machine(node: NodeId, group: GroupId): KvMachine | null {
    return this.byId.get(node)?.life?.machines.get(group) ?? null;
  }
  status(node: NodeId, group: GroupId): GroupStatus | null {
    return this.group(node, group)?.status() ?? null;
  }
  operations(): readonly ClientOperation[] {
    return this.history;
  }
  get electionUs(): number {
    return this.swarm.electionTicks * this.swarm.tickMs * 1000;
  }

  /** Everyone who says it leads: one that was deposed may not know yet. */
  leaders(group: GroupId): readonly NodeId[] {
    return this.nodes().filter((node) => {
      const status = this.status(node, group);
      return status?.state === "running" && status.role === "leader";
    });
  }

  /** The highest index that anybody has known to be committed so far. */
  committed(group: GroupId): number {
    return this.#committed.get(group) ?? 0;
  }

  /** The one that says it leads, of the highest term. */
  leader(group: GroupId): GroupStatus | null {
    let best: GroupStatus | null = null;
    for (const node of this.nodes()) {
      const status = this.status(node, group);
      if (status?.state === "running" && status.role === "leader" && status.term > (best?.term ?? -1))
        best = status;
    }
    return best;
  }

  // -------------------------------------------------------------------------------------------- what can be done

  /** The next position in the order of client calls and ends. */
  tick(): number {
    return ++this.#order;
  }

  note(what: string): void {
    this.trace.note(this.timeline.nowUs, what);
  }

  /** The first failure stands: what follows from it is noise. */
  fail(invariant: string, message: string): void {
    if (this.failure !== null) return;
    this.failure = { invariant, message, atUs: this.timeline.nowUs };
    this.note(`FAILED ${invariant}: ${message}`);
  }

  operationEnded(operation: ClientOperation): void {
    this.#tell((watcher) => watcher.operationEnded?.(operation));
  }

  ends(): void {
    this.#tell((watcher) => watcher.ends?.());
  }

  /** A machine with a new id, up and running. */
  spawn(): SimNode {
    const id = NodeId(this.#nextNode++);
    const disk = new SimDisk({
      node: id,
      fate: (nth) => this.#writeFate(id, nth),
      writes: (before, write) => {
        this.note(`synced n${id} g${write.group}${describeWrite(write)}`);
        this.#tell((watcher) => watcher.logWrites?.(id, before, write));
      },
    });
    const { tickMs, electionTicks, heartbeatTicks } = this.swarm;
    const { compactBytes, appendBytesMax, inflightMessagesMax, gatherBytes } = this.swarm;
    const limits: Partial<HostLimits> = {
      tickMs,
      electionTicks,
      heartbeatTicks,
      compactBytes,
      keepBytes: Math.floor(compactBytes / 3),
      heldBytesMax: 3 * compactBytes,
      // Who holds one does not rest: the default is longer than a run waits for that.
      snapshotKeepTicks: 500,
      appendBytesMax,
      inflightMessagesMax,
      gatherBytes,
      entryBytesMax: 512,
      proposalBytesMax: 1 << 16,
      unappliedBytesMax: 4_096,
      quiesceTicks: this.swarm.quiesceTicks,
      commitCarryTicks: this.swarm.commitCarryTicks,
    };
    const node = new SimNode({
      id,
      disk,
      dice: this.dice.fork(`node ${id}`),
      limits,
      bootstrap: this.#bootstrap,
      event: (event) => {
        this.#shardEvent(id, event);
      },
      machine: {
        applyFate: () => this.#applyFate(id),
        applies: (group, entry) => {
          this.note(`apply n${id} g${group} ${entry.index}@${entry.term}`);
          this.#tell((watcher) => watcher.applies?.(id, group, entry));
        },
        restores: (group, index) => {
          this.marks.hit("snapshot restored");
          this.note(`restore n${id} g${group} ${index}`);
          this.#tell((watcher) => watcher.restores?.(id, group, index));
        },
      },
      membership: (group, conf, index) => {
        this.#tell((watcher) => watcher.membership?.(id, group, conf, index));
        if (conf.votersOutgoing.length > 0) this.whenJoint(group, conf, index);
      },
      openFailed: (group, error) => {
        this.#openFailed(node, group, error);
      },
    });
    this.byId.set(id, node);
    this.start(node);
    return node;
  }

  start(node: SimNode): void {
    if (node.isUp || node.gone) return;
    const { clockSpread } = this.swarm;
    const drift = this.decisions.decide(`clock:n${node.id}:${node.lives}`, () =>
      this.#streams.clock.chance(this.swarm.clockPerMille)
        ? {
            offsetMs: this.#streams.clock.below(100_000),
            perMille: this.#streams.clock.between(1_000 - clockSpread, 1_000 + clockSpread),
          }
        : null,
    ) ?? { offsetMs: 0, perMille: 1000 };
    const process = new SimProcess(this.timeline, drift, () => this.#touched.add(node.id));
    this.note(`start n${node.id}`);
    try {
      node.start(process, (of) =>
        this.network.attach({ node: node.id, cluster: CLUSTER, incarnation: node.incarnation, process: of }),
      );
    } catch (error) {
      process.kill();
      if (!(error instanceof LogError && error.code === "LOG_CORRUPT")) throw error;
      // The operator's part: a damaged node is given up, and a new one takes its place.
      this.marks.hit("damage detected on open");
      this.giveUp(node);
      this.spawn();
      return;
    }
    this.#tell((watcher) => watcher.starts?.(node.id));
  }

  stop(node: SimNode, options: { readonly power: boolean; readonly pendingSurvives: boolean }): void {
    if (!node.isUp) return;
    this.note(`stop n${node.id}${options.power ? " power" : ""}`);
    node.stop(options);
    this.network.died(node.id);
    this.#tell((watcher) => watcher.stops?.(node.id));
  }

  /** Somebody starts the wiped machine under its old id: without a log it may not take part (raft.md, never 13). */
  startWithoutLog(node: SimNode): void {
    const process = new SimProcess(this.timeline, { offsetMs: 0, perMille: 1000 }, () => undefined);
    this.marks.hit("wiped node started under its old id");
    node.startWithoutLog(process, {
      attach: (of) =>
        this.network.attach({
          node: node.id,
          cluster: CLUSTER,
          incarnation: `${node.incarnation} wiped`,
          process: of,
        }),
      opened: (group) => {
        this.fail(
          "a wiped node stays out",
          `n${node.id} g${group}: takes part again, though its log is gone`,
        );
      },
    });
    this.timeline.after(this.electionUs, () => {
      process.kill();
    });
  }

  /** The node's data is gone for good. */
  giveUp(node: SimNode): void {
    this.stop(node, { power: true, pendingSurvives: false });
    node.wipe();
    this.note(`gone n${node.id}`);
    this.#tell((watcher) => watcher.wiped?.(node.id));
  }

  /** Lets the next thing happen and shows the watchers who changed. */
  async step(): Promise<boolean> {
    this.steps++;
    const more = await this.timeline.step();
    if (this.#touched.size > 0) {
      for (const node of [...this.#touched].sort((a, b) => a - b)) {
        for (const group of GROUPS) {
          const status = this.status(node, group);
          if (status === null) continue;
          if (status.commit > this.committed(group)) this.#committed.set(group, status.commit);
          this.#tell((watcher) => watcher.status?.(node, status));
        }
      }
      this.#touched.clear();
    }
    return more;
  }

  // ------------------------------------------------------------------------------------------------------ fates

  #messageFate(name: string): MessageFate {
    const { swarm } = this;
    const dice = this.#streams.network;
    if (this.calm) return { delaysUs: [MESSAGE_US] };
    const delays = this.decisions.decide(`net:${name}`, () => {
      if (dice.chance(swarm.lossPerMille)) return [];
      const one = (): number =>
        dice.chance(swarm.latePerMille)
          ? dice.between(this.electionUs / 2, this.electionUs * 6)
          : dice.skewed(swarm.delayLowUs, swarm.delayHighUs);
      return dice.chance(swarm.duplicatePerMille) ? [one(), one() * 3] : [one()];
    });
    return { delaysUs: delays ?? [MESSAGE_US] };
  }

  #streamFate(name: string): StreamFate {
    const dice = this.#streams.network;
    const ends = this.calm
      ? null
      : this.decisions.decide(`stream:${name}`, () =>
          dice.chance(this.swarm.streamFaultPerMille)
            ? dice.pick(["broken", "corrupted", "late", "late"] as const)
            : null,
        );
    return { chunkUs: CHUNK_US, ends: ends ?? "whole" };
  }

  #writeFate(node: NodeId, nth: number): WriteFate {
    const dice = this.#streams.disk;
    const { swarm } = this;
    const fate = this.calm
      ? null
      : this.decisions.decide(`disk:n${node}:w${nth}`, (): DecisionRecord | null => {
          if (dice.chance(swarm.diskFaultPerMille))
            return {
              afterUs: dice.between(100, 3_000),
              code: dice.pick(["LOG_IO", "LOG_FULL"]),
              kept: dice.chance(500),
            };
          return dice.chance(swarm.slowDiskPerMille) ? { afterUs: dice.skewed(1_000, 150_000) } : null;
        });
    if (fate === null) return { kind: "synced", afterUs: SYNC_US };
    const afterUs = Number(fate["afterUs"]);
    const code = fate["code"];
    if (code !== "LOG_IO" && code !== "LOG_FULL") return { kind: "synced", afterUs };
    this.marks.hit(`disk write failed: ${code}`);
    const failing = this.byId.get(node);
    if (failing !== undefined) failing.excused = true;
    return { kind: "failed", afterUs, code, kept: code === "LOG_IO" && fate["kept"] === true };
  }

  #applyFate(node: NodeId): { readonly afterUs: number; readonly fails: boolean } {
    const dice = this.#streams.apply;
    const fate = this.calm
      ? null
      : this.decisions.decide(this.#naming.nth(`apply:n${node}`), (): number | null => {
          if (dice.chance(this.swarm.applyFaultPerMille)) return -1;
          return dice.chance(100) ? dice.skewed(100, 30_000) : null;
        });
    if (fate !== -1) return { afterUs: fate ?? APPLY_US, fails: false };
    this.marks.hit("apply failed");
    const failing = this.byId.get(node);
    if (failing !== undefined) failing.excused = true;
    return { afterUs: APPLY_US, fails: true };
  }

  // ----------------------------------------------------------------------------------------------------- events

  #shardEvent(node: NodeId, event: ShardEvent): void {
    this.#tell((watcher) => watcher.shardEvent?.(node, event));
    switch (event.kind) {
      case "core":
        this.#coreEvent(node, event.group, event.event);
        return;
      case "groupStopped":
        this.note(`stopped n${node} g${event.group}: ${event.why}`);
        this.#stopped(node, event.group, event.error);
        return;
      case "messageRefused":
        this.note(`refused n${node} from n${event.from}: ${event.why}`);
        return;
      default:
    }
  }

  #coreEvent(node: NodeId, group: GroupId, event: CoreEvent): void {
    this.marks.hit(`core: ${event.kind}`);
    this.note(`event n${node} g${group} ${JSON.stringify(event)}`);
    this.#tell((watcher) => watcher.coreEvent?.(node, group, event));
  }

  /** A group may stop for a fault that was injected; never because the code found itself wrong. */
  #stopped(node: NodeId, group: GroupId, error: Error): void {
    const cause = error instanceof InvariantViolation ? error : error.cause;
    if (cause instanceof InvariantViolation || this.byId.get(node)?.excused !== true) {
      this.fail("no group stops by itself", `n${node} g${group}: ${error.stack ?? error.message}`);
      return;
    }
    this.marks.hit("group stopped for a fault");
    this.restartSoon(node);
  }

  #openFailed(node: SimNode, group: GroupId, error: unknown): void {
    this.note(`open failed n${node.id} g${group}: ${String(error)}`);
    if (!node.excused || error instanceof InvariantViolation) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.fail("no group stops by itself", `n${node.id} g${group} does not open: ${text}`);
      return;
    }
    this.restartSoon(node.id);
  }

  /** The supervisor's part: a node with a stopped group gets a new process. */
  restartSoon(id: NodeId): void {
    const node = this.byId.get(id);
    const life = node?.life;
    if (node === undefined || life === null || life === undefined) return;
    this.timeline.after(this.electionUs / 2, () => {
      if (node.life !== life) return;
      this.stop(node, { power: false, pendingSurvives: true });
      this.start(node);
    });
  }

  #tell(call: (watcher: Watcher) => void): void {
    if (this.failure !== null) return;
    for (const watcher of this.#watchers) call(watcher);
  }
}

function onlyVoters(voters: readonly NodeId[]): ConfState {
  return { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
}

function describeWrite({ snapshot, entries, hardState, compactTo }: GroupWrite): string {
  const [first, last] = [entries?.[0], entries?.at(-1)];
  return (
    (snapshot === undefined ? "" : ` snapshot ${snapshot.index}@${snapshot.term}`) +
    (first === undefined || last === undefined
      ? ""
      : ` entries ${first.index}@${first.term}-${last.index}@${last.term}`) +
    (hardState === undefined
      ? ""
      : ` t${hardState.term} vote n${hardState.vote} commit ${hardState.commit}`) +
    (compactTo === undefined ? "" : ` compacted to ${compactTo.index}`)
  );
}
