/** `flotilla status`: a node, how it was built, its collections and shards. */
import type { Command } from "commander";
import { connect, print, table, withConnection, type Connection } from "./connection.ts";
import type { HttpClient } from "./http-client.ts";
import { call } from "./rest.ts";
import { SHARD_HEAD, shardRows, shardsOf, type ShardAnswer } from "./shards.ts";

interface NodeAnswer {
  readonly node_id: number;
  readonly cluster_id: string;
  readonly version: string;
  readonly started_at: string;
  readonly ready: boolean;
  readonly notes: readonly string[];
  readonly build: { readonly hnswlib: string; readonly flags: string; readonly node: string };
}
export function registerStatus(program: Command): void {
  withConnection(program.command("status").description("show a node, its collections and shards")).action(
    async (options: Connection) => {
      using client = connect(options);
      const status = await readStatus(client);
      print(options, status, () => show(status));
    },
  );
}

interface Status {
  readonly node: NodeAnswer;
  readonly collections: readonly { readonly name: string; readonly shards: readonly ShardAnswer[] }[];
}

async function readStatus(client: HttpClient): Promise<Status> {
  const node = (await call(client, "GET", "/status")) as NodeAnswer;
  const { collections } = (await call(client, "GET", "/collections")) as {
    readonly collections: readonly { readonly name: string }[];
  };
  const shards = [];
  for (const { name } of collections) shards.push({ name, shards: await shardsOf(client, name) });
  return { node, collections: shards };
}

function show({ node, collections }: Status): string {
  const { build } = node;
  const lines = [
    `node ${node.node_id} of cluster ${node.cluster_id}`,
    `flotilla ${node.version}, node.js ${build.node}, hnswlib ${build.hnswlib}${build.flags === "" ? "" : ` (${build.flags})`}`,
    `running since ${node.started_at}, ${node.ready ? "ready" : "not ready"}`,
    ...node.notes.map((note) => `  ${note}`),
    "",
  ];
  const rows = collections.flatMap(({ name, shards }) => shardRows(shards).map((row) => [name, ...row]));
  lines.push(rows.length === 0 ? "no collections" : table(["collection", ...SHARD_HEAD], rows));
  return lines.join("\n");
}
