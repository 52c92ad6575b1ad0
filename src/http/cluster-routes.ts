/** The cluster: nodes, shards and their replicas, leaders, aliases. */
import { ApiError } from "../api/errors.ts";
import type { AliasAction, NodeView, ShardView } from "../api/types.ts";
import * as answers from "./answers.ts";
import { PLAIN_QUERY, VOTER_QUERY } from "./call-options.ts";
import { onCluster, onCollection, route, type Params, type Route } from "./route.ts";
import {
  fallback,
  isObject,
  lacking,
  list,
  object,
  required,
  schema,
  text,
  whole,
  word,
  wrong,
  type Schema,
} from "./schema.ts";

const ok = { result: true } as const;

const NODE = object({ node_id: required(whole(1)) });

/** A whole number that is a part of the path. */
export function numberIn(params: Params, name: string): number {
  const part = params[name] ?? "";
  if (/^(0|[1-9][0-9]{0,9})$/.test(part)) return Number(part);
  throw wrong({ parent: null, key: `the ${name} in the path` }, "must be a whole number");
}

function nodeView(node: NodeView) {
  const { nodeId, http, grpc, peer, role, alive, leaderOf, replicas, version, state } = node;
  return { node_id: nodeId, http, grpc, peer, role, alive, leader_of: leaderOf, replicas, version, state };
}

export function shardView({ shard, term, leader, replicas }: ShardView) {
  return {
    shard,
    term,
    leader,
    replicas: replicas.map((replica) => ({
      node_id: replica.nodeId,
      role: replica.role,
      state: replica.state,
      term: replica.term,
      commit: replica.commit,
      applied: replica.applied,
      match: replica.match,
      lag: replica.lag,
      state_hash: replica.stateHash,
      hash_index: replica.hashIndex,
      points: replica.points,
      error: replica.error,
    })),
  };
}

/** Qdrant's words for the state of a replica. */
function qdrantState(state: ShardView["replicas"][number]["state"]): string {
  if (state === "active") return "Active";
  return state === "catching_up" || state === "snapshot" ? "Partial" : "Dead";
}

// ------------------------------------------------------------------------------------------------------ aliases

/** An object with one key, whose name says what is to be done. */
const aliasAction: Schema<AliasAction> = (() => {
  const bodies = {
    create_alias: object({ collection_name: required(text), alias_name: required(text) }),
    delete_alias: object({ alias_name: required(text) }),
    rename_alias: object({ old_alias_name: required(text), new_alias_name: required(text) }),
  };
  const anyOf = Object.entries(bodies).map(([name, { json }]) => ({
    type: "object",
    additionalProperties: false,
    required: [name],
    properties: { [name]: json },
  }));
  return schema<AliasAction>({ anyOf }, (value, at) => {
    const [name, ...more] = isObject(value) ? Object.keys(value) : [];
    const inside = { parent: at, key: name ?? "" };
    const given = isObject(value) && name !== undefined ? value[name] : null;
    if (more.length > 0)
      throw wrong(at, "must have one of the keys create_alias, delete_alias, rename_alias");
    switch (name) {
      case "create_alias": {
        const body = bodies.create_alias.read(given, inside);
        return { kind: "create", alias: body.alias_name, collection: body.collection_name };
      }
      case "delete_alias":
        return { kind: "delete", alias: bodies.delete_alias.read(given, inside).alias_name };
      case "rename_alias": {
        const body = bodies.rename_alias.read(given, inside);
        return { kind: "rename", from: body.old_alias_name, to: body.new_alias_name };
      }
      default:
        throw wrong(at, "must have one of the keys create_alias, delete_alias, rename_alias");
    }
  });
})();

const ALIASES = object({ actions: required(list(aliasAction)) });

const aliasViews = (aliases: readonly { readonly alias: string; readonly collection: string }[]) => ({
  aliases: aliases.map(({ alias, collection }) => ({ alias_name: alias, collection_name: collection })),
});

// --------------------------------------------------------------------------------------------- Qdrant's own words

const shardAndPeer = { shard_id: required(whole(0)), peer_id: required(whole(1)) };
const transfer = {
  shard_id: required(whole(0)),
  to_peer_id: required(whole(1)),
  from_peer_id: required(whole(1)),
  method: fallback(word(["stream_records", "snapshot", "wal_delta"]), "snapshot"),
  to_shard_id: lacking("resharding"),
};

