/** `flotilla shards list|add-voter|remove-voter|transfer|restart`: where the replicas of a collection are. */
import { InvalidArgumentError, type Command } from "commander";
import { connect, print, table, wholeNumber, withConnection, type Connection } from "./connection.ts";
import type { HttpClient } from "./http-client.ts";
import { call, collectionPath } from "./rest.ts";

/** What `GET /collections/{c}/shards` says of one shard; null: not known. */
export interface ShardAnswer {
  readonly shard: number;
  readonly term: number;
  readonly leader: number | null;
  readonly replicas: readonly {
    readonly node_id: number;
    readonly role: string;
    readonly state: string;
    readonly commit: number | null;
    readonly applied: number | null;
    readonly match: number | null;
    readonly lag: number | null;
    readonly points: number | null;
    readonly error: string | null;
  }[];
}

interface VoterOptions extends Connection {
  readonly wait: boolean;
  readonly timeout?: number;
}

export async function shardsOf(client: HttpClient, collection: string): Promise<readonly ShardAnswer[]> {
  const answer = await call(client, "GET", collectionPath(collection, "/shards"));
  return (answer as { readonly shards: readonly ShardAnswer[] }).shards;
}

export const SHARD_HEAD = [
  "shard",
  "node",
  "role",
  "state",
  "points",
  "term",
  "commit",
  "applied",
  "match",
  "lag",
] as const;

/** One row per replica, as {@link SHARD_HEAD} names them; what nobody knows is a dash. */
export function shardRows(shards: readonly ShardAnswer[]): readonly (readonly (string | number)[])[] {
  return shards.flatMap(({ shard, term, replicas }) =>
    replicas.map((replica) => [
      shard,
      replica.node_id,
      replica.role,
      replica.error ?? replica.state,
      replica.points ?? "-",
      term,
      replica.commit ?? "-",
      replica.applied ?? "-",
      replica.match ?? "-",
      replica.lag ?? "-",
    ]),
  );
}

export function registerShards(program: Command): void {
  const shards = program.command("shards").description("show and change where a collection's shards are");

  withConnection(
    shards.command("list").description("the shards of a collection").argument("<collection>"),
  ).action(async (collection: string, options: Connection) => {
    using client = connect(options);
    const found = await shardsOf(client, collection);
    print(options, { shards: found }, () => table(SHARD_HEAD, shardRows(found)));
  });

  changing(shards, "add-voter", "give a node a replica of a shard that votes").action(
    async (collection: string, shard: number, node: number, options: VoterOptions) => {
      using client = connect(options, options.timeout);
      const path = collectionPath(collection, `/shards/${shard}/voters${waiting(options)}`);
      const result = await call(client, "POST", path, { node_id: node }, JSON_BODY);
      const does = options.wait ? "votes in" : "is to vote in";
      print(options, result, () => `node ${node} ${does} shard ${shard} of ${collection}`);
    },
  );

  changing(shards, "remove-voter", "take a node's replica of a shard away").action(
    async (collection: string, shard: number, node: number, options: VoterOptions) => {
      using client = connect(options, options.timeout);
      const path = collectionPath(collection, `/shards/${shard}/voters/${node}${waiting(options)}`);
      const result = await call(client, "DELETE", path);
      const does = options.wait ? "votes no more" : "is to vote no more";
      print(options, result, () => `node ${node} ${does} in shard ${shard} of ${collection}`);
    },
  );

  withConnection(placed(shards, "transfer", "hand the leadership of a shard to a node")).action(
    async (collection: string, shard: number, node: number, options: Connection) => {
      using client = connect(options);
      const path = collectionPath(collection, `/shards/${shard}/leader`);
      const result = await call(client, "POST", path, { node_id: node }, JSON_BODY);
      print(options, result, () => `node ${node} leads shard ${shard} of ${collection}`);
    },
  );

  withConnection(
    shards
      .command("restart")
      .description("close a replica and open it again: the way back for one that stopped")
      .argument("<collection>")
      .argument("<shard>", "its number, from 0 on", shardNumber)
      .argument("[node]", "the node's id; default: the node asked", wholeNumber),
  ).action(async (collection: string, shard: number, node: number | undefined, options: Connection) => {
    using client = connect(options);
    const path = collectionPath(collection, `/shards/${shard}/restart`);
    const body = node === undefined ? {} : { node_id: node };
    const result = await call(client, "POST", path, body, JSON_BODY);
    const where = node === undefined ? "the node asked" : `node ${node}`;
    print(options, result, () => `shard ${shard} of ${collection} serves again on ${where}`);
  });
}

const JSON_BODY = { "content-type": "application/json" } as const;

function placed(shards: Command, name: string, description: string): Command {
  return shards
    .command(name)
    .description(description)
    .argument("<collection>")
    .argument("<shard>", "its number, from 0 on", shardNumber)
    .argument("<node>", "the node's id", wholeNumber);
}

function changing(shards: Command, name: string, description: string): Command {
  return withConnection(placed(shards, name, description))
    .option("--timeout <seconds>", "how long to wait for it", wholeNumber)
    .option("--no-wait", "return when the wish is in the catalogue");
}

function waiting({ wait, timeout }: VoterOptions): string {
  return `?wait=${wait}${timeout === undefined ? "" : `&timeout=${timeout}`}`;
}

function shardNumber(text: string): number {
  if (/^(0|[1-9]\d{0,8})$/.test(text)) return Number(text);
  throw new InvalidArgumentError("it must be a whole number from 0 on");
}
