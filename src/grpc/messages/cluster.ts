/** proto/flotilla/v1/cluster.proto */
import { bool, optional, string, strings, uint32, uint64 } from "../wire/fields.ts";
import { many, message, one } from "../wire/message.ts";
import { CALL_OPTIONS } from "./common.ts";

const options = (number: number) => ({ options: one(number, CALL_OPTIONS) }) as const;
const shardOf = { collection: string(1), shard: uint32(2) } as const;

export const LIST_NODES = message("ListNodesRequest", options(1));
export const NODE = message("Node", {
  nodeId: uint32(1),
  http: string(2),
  grpc: string(3),
  peer: string(4),
  role: string(5),
  alive: bool(6),
  leaderOf: uint32(7),
  replicas: uint32(8),
  version: string(9),
  state: string(10),
});
export const LIST_NODES_ANSWER = message("ListNodesAnswer", { nodes: many(1, NODE) });
export const REMOVE_NODE = message("RemoveNodeRequest", { nodeId: uint32(1), ...options(2) });
export const GET_LEADER = message("GetLeaderRequest", options(1));

export const LIST_SHARDS = message("ListShardsRequest", { collection: string(1), ...options(2) });
const REPLICA = message("Replica", {
  nodeId: uint32(1),
  role: string(2),
  state: string(3),
  term: optional.uint64(4),
  commit: optional.uint64(5),
  applied: optional.uint64(6),
  match: optional.uint64(7),
  lag: optional.uint64(8),
  stateHash: optional.string(9),
  hashIndex: optional.uint64(10),
  points: optional.uint64(11),
  error: optional.string(12),
});
export const SHARD = message("Shard", {
  shard: uint32(1),
  term: uint64(2),
  leader: optional.uint32(3),
  replicas: many(4, REPLICA),
});
export const LIST_SHARDS_ANSWER = message("ListShardsAnswer", { shards: many(1, SHARD) });
export const GET_SHARD = message("GetShardRequest", { ...shardOf, ...options(3) });

export const VOTER = message("VoterRequest", {
  ...shardOf,
  nodeId: uint32(3),
  wait: optional.bool(4),
  ...options(5),
});
export const MOVE_REPLICA = message("MoveReplicaRequest", {
  ...shardOf,
  fromNodeId: uint32(3),
  toNodeId: uint32(4),
  wait: optional.bool(5),
  ...options(6),
});
export const TRANSFER_LEADER = message("TransferLeaderRequest", {
  ...shardOf,
  nodeId: uint32(3),
  ...options(4),
});

export const RESTART_REPLICA = message("RestartReplicaRequest", {
  ...shardOf,
  nodeId: optional.uint32(3),
  ...options(4),
});

export const GET_STATUS = message("GetStatusRequest", options(1));
const LOCAL_REPLICA = message("LocalReplica", {
  collection: string(1),
  shard: uint32(2),
  group: uint64(3),
  role: string(4),
  leader: optional.uint32(5),
  term: uint64(6),
  commit: uint64(7),
  applied: uint64(8),
  firstIndex: uint64(9),
  logBytes: uint64(10),
  points: optional.uint64(11),
  error: optional.string(12),
});
export const NODE_STATE = message("NodeState", {
  nodeId: uint32(1),
  clusterId: string(2),
  version: string(3),
  startedAt: string(4),
  ready: bool(5),
  notes: strings(6),
  catalogueLeader: optional.uint32(7),
  catalogueTerm: uint64(8),
  catalogueApplied: uint64(9),
  replicas: many(10, LOCAL_REPLICA),
});
