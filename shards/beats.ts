/**
 * Signs of life between nodes, for all groups that rest (adr/0012): one small message per peer and heartbeat interval,
 * however many groups there are. A group that rests watches the nodes it depends on, a leader's all its members, a
 * follower's its leader alone. It is woken when one of them falls silent or may not stand for it any more.
 */
import { GroupId as asGroupId } from "./ports.ts";
import type { Beat, GroupId, GroupMessage, NodeId } from "./ports.ts";
import { NO_TERM } from "./raft/index-math.ts";
import type { HostLimits } from "./surface.ts";

/** A beat is about the node; the number only fills the place. */
const NO_GROUP = asGroupId(0);
/** Beats that may be lost or late before a node counts as silent, when it sends them more slowly than we would. */
const BEATS_MISSED = 3;
/** Election timeouts: no node may ask for more patience than that. */
const PATIENCE_MAX = 10;

interface Peer {
  /** Groups here that rest and depend on it. */
  readonly resting: Set<GroupId>;
  /** The tick of its last sign of life; of the first group's rest when that came later. */
  heardTick: number;
  /** Ticks of silence after which it is not relied on. */
  patienceTicks: number;
  epoch: number | null;
}

export interface BeatsParts {
  readonly node: NodeId;
  readonly limits: HostLimits;
  /** Another one in every life of the process. */
  readonly epoch: number;
  readonly tick: () => number;
  readonly post: (message: GroupMessage) => void;
  readonly rouse: (group: GroupId) => void;
}

export class Beats {
  readonly #parts: BeatsParts;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #watched = new Map<GroupId, readonly NodeId[]>();
  /** Groups that were promised to their members as resting under this node, in this life of it. */
  readonly #promised = new Set<GroupId>();
  #epoch: number;

  constructor(parts: BeatsParts) {
    this.#parts = parts;
    this.#epoch = parts.epoch;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** A group opened: its members' nodes are told, once, that this is another life, so that nobody rests on the last. */
  opens(members: readonly NodeId[]): void {
    for (const node of members) {
      if (node === this.#parts.node || this.#peers.has(node)) continue;
      this.#peer(node);
      this.#send(node);
    }
  }

  /** The group rests from now on. `leads`: its members were told that they may rest under this node. */
  rests(group: GroupId, on: readonly NodeId[], leads: boolean): void {
    if (leads) this.#promised.add(group);
    this.#watched.set(group, on);
    for (const node of on) {
      const peer = this.#peer(node);
      // While nothing rested it had no reason to give signs of life.
      if (peer.resting.size === 0) peer.heardTick = this.#parts.tick();
      peer.resting.add(group);
    }
  }

  /** It rests no longer. */
  stirs(group: GroupId): void {
    for (const node of this.#watched.get(group) ?? []) this.#peers.get(node)?.resting.delete(group);
    this.#watched.delete(group);
  }

  /**
   * The group is not here any more, or stopped. What its members were promised is void, and no beat of this node may
   * keep them resting: the epoch tells, also those whom that promise reaches only later.
   */
  leaves(group: GroupId): void {
    const rested = this.#watched.has(group);
    this.stirs(group);
    if (this.#promised.delete(group) || rested) this.#epoch++;
  }

  /** Ticks since the node's last sign of life. */
  silence(node: NodeId): number {
    const peer = this.#peers.get(node);
    return peer === undefined ? 0 : this.#parts.tick() - peer.heardTick;
  }

  /** The node speaks for its groups; another epoch wakes all that rest on it. */
  heard(node: NodeId, epoch: number): void {
    const peer = this.#peer(node);
    peer.heardTick = this.#parts.tick();
    if (peer.epoch === epoch) return;
    const isFirst = peer.epoch === null;
    peer.epoch = epoch;
    if (!isFirst) this.#rouse(peer);
  }

  beat(node: NodeId, { epoch, everyMs }: Beat): void {
    const { electionTicks, tickMs } = this.#parts.limits;
    const asked = Math.ceil(everyMs / tickMs) * BEATS_MISSED;
    this.#peer(node).patienceTicks = Math.min(Math.max(electionTicks, asked), electionTicks * PATIENCE_MAX);
    this.heard(node, epoch);
  }

  /** Before the groups are ticked: whoever is woken takes part in this tick. */
  tick(): void {
    const now = this.#parts.tick();
    const isDue = now % this.#parts.limits.heartbeatTicks === 0;
    for (const [node, peer] of this.#peers) {
      if (peer.resting.size === 0) continue;
      if (now - peer.heardTick >= peer.patienceTicks) this.#rouse(peer);
      else if (isDue) this.#send(node);
    }
  }

  #send(to: NodeId): void {
    const { heartbeatTicks, tickMs } = this.#parts.limits;
    const everyMs = heartbeatTicks * tickMs;
    this.#parts.post({
      group: NO_GROUP,
      message: { kind: "beat", from: this.#parts.node, to, term: NO_TERM, epoch: this.#epoch, everyMs },
    });
  }

  #rouse(peer: Peer): void {
    // Each takes itself off the list.
    for (const group of [...peer.resting]) this.#parts.rouse(group);
  }

  #peer(node: NodeId): Peer {
    let peer = this.#peers.get(node);
    if (peer === undefined) {
      const { electionTicks } = this.#parts.limits;
      peer = {
        resting: new Set(),
        heardTick: this.#parts.tick(),
        patienceTicks: electionTicks,
        epoch: null,
      };
      this.#peers.set(node, peer);
    }
    return peer;
  }
}