/** Exactly one of them is to be given. */
const CLUSTER_OPERATION = object({
  replicate_shard: { required: false, schema: optionalObject(object(transfer)) },
  move_shard: { required: false, schema: optionalObject(object(transfer)) },
  drop_replica: { required: false, schema: optionalObject(object(shardAndPeer)) },
  abort_transfer: lacking("aborting a transfer (remove the voter instead)"),
  restart_transfer: lacking("restarting a transfer (it goes on by itself)"),
  create_sharding_key: lacking("custom sharding"),
  drop_sharding_key: lacking("custom sharding"),
  start_resharding: lacking("resharding"),
  abort_resharding: lacking("resharding"),
  replicate_points: lacking("replication of single points"),
});

function optionalObject<T>(inner: Schema<T>): Schema<T | null> {
  return schema({ anyOf: [inner.json, { type: "null" }] }, (value, at) =>
    value === undefined || value === null ? null : inner.read(value, at),
  );
}

export const clusterRoutes: readonly Route[] = [
  route({
    method: "GET",
    url: "/nodes",
    rule: onCluster("read"),
    summary: "The nodes of the cluster, and what each of them holds",
    query: PLAIN_QUERY,
    answer: answers.result(answers.NODES),
    body: null,
    handle: async ({ admin, permit, signal }) => ({
      result: { nodes: (await admin.nodes(permit, { signal })).map(nodeView) },
    }),
  }),
  route({
    method: "DELETE",
    url: "/nodes/:node",
    rule: onCluster("manage"),
    summary: "Drain a node and let it go; answers when the wish is in the catalogue",
    query: PLAIN_QUERY,
    answer: answers.DONE,
    body: null,
    async handle({ admin, permit, params, signal }) {
      await admin.removeNode(permit, numberIn(params, "node"), { signal });
      return ok;
    },
  }),
  route({
    method: "GET",
    url: "/leader",
    rule: onCluster("read"),
    summary: "The node that leads the catalogue",
    query: PLAIN_QUERY,
    answer: answers.result(answers.NODE),
    body: null,
    async handle({ admin, permit, signal }) {
      const leader = await admin.leader(permit, { signal });
      if (leader === null)
        throw new ApiError("NO_LEADER", "Service unavailable: the catalogue has no leader at the moment");
      return { result: nodeView(leader) };
    },
  }),
  route({
    method: "GET",
    url: "/cluster",
    rule: onCluster("read"),
    summary: "The cluster in Qdrant's words",
    query: PLAIN_QUERY,
    answer: answers.result(answers.CLUSTER),
    body: null,
    async handle({ admin, service, permit, signal }) {
      const { nodeId, catalogue } = service.node(permit);
      const nodes = await admin.nodes(permit, { signal });
      const votes = nodes.find((node) => node.nodeId === nodeId)?.role === "voter";
      return {
        result: {
          status: "enabled",
          peer_id: nodeId,
          peers: Object.fromEntries(
            nodes.map((node) => [String(node.nodeId), { uri: `http://${node.peer}` }]),
          ),
          raft_info: {
            term: catalogue.term,
            commit: catalogue.applied,
            pending_operations: 0,
            leader: catalogue.leader,
            role: catalogue.leader === nodeId ? "Leader" : votes ? "Follower" : "Learner",
            is_voter: votes,
          },
          consensus_thread_status: {
            consensus_thread_status: "working",
            last_update: new Date().toISOString(),
          },
          message_send_failures: {},
        },
      };
    },
  }),
  route({
    method: "GET",
    url: "/collections/:collection/cluster",
    rule: onCollection("read"),
    summary: "The replicas of a collection in Qdrant's words",
    query: PLAIN_QUERY,
    answer: answers.result(answers.COLLECTION_CLUSTER),
    body: null,
    async handle({ admin, service, permit, signal }) {
      const me = service.nodeId(permit);
      const shards = await admin.shards(permit, { signal });
      const all = shards.flatMap(({ shard, replicas }) => replicas.map((replica) => ({ shard, ...replica })));
      return {
        result: {
          peer_id: me,
          shard_count: shards.length,
          local_shards: all
            .filter(({ nodeId }) => nodeId === me)
            .map(({ shard, points, state }) => ({
              shard_id: shard,
              points_count: points ?? 0,
              state: qdrantState(state),
            })),
          remote_shards: all
            .filter(({ nodeId }) => nodeId !== me)
            .map(({ shard, nodeId, state }) => ({
              shard_id: shard,
              peer_id: nodeId,
              state: qdrantState(state),
            })),
          shard_transfers: [],
        },
      };
    },
  }),
  route({
    method: "POST",
    url: "/collections/:collection/cluster",
    rule: onCluster("manage"),
    summary: "Replicate, move or drop a replica of a shard, in Qdrant's words",
    query: PLAIN_QUERY,
    answer: answers.DONE,
    body: CLUSTER_OPERATION,
    async handle({ admin, permit, params, body, signal }) {
      const collection = params["collection"] ?? "";
      const { replicate_shard: replicate, move_shard: move, drop_replica: drop } = body;
      const wait = { signal, wait: false };
      const given = [replicate, move, drop].filter((operation) => operation !== null);
      if (given.length !== 1)
        throw wrong(
          { parent: null, key: "the body" },
          "must have one of replicate_shard, move_shard, drop_replica",
        );
      if (replicate !== null)
        await admin.addVoter(
          permit,
          { collection, shard: replicate.shard_id, nodeId: replicate.to_peer_id },
          wait,
        );
      if (move !== null)
        await admin.moveReplica(
          permit,
          { collection, shard: move.shard_id, nodeId: move.from_peer_id, to: move.to_peer_id },
          wait,
        );
      if (drop !== null)
        await admin.removeVoter(permit, { collection, shard: drop.shard_id, nodeId: drop.peer_id }, wait);
      return ok;
    },
  }),
  route({
    method: "GET",
    url: "/collections/:collection/shards",
    rule: onCollection("read"),
    summary: "The shards of a collection and their replicas",
    query: PLAIN_QUERY,
    answer: answers.result(answers.SHARDS),
    body: null,
    handle: async ({ admin, permit, signal }) => ({
      result: { shards: (await admin.shards(permit, { signal })).map(shardView) },
    }),
  }),
  route({
    method: "GET",
    url: "/collections/:collection/shards/:shard",
    rule: onCollection("read"),
    summary: "One shard and its replicas",
    query: PLAIN_QUERY,
    answer: answers.result(answers.SHARD),
    body: null,
    handle: async ({ admin, permit, params, signal }) => ({
      result: shardView(await admin.shard(permit, numberIn(params, "shard"), { signal })),
    }),
  }),
  route({
    method: "POST",
    url: "/collections/:collection/shards/:shard/voters",
    rule: onCluster("manage"),
    summary: "Give a node a replica of the shard; with `wait`, answers once it votes",
    query: VOTER_QUERY,
    answer: answers.DONE,
    body: NODE,
    async handle({ admin, permit, params, query, body, signal }) {
      const at = {
        collection: params["collection"] ?? "",
        shard: numberIn(params, "shard"),
        nodeId: body.node_id,
      };
      await admin.addVoter(permit, at, { signal, wait: query.wait });
      return ok;
    },
  }),
  route({
    method: "DELETE",
    url: "/collections/:collection/shards/:shard/voters/:node",
    rule: onCluster("manage"),
    summary: "Take a node's replica of the shard away",
    query: VOTER_QUERY,
    answer: answers.DONE,
    body: null,
    async handle({ admin, permit, params, query, signal }) {
      const at = {
        collection: params["collection"] ?? "",
        shard: numberIn(params, "shard"),
        nodeId: numberIn(params, "node"),
      };
      await admin.removeVoter(permit, at, { signal, wait: query.wait });
      return ok;
    },
  }),
  route({
    method: "POST",
    url: "/collections/:collection/shards/:shard/leader",
    rule: onCluster("manage"),
    summary: "Hand the shard's leadership to a node; answers once it leads",
    query: PLAIN_QUERY,
    answer: answers.DONE,
    body: NODE,
    async handle({ admin, permit, params, body, signal }) {
      const at = {
        collection: params["collection"] ?? "",
        shard: numberIn(params, "shard"),
        nodeId: body.node_id,
      };
      await admin.transferLeader(permit, at, { signal });
      return ok;
    },
  }),
  route({
    method: "POST",
    url: "/collections/aliases",
    rule: onCluster("manage"),
    summary: "Create, delete and rename aliases, all or none",
    query: PLAIN_QUERY,
    answer: answers.DONE,
    body: ALIASES,
    async handle({ admin, permit, body, signal }) {
      await admin.changeAliases(permit, body.actions, { signal });
      return ok;
    },
  }),
  route({
    method: "GET",
    url: "/aliases",
    rule: onCluster("list"),
    summary: "The aliases of the collections that may be read",
    query: PLAIN_QUERY,
    answer: answers.result(answers.ALIASES),
    body: null,
    handle: ({ admin, permit }) => ({ result: aliasViews(admin.aliases(permit)) }),
  }),
  route({
    method: "GET",
    url: "/collections/:collection/aliases",
    rule: onCollection("read"),
    summary: "The aliases of a collection",
    query: PLAIN_QUERY,
    answer: answers.result(answers.ALIASES),
    body: null,
    handle({ admin, service, permit }) {
      service.collection(permit);
      return { result: aliasViews(admin.aliasesOf(permit)) };
    },
  }),
];
