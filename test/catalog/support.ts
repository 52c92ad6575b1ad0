import { encodeEntry, type CatalogueCommand } from "../../src/catalog/commands.ts";
import { CatalogueState } from "../../src/catalog/state.ts";
import type { CatalogueSnapshot } from "../../src/catalog/types.ts";

/** A catalogue that nodes were let into, and nothing else. */
export const withNodes = (...ids: readonly number[]): CatalogueSnapshot => ({
  applied: 0,
  collections: [],
  nodes: ids.map((nodeId) => ({
    nodeId,
    incarnation: `incarnation-${nodeId}`,
    http: `10.0.0.${nodeId}:6333`,
    grpc: `10.0.0.${nodeId}:6334`,
    peer: `10.0.0.${nodeId}:6335`,
    version: "test",
    state: "active",
    joined: nodeId,
  })),
  lastNodeId: Math.max(0, ...ids),
  removed: [],
  aliases: [],
  recent: [],
});

/** Of one node. */
export const founded = (): CatalogueState => new CatalogueState(withNodes(1));

export const create = (name: string, shardNumber = 1): CatalogueCommand & { kind: "createCollection" } => ({
  kind: "createCollection",
  collection: {
    name,
    vectors: { dimension: 8, distance: "Dot", m: 16, efConstruct: 100 },
    shardNumber,
    replicationFactor: 1,
    metadata: null,
  },
  placement: Array.from({ length: shardNumber }, () => [1]),
  collectionsMax: 100,
});

export const command = (sequence: number, what: CatalogueCommand): Uint8Array =>
  encodeEntry({ origin: "test", sequence, command: what });
