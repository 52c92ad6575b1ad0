/** Door one: using the replication layer. `adapters.ts` is door two, for putting its parts together. */
export { GroupId, LogError } from "./ports.ts";
export type {
  ApplyOp,
  ApplyResult,
  CapturedSnapshot,
  Clock,
  CommittedEntry,
  ConfState,
  CoreEvent,
  EventSink,
  GroupMessage,
  LogErrorCode,
  LogStore,
  Message,
  PeerEnvelope,
  PeerState,
  ProposalOrigin,
  Random,
  Scheduler,
  ShardEvent,
  SnapshotMeta,
  Transport,
  TransportReceiver,
} from "./ports.ts";
export { LogIndex, NOBODY, NodeId, Term } from "./raft/types.ts";
export { InvariantViolation } from "./raft/invariant.ts";
export { openHost } from "./host.ts";
export { HOST_DEFAULTS, hostLimits } from "./limits.ts";
export type {
  DropReason,
  Group,
  GroupNotice,
  GroupStatus,
  Host,
  HostIdentity,
  HostLimits,
  HostOptions,
  HostParts,
  MembershipStep,
  OpenGroup,
  PeerProgress,
  ProposalOutcome,
  ProposeOptions,
  ReadOutcome,
  UnknownReason,
  WaitOptions,
} from "./surface.ts";
