/** The service Collections. */
import { collectionState } from "../api/collection-state.ts";
import { ApiError } from "../api/errors.ts";
import type { Limits } from "../api/limits.ts";
import type { AliasAction } from "../api/types.ts";
import { authorize } from "../auth/permit.ts";
import * as messages from "./messages/collections.ts";
import { EMPTY } from "./messages/common.ts";
import type { Of } from "./messages/points.ts";
import { method, onCluster, onCollection, type Method } from "./method.ts";
import { payloadOf } from "./point-fields.ts";

/** Qdrant's defaults and REST's. */
const DEFAULTS = { m: 16, efConstruct: 100, shardNumber: 1, replicationFactor: 3 } as const;
const STATES = { ready: "green", busy: "yellow", failed: "red" } as const;

const metadataOf = (json: string | null, limits: Limits) =>
  json === null ? null : payloadOf(json, limits, () => "`metadata_json`");

export const collectionMethods = (limits: Limits): readonly Method[] => [
  method({
    service: "Collections",
    name: "List",
    rule: onCluster("list"),
    request: messages.LIST_COLLECTIONS,
    answer: messages.LIST_COLLECTIONS_ANSWER,
    handle: ({ service, permit }) => ({ names: service.collections(permit).map(({ name }) => name) }),
  }),
  method({
    service: "Collections",
    name: "Get",
    rule: onCollection("read"),
    request: messages.COLLECTION_REQUEST,
    answer: messages.COLLECTION,
    async handle({ service, permit, signal }) {
      const { collection, shards } = await service.describe(permit, { signal });
      const { name, vectors, replicationFactor, metadata } = collection;
      const { state, failure, points, indexed } = collectionState(shards);
      return {
        name,
        state: STATES[state],
        points,
        indexed,
        ...vectors,
        shardNumber: collection.shards.length,
        replicationFactor,
        metadataJson: metadata === null ? null : JSON.stringify(metadata),
        error: failure ?? "",
      };
    },
  }),
  method({
    service: "Collections",
    name: "Exists",
    rule: onCollection("read"),
    request: messages.COLLECTION_REQUEST,
    answer: messages.EXISTS_ANSWER,
    handle: ({ service, permit }) => ({ exists: service.exists(permit) }),
  }),
  method({
    service: "Collections",
    name: "Create",
    rule: onCollection("manage"),
    adds: true,
    request: messages.CREATE_COLLECTION,
    answer: EMPTY,
    async handle({ service, permit, request, signal }) {
      const { dimension, distance } = request;
      if (distance === null)
        throw new ApiError("BAD_REQUEST", "Wrong input: the request lacks the field `distance`");
      const vectors = {
        dimension,
        distance,
        m: request.m ?? DEFAULTS.m,
        efConstruct: request.efConstruct ?? DEFAULTS.efConstruct,
      };
      const wanted = {
        vectors,
        shardNumber: request.shardNumber ?? DEFAULTS.shardNumber,
        replicationFactor: request.replicationFactor ?? DEFAULTS.replicationFactor,
        metadata: metadataOf(request.metadataJson, limits),
      };
      await service.create(permit, wanted, { signal });
      return {};
    },
  }),
  method({
    service: "Collections",
    name: "Update",
    rule: onCollection("configure"),
    request: messages.UPDATE_COLLECTION,
    answer: EMPTY,
    async handle({ service, permit, request, signal }) {
      const { replicationFactor } = request;
      const metadata = metadataOf(request.metadataJson, limits);
      const patch = metadata === null ? {} : { metadata };
      if (replicationFactor === null) await service.configure(permit, patch, { signal });
      else {
        // Where replicas lie is the cluster's matter, whoever may change the settings of one collection.
        const wider = authorize(permit.principal, "manage", permit.collection);
        await service.update(wider, { replicationFactor, ...patch }, { signal });
      }
      return {};
    },
  }),
  method({
    service: "Collections",
    name: "Delete",
    rule: onCollection("manage"),
    request: messages.COLLECTION_REQUEST,
    answer: messages.DELETE_COLLECTION_ANSWER,
    handle: async ({ service, permit, signal }) => ({ deleted: await service.remove(permit, { signal }) }),
  }),
  method({
    service: "Collections",
    name: "ListAliases",
    rule: onCluster("list"),
    request: messages.LIST_ALIASES,
    answer: messages.ALIASES_ANSWER,
    handle: ({ admin, permit }) => ({ aliases: admin.aliases(permit) }),
  }),
  method({
    service: "Collections",
    name: "GetAliases",
    rule: onCollection("read"),
    request: messages.COLLECTION_REQUEST,
    answer: messages.ALIASES_ANSWER,
    handle({ admin, service, permit }) {
      service.collection(permit);
      return { aliases: admin.aliasesOf(permit) };
    },
  }),
  method({
    service: "Collections",
    name: "ChangeAliases",
    rule: onCluster("manage"),
    request: messages.CHANGE_ALIASES,
    answer: EMPTY,
    async handle({ admin, permit, request, signal }) {
      await admin.changeAliases(permit, request.actions.map(actionOf), { signal });
      return {};
    },
  }),
];

function actionOf(sent: Of<typeof messages.ALIAS_ACTION>, at: number): AliasAction {
  if (sent.create !== null) return { kind: "create", ...sent.create };
  if (sent.delete !== null) return { kind: "delete", ...sent.delete };
  if (sent.rename !== null) return { kind: "rename", ...sent.rename };
  throw new ApiError(
    "BAD_REQUEST",
    `Wrong input: \`actions[${at}]\` must have one of create, delete, rename`,
  );
}
