import type { CapturedSnapshot, GroupId, GroupMessage, NodeId, Random, ShardEvent } from "./ports.ts";
import type { HostLimits } from "./surface.ts";

/** What a group may ask of the host it lives in. */
export interface HostLink {
  readonly node: NodeId;
  readonly limits: HostLimits;
  readonly random: Random;
  /** Ticks since the host started. */
  readonly tick: number;
  nowMs(): number;
  /** The group has something to do: it gets its part of the next turn. */
  wake(group: GroupId): void;
  /** Runs something that touches the core; what it throws stops the group. */
  guard(group: GroupId, action: () => void): void;
  /** Tells resting members of other nodes whether this one still stands for what it promised. */
  readonly epoch: number;
  /** No more ticks for the group until {@link stirs}. `leads`: its members were told that they may rest. */
  rests(group: GroupId, on: readonly NodeId[], leads: boolean): void;
  stirs(group: GroupId): void;
  /** A sign of life of all a node's groups. */
  heard(node: NodeId, epoch: number): void;
  /** Ticks since the last one. */
  silence(node: NodeId): number;
  send(message: GroupMessage): void;
  sendSnapshot(message: GroupMessage, snapshot: CapturedSnapshot): Promise<boolean>;
  /** Disposes of a snapshot nobody wants; a failure is an event. */
  discard(snapshot: CapturedSnapshot, group: GroupId): void;
  event(event: ShardEvent): void;
}
