import type {
  CommittedEntry,
  ConfState,
  CoreEvent,
  GroupId,
  GroupWrite,
  LogIndex,
  Message,
  NodeId,
  ShardEvent,
} from "../../shards/ports.ts";
import type { GroupStatus } from "../../shards/surface.ts";
import type { GroupImage } from "./group-image.ts";
import type { ClientOperation } from "./history.ts";

/**
 * What invariants get to see, as it happens. Calls come from inside production code, so a watcher never throws: it
 * reports through `fail`, and the run ends after the event.
 */
export interface Watcher {
  /** A transaction is about to become durable; `before` is the log without it. */
  logWrites?(node: NodeId, before: GroupImage, write: GroupWrite): void;
  /** A message is handed to the network. */
  sends?(node: NodeId, group: GroupId, message: Message): void;
  coreEvent?(node: NodeId, group: GroupId, event: CoreEvent): void;
  /** A replica tells its listeners that this configuration holds from `index` on. */
  membership?(node: NodeId, group: GroupId, conf: ConfState, index: LogIndex): void;
  shardEvent?(node: NodeId, event: ShardEvent): void;
  /** The state machine takes an entry; entries it skips as known are not shown. */
  applies?(node: NodeId, group: GroupId, entry: CommittedEntry): void;
  /** The state machine was replaced by a snapshot up to here. */
  restores?(node: NodeId, group: GroupId, index: LogIndex): void;
  /** After every event in which the node took part. */
  status?(node: NodeId, status: GroupStatus): void;
  starts?(node: NodeId): void;
  stops?(node: NodeId): void;
  /** The node's data is gone for good. */
  wiped?(node: NodeId): void;
  /** A client learnt, or gave up learning, how its operation ended. */
  operationEnded?(operation: ClientOperation): void;
  /** All faults are over and the cluster was given time to settle; everything that can be compared is there. */
  ends?(): void;
}

/** What a watcher may look up: the truth of the simulated world, which no node knows. */
export interface WorldView {
  nowUs(): number;
  /** What is on the node's disk now, or was when it was lost; null when it holds no log of the group. */
  image(node: NodeId, group: GroupId): GroupImage | null;
  /** Every node that ever existed and whose data still does. */
  nodes(): readonly NodeId[];
  groups(): readonly GroupId[];
  /** The group's status on a running node. */
  status(node: NodeId, group: GroupId): GroupStatus | null;
  /** Every client operation called so far. */
  operations(): readonly ClientOperation[];
}

export interface InvariantParts {
  readonly world: WorldView;
  /** Ends the run: `message` says what should hold and what was found, with the numbers. */
  readonly fail: (message: string) => void;
}

/** A property of every run, in a file of its own that also says what it does not check. */
export interface Invariant {
  readonly name: string;
  watch(parts: InvariantParts): Watcher;
}
