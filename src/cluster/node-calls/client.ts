import { credentials, type ChannelCredentials } from "@grpc/grpc-js";
import { systemTimers, type Timers } from "../timers.ts";
import type { NodeMethod, ReplyOf, RequestOf } from "./contract.ts";
import { NodeCallError } from "./errors.ts";
import { NodeLink, type NodeCallOptions } from "./link.ts";
import type { PeerProof } from "./proof.ts";
import type { NodeCallsEvent } from "./wire.ts";

export interface NodeCallsClientOptions {
  /** This node: never dialled. */
  readonly nodeId: number;
  /** Unanswered calls per node before further ones are refused. Default 4,096. */
  readonly callsMax?: number;
  /** Bytes of unanswered requests per node, likewise. Default 64 MiB. */
  readonly bytesMax?: number;
}

export interface NodeCallsClientParts {
  readonly proof: PeerProof;
  /** Default: no TLS. */
  readonly credentials?: ChannelCredentials;
  readonly timers?: Timers;
  readonly random?: () => number;
  readonly onEvent?: (event: NodeCallsEvent) => void;
}

/** Calls to the other nodes, over one stream to each. Always: a node that is known is dialled, whether asked or not. */
export class NodeCallsClient implements Disposable {
  readonly #options: Required<NodeCallsClientOptions>;
  readonly #parts: Required<NodeCallsClientParts>;
  readonly #links = new Map<number, NodeLink>();

  constructor(options: NodeCallsClientOptions, parts: NodeCallsClientParts) {
    this.#options = { callsMax: 4_096, bytesMax: 64 << 20, ...options };
    this.#parts = {
      credentials: credentials.createInsecure(),
      timers: systemTimers,
      random: Math.random,
      onEvent: () => undefined,
      ...parts,
    };
  }

  /** Whom to hold a stream to, and where; one whose address changed is dialled anew, one left out is closed. */
  setNodes(nodes: readonly { readonly nodeId: number; readonly grpc: string }[]): void {
    // A node that is joining has not said yet where it is.
    const wanted = new Map(nodes.filter(({ grpc }) => grpc !== "").map(({ nodeId, grpc }) => [nodeId, grpc]));
    wanted.delete(this.#options.nodeId);
    for (const [node, link] of this.#links) {
      if (wanted.get(node) === link.address) continue;
      this.#links.delete(node);
      link[Symbol.dispose]();
    }
    const { callsMax, bytesMax } = this.#options;
    for (const [node, address] of wanted) {
      if (this.#links.has(node)) continue;
      this.#links.set(node, new NodeLink({ node, address, callsMax, bytesMax }, this.#parts));
    }
  }

  /** Whether a call would be sent now; `dialling`: it would wait. */
  stateOf(node: number): "dialling" | "open" | "down" {
    return this.#links.get(node)?.state ?? "down";
  }
  /** Unanswered calls to all nodes. */
  get inFlight(): number {
    return [...this.#links.values()].reduce((sum, link) => sum + link.inFlight, 0);
  }

  /** Throws {@link NodeCallError}, or the ApiError that the other node threw. */
  call<M extends NodeMethod>(
    node: number,
    method: M,
    request: RequestOf<M>,
    options: NodeCallOptions,
  ): Promise<ReplyOf<M>> {
    const link = this.#links.get(node);
    if (link !== undefined) return link.call(method, request, options);
    const facts = { code: "UNREACHABLE", node, sent: false };
    return Promise.reject(new NodeCallError(facts, `node ${node} is not known here`));
  }

  [Symbol.dispose](): void {
    this.setNodes([]);
  }
}
