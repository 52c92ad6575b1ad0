/** proto/flotilla/v1/collections.proto */
import { bool, optional, string, strings, uint32, uint64, word } from "../wire/fields.ts";
import { many, message, one } from "../wire/message.ts";
import { CALL_OPTIONS } from "./common.ts";

const head = { collection: string(1) } as const;
const distance = (number: number) => word(number, "Distance", ["Cosine", "Dot", "Euclid"]);

export const LIST_COLLECTIONS = message("ListCollectionsRequest", { options: one(1, CALL_OPTIONS) });
export const LIST_COLLECTIONS_ANSWER = message("ListCollectionsAnswer", { names: strings(1) });

export const COLLECTION_REQUEST = message("CollectionRequest", { ...head, options: one(2, CALL_OPTIONS) });
export const EXISTS_ANSWER = message("ExistsAnswer", { exists: bool(1) });

export const CREATE_COLLECTION = message("CreateCollectionRequest", {
  ...head,
  dimension: uint32(2),
  distance: distance(3),
  m: optional.uint32(4),
  efConstruct: optional.uint32(5),
  shardNumber: optional.uint32(6),
  replicationFactor: optional.uint32(7),
  metadataJson: optional.string(8),
  options: one(9, CALL_OPTIONS),
});

export const UPDATE_COLLECTION = message("UpdateCollectionRequest", {
  ...head,
  replicationFactor: optional.uint32(2),
  metadataJson: optional.string(3),
  options: one(4, CALL_OPTIONS),
});

export const DELETE_COLLECTION_ANSWER = message("DeleteCollectionAnswer", { deleted: bool(1) });

export const COLLECTION = message("Collection", {
  name: string(1),
  state: word(2, "State", ["green", "yellow", "red"]),
  points: uint64(3),
  indexed: uint64(4),
  dimension: uint32(5),
  distance: distance(6),
  m: uint32(7),
  efConstruct: uint32(8),
  shardNumber: uint32(9),
  replicationFactor: uint32(10),
  metadataJson: optional.string(11),
  error: string(12),
});

export const LIST_ALIASES = message("ListAliasesRequest", { options: one(1, CALL_OPTIONS) });
export const ALIAS = message("Alias", { alias: string(1), collection: string(2) });
export const ALIASES_ANSWER = message("AliasesAnswer", { aliases: many(1, ALIAS) });

export const ALIAS_ACTION = message(
  "AliasAction",
  {
    create: one(1, ALIAS),
    delete: one(2, message("DeleteAlias", { alias: string(1) })),
    rename: one(3, message("RenameAlias", { from: string(1), to: string(2) })),
  },
  "action",
);

export const CHANGE_ALIASES = message("ChangeAliasesRequest", {
  actions: many(1, ALIAS_ACTION),
  options: one(2, CALL_OPTIONS),
});
