import { encodeEntry, type CatalogueCommand } from "../../src/catalog/commands.ts";

export const create = (name: string, shardNumber = 1): CatalogueCommand & { kind: "createCollection" } => ({
  kind: "createCollection",
  collection: {
    name,
    vectors: { dimension: 8, distance: "Dot", m: 16, efConstruct: 100 },
    shardNumber,
    replicationFactor: 1,
    metadata: null,
  },
  nodes: [1],
  collectionsMax: 100,
});

export const command = (sequence: number, what: CatalogueCommand): Uint8Array =>
  encodeEntry({ origin: "test", sequence, command: what });
