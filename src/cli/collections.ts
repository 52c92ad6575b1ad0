/** `flotilla collections list|show|create|delete|aliases`. */
import { Option, type Command } from "commander";
import { connect, print, table, wholeNumber, withConnection, type Connection } from "./connection.ts";
import { call, collectionPath } from "./rest.ts";

interface CreateOptions extends Connection {
  readonly size: number;
  readonly distance: string;
  readonly shards?: number;
  readonly replicas?: number;
  readonly m?: number;
  readonly efConstruct?: number;
}
interface CollectionAnswer {
  readonly status: string;
  readonly points_count: number;
  readonly indexed_vectors_count: number;
  readonly config: {
    readonly params: { readonly vectors: { readonly size: number; readonly distance: string } };
  };
}

export function registerCollections(program: Command): void {
  const collections = program.command("collections").description("list, show, create and delete collections");

  withConnection(collections.command("list").description("all collections")).action(
    async (options: Connection) => {
      using client = connect(options);
      const answer = (await call(client, "GET", "/collections")) as {
        readonly collections: readonly { readonly name: string }[];
      };
      const rows: (string | number)[][] = [];
      for (const { name } of answer.collections) {
        const found = (await call(client, "GET", collectionPath(name))) as CollectionAnswer;
        const { size, distance } = found.config.params.vectors;
        rows.push([name, size, distance, found.points_count, found.indexed_vectors_count, found.status]);
      }
      const head = ["name", "size", "distance", "points", "indexed", "status"];
      print(options, answer, () => (rows.length === 0 ? "no collections" : table(head, rows)));
    },
  );

  withConnection(
    collections.command("aliases").description("other names, and the collections they stand for"),
  ).action(async (options: Connection) => {
    using client = connect(options);
    const answer = (await call(client, "GET", "/aliases")) as {
      readonly aliases: readonly { readonly alias_name: string; readonly collection_name: string }[];
    };
    const rows = answer.aliases.map((alias) => [alias.alias_name, alias.collection_name]);
    print(options, answer, () => (rows.length === 0 ? "no aliases" : table(["alias", "collection"], rows)));
  });

  withConnection(collections.command("show").description("one collection").argument("<name>")).action(
    async (name: string, options: Connection) => {
      using client = connect(options);
      const found = await call(client, "GET", collectionPath(name));
      print(options, found, () => JSON.stringify(found, null, 2));
    },
  );

  withConnection(collections.command("create").description("make a collection").argument("<name>"))
    .requiredOption("--size <dimension>", "elements of a vector", wholeNumber)
    .addOption(
      new Option("--distance <metric>", "how vectors are compared")
        .choices(["Cosine", "Dot", "Euclid"])
        .default("Cosine"),
    )
    .option("--shards <n>", "shards", wholeNumber)
    .option("--replicas <n>", "replicas of each shard, once there are so many nodes", wholeNumber)
    .option("--m <links>", "graph links per point", wholeNumber)
    .option("--ef-construct <n>", "candidates held while a point is linked in", wholeNumber)
    .action(async (name: string, options: CreateOptions) => {
      using client = connect(options);
      const { size, distance, shards, replicas, m, efConstruct } = options;
      const body = {
        vectors: { size, distance },
        ...(shards === undefined ? {} : { shard_number: shards }),
        ...(replicas === undefined ? {} : { replication_factor: replicas }),
        ...(m === undefined && efConstruct === undefined
          ? {}
          : { hnsw_config: { m, ef_construct: efConstruct } }),
      };
      const result = await call(client, "PUT", collectionPath(name), body, {
        "content-type": "application/json",
      });
      print(options, result, () => `created ${name}`);
    });

  withConnection(
    collections
      .command("delete")
      .description("delete a collection and everything in it, for good")
      .argument("<name>"),
  ).action(async (name: string, options: Connection) => {
    using client = connect(options);
    const result = await call(client, "DELETE", collectionPath(name));
    if (result !== true) throw new Error(`there is no collection ${name}`);
    print(options, result, () => `deleted ${name}`);
  });
}
