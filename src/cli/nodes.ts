/** `flotilla nodes list|remove`: the members of the cluster. */
import type { Command } from "commander";
import { connect, print, table, wholeNumber, withConnection, type Connection } from "./connection.ts";
import { call } from "./rest.ts";

interface NodesAnswer {
  readonly nodes: readonly {
    readonly node_id: number;
    readonly http: string;
    readonly grpc: string;
    readonly peer: string;
    readonly role: string;
    readonly alive: boolean;
    readonly leader_of: number;
    readonly replicas: number;
    readonly version: string;
    readonly state: string;
  }[];
}

/** One that was told to leave is shown to leave, also when it is away. */
function stateOf({ alive, state }: NodesAnswer["nodes"][number]): string {
  if (alive) return state;
  return state === "leaving" ? "leaving, unreachable" : "unreachable";
}

export function registerNodes(program: Command): void {
  const nodes = program.command("nodes").description("list the nodes of a cluster, and let one go");

  withConnection(
    nodes.command("list", { isDefault: true }).description("all nodes, and what they hold"),
  ).action(async (options: Connection) => {
    using client = connect(options);
    const answer = (await call(client, "GET", "/nodes")) as NodesAnswer;
    const head = ["node", "state", "role", "leads", "replicas", "http", "grpc", "peer", "version"];
    print(options, answer, () =>
      table(
        head,
        answer.nodes.map((node) => [
          node.node_id,
          stateOf(node),
          node.role,
          node.leader_of,
          node.replicas,
          node.http,
          node.grpc,
          node.peer,
          node.version,
        ]),
      ),
    );
  });

  withConnection(
    nodes
      .command("remove")
      .description("move a node's replicas to others, then let it go for good")
      .argument("<node>", "its id", wholeNumber),
  ).action(async (node: number, options: Connection) => {
    using client = connect(options);
    const result = await call(client, "DELETE", `/nodes/${node}`);
    print(
      options,
      result,
      () => `node ${node} is leaving; \`flotilla nodes list\` shows it until it is empty`,
    );
  });
}
