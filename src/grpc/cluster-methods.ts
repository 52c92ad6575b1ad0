/** The service Cluster. */
import { ApiError } from "../api/errors.ts";
import * as messages from "./messages/cluster.ts";
import { EMPTY } from "./messages/common.ts";
import { method, onCluster, onCollection, type Method } from "./method.ts";

export const clusterMethods: readonly Method[] = [
  method({
    service: "Cluster",
    name: "ListNodes",
    rule: onCluster("read"),
    request: messages.LIST_NODES,
    answer: messages.LIST_NODES_ANSWER,
    handle: async ({ admin, permit, signal }) => ({ nodes: await admin.nodes(permit, { signal }) }),
  }),
  method({
    service: "Cluster",
    name: "RemoveNode",
    rule: onCluster("manage"),
    request: messages.REMOVE_NODE,
    answer: EMPTY,
    async handle({ admin, permit, request, signal }) {
      await admin.removeNode(permit, given(request.nodeId, "node_id"), { signal });
      return {};
    },
  }),
  method({
    service: "Cluster",
    name: "GetLeader",
    rule: onCluster("read"),
    request: messages.GET_LEADER,
    answer: messages.NODE,
    async handle({ admin, permit, signal }) {
      const leader = await admin.leader(permit, { signal });
      if (leader !== null) return leader;
      throw new ApiError("NO_LEADER", "Service unavailable: the catalogue has no leader at the moment");
    },
  }),
  method({
    service: "Cluster",
    name: "ListShards",
    rule: onCollection("read"),
    request: messages.LIST_SHARDS,
    answer: messages.LIST_SHARDS_ANSWER,
    handle: async ({ admin, permit, signal }) => ({ shards: await admin.shards(permit, { signal }) }),
  }),
  method({
    service: "Cluster",
    name: "GetShard",
    rule: onCollection("read"),
    request: messages.GET_SHARD,
    answer: messages.SHARD,
    handle: ({ admin, permit, request, signal }) => admin.shard(permit, request.shard, { signal }),
  }),
  method({
    service: "Cluster",
    name: "AddVoter",
    rule: onCluster("manage"),
    request: messages.VOTER,
    answer: EMPTY,
    async handle({ admin, permit, request, signal }) {
      await admin.addVoter(permit, placeOf(request), { signal, wait: request.wait ?? true });
      return {};
    },
  }),
  method({
    service: "Cluster",
    name: "RemoveVoter",
    rule: onCluster("manage"),
    request: messages.VOTER,
    answer: EMPTY,
    async handle({ admin, permit, request, signal }) {
      await admin.removeVoter(permit, placeOf(request), { signal, wait: request.wait ?? true });
      return {};
    },
  }),
  method({
    service: "Cluster",
    name: "MoveReplica",
    rule: onCluster("manage"),
    request: messages.MOVE_REPLICA,
    answer: EMPTY,
    async handle({ admin, permit, request, signal }) {
      const { collection, shard, wait } = request;
      const nodeId = given(request.fromNodeId, "from_node_id");
      const to = given(request.toNodeId, "to_node_id");
      await admin.moveReplica(permit, { collection, shard, nodeId, to }, { signal, wait: wait ?? true });
      return {};
    },
  }),
  method({
    service: "Cluster",
    name: "TransferLeader",
    rule: onCluster("manage"),
    request: messages.TRANSFER_LEADER,
    answer: EMPTY,
    async handle({ admin, permit, request, signal }) {
      await admin.transferLeader(permit, placeOf(request), { signal });
      return {};
    },
  }),
  method({
    service: "Cluster",
    name: "RestartReplica",
    rule: onCluster("manage"),
    request: messages.RESTART_REPLICA,
    answer: EMPTY,
    async handle({ admin, permit, request, signal }) {
      const { collection, shard } = request;
      const nodeId = request.nodeId === null ? null : given(request.nodeId, "node_id");
      await admin.restartReplica(permit, { collection, shard, nodeId }, { signal });
      return {};
    },
  }),
  method({
    service: "Cluster",
    name: "GetStatus",
    rule: onCluster("read"),
    request: messages.GET_STATUS,
    answer: messages.NODE_STATE,
    async handle({ service, permit, signal }) {
      const { catalogue, ...node } = service.node(permit);
      const held = await service.localShards(permit, { signal });
      return {
        ...node,
        catalogueLeader: catalogue.leader,
        catalogueTerm: catalogue.term,
        catalogueApplied: catalogue.applied,
        replicas: held.map(({ collection, status }) => ({
          ...status,
          collection,
          points: status.engine?.points ?? null,
          error: status.error ?? status.engine?.failure ?? null,
        })),
      };
    },
  }),
];

interface Place {
  readonly collection: string;
  readonly shard: number;
  readonly nodeId: number;
}

const placeOf = ({ collection, shard, nodeId }: Place): Place => ({
  collection,
  shard,
  nodeId: given(nodeId, "node_id"),
});

/** Nodes count from 1. */
function given(nodeId: number, field: string): number {
  if (nodeId > 0) return nodeId;
  throw new ApiError("BAD_REQUEST", `Wrong input: the request lacks the field \`${field}\``);
}
