/** `flotilla status`: a node, how it was built, its collections and shards. */
import type { Command } from "commander";
import { connect, table, withConnection, type Connection } from "./connection.ts";
import type { HttpClient } from "./http-client.ts";
import { call } from "./rest.ts";

interface NodeAnswer {
  readonly node_id: number;
  readonly cluster_id: string;
  readonly version: string;
  readonly started_at: string;
  readonly ready: boolean;
  readonly notes: readonly string[];
  readonly build: { readonly hnswlib: string; readonly flags: string; readonly node: string };
}
interface ShardAnswer {
  readonly shard: number;
  readonly term: number;
  readonly leader: number | null;
  readonly replicas: readonly {
    readonly node_id: number;
    readonly role: string;
    readonly state: string;
    readonly commit: number;
    readonly applied: number;
    readonly points: number;
    readonly error: string | null;
  }[];
}

export function registerStatus(program: Command): void {
  withConnection(program.command("status").description("show a node, its collections and shards")).action(
    async (options: Connection) => {
      using client = connect(options);
      const status = await readStatus(client);
      process.stdout.write(options.json ? `${JSON.stringify(status, null, 2)}\n` : show(status));
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
  for (const { name } of collections) {
    const answer = await call(client, "GET", `/collections/${encodeURIComponent(name)}/shards`);
    shards.push({ name, shards: (answer as { readonly shards: readonly ShardAnswer[] }).shards });
  }
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
  const rows = collections.flatMap(({ name, shards }) =>
    shards.flatMap(({ shard, term, replicas }) =>
      replicas.map((replica) => [
        name,
        shard,
        replica.node_id,
        replica.role,
        replica.error ?? replica.state,
        replica.points,
        term,
        replica.commit,
        replica.applied,
      ]),
    ),
  );
  const head = ["collection", "shard", "node", "role", "state", "points", "term", "commit", "applied"];
  lines.push(rows.length === 0 ? "no collections" : table(head, rows));
  return `${lines.join("\n")}\n`;
}
