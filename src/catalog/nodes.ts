import type { CatalogueCommand } from "./commands.ts";
import { rejected, type CatalogueNode, type CatalogueOutcome } from "./types.ts";

interface NodesSnapshot {
  readonly nodes: readonly CatalogueNode[];
  readonly lastNodeId: number;
  readonly removed: readonly number[];
}

/** Who belongs to the cluster, and who ever did: ids are never used twice. */
export class NodeTable {
  readonly #nodes = new Map<number, CatalogueNode>();
  #lastNodeId: number;
  readonly #removed: Set<number>;

  constructor(from: NodesSnapshot) {
    for (const node of from.nodes) this.#nodes.set(node.nodeId, node);
    this.#lastNodeId = from.lastNodeId;
    this.#removed = new Set(from.removed);
  }

  list(): readonly CatalogueNode[] {
    return [...this.#nodes.values()].sort((a, b) => a.nodeId - b.nodeId);
  }
  get(nodeId: number): CatalogueNode | null {
    return this.#nodes.get(nodeId) ?? null;
  }
  snapshot(): NodesSnapshot {
    return {
      nodes: this.list(),
      lastNodeId: this.#lastNodeId,
      removed: [...this.#removed].sort((a, b) => a - b),
    };
  }

  register(index: number, command: CatalogueCommand & { readonly kind: "registerNode" }): CatalogueOutcome {
    const { incarnation, nodeId, http, grpc, peer, version } = command;
    const known = this.list().find((node) => node.incarnation === incarnation);
    if (known !== undefined) {
      // What it does not say (it may not know yet) stays as it was.
      const node = {
        ...known,
        http: http || known.http,
        grpc: grpc || known.grpc,
        peer: peer || known.peer,
        version,
      };
      this.#nodes.set(node.nodeId, node);
      return { kind: "node", node };
    }
    const id = nodeId ?? this.#lastNodeId + 1;
    if (this.#nodes.has(id) || this.#removed.has(id)) {
      const why = this.#nodes.has(id) ? "belongs to another node" : "belonged to a node that was removed";
      return rejected(
        "NODE_ID_EXISTS",
        `node id ${id} ${why}, and ids are never reused: choose another, or none`,
      );
    }
    const node = {
      nodeId: id,
      incarnation,
      http,
      grpc,
      peer,
      version,
      state: "active",
      joined: index,
    } as const;
    this.#nodes.set(id, node);
    this.#lastNodeId = Math.max(this.#lastNodeId, id);
    return { kind: "node", node };
  }

  leave(nodeId: number): CatalogueOutcome {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return rejected("NODE_NOT_FOUND", `there is no node ${nodeId}`);
    const others = this.list().filter(({ state, nodeId: id }) => state === "active" && id !== nodeId);
    if (others.length === 0) return rejected("LAST_NODE", `node ${nodeId} is the last active one`);
    const leaving = { ...node, state: "leaving" } as const;
    this.#nodes.set(nodeId, leaving);
    return { kind: "node", node: leaving };
  }

  remove(nodeId: number, replicas: number): CatalogueOutcome {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return rejected("NODE_NOT_FOUND", `there is no node ${nodeId}`);
    if (replicas > 0) return rejected("NODE_IN_USE", `node ${nodeId} still holds ${replicas} replicas`);
    this.#nodes.delete(nodeId);
    this.#removed.add(nodeId);
    return { kind: "node", node };
  }
}
