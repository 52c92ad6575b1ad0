/** The other side of joining: lets nodes in, when this one leads the catalogue. */
import { decodeJoinRequest, encodeJoin, type JoinAnswer, type JoinRequest } from "./join.ts";
import type { CatalogueNode } from "../catalog/types.ts";

export interface JoinDeskParts {
  /** null while this node has no place itself. */
  readonly identity: () => { readonly nodeId: number; readonly clusterId: string } | null;
  readonly incarnation: string;
  /** Who leads the catalogue, as far as is known here. */
  readonly leader: () => number | null;
  readonly nodes: () => readonly CatalogueNode[];
  /** Through the catalogue's log. */
  readonly register: (request: JoinRequest) => Promise<Registered>;
}

export type Registered =
  | { readonly kind: "registered"; readonly node: CatalogueNode }
  | { readonly kind: "rejected"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

export async function answerJoin(body: Uint8Array, parts: JoinDeskParts): Promise<Uint8Array> {
  return encodeJoin(await decide(decodeJoinRequest(body), parts));
}

async function decide(request: JoinRequest, parts: JoinDeskParts): Promise<JoinAnswer> {
  const me = parts.identity();
  if (me === null) return { kind: "new", incarnation: parts.incarnation };
  const leader = parts.leader();
  if (leader === null) return { kind: "later", why: "the catalogue has no leader at the moment" };
  if (leader !== me.nodeId) {
    const peer = parts.nodes().find(({ nodeId }) => nodeId === leader)?.peer;
    return peer === undefined || peer === ""
      ? { kind: "later", why: `node ${leader} leads the catalogue, and its address is not known here yet` }
      : { kind: "ask", peer };
  }
  const isKnown = parts.nodes().some(({ nodeId }) => nodeId === me.nodeId);
  // The founder's own id is taken from the beginning, though only its registration says so.
  if (!isKnown && request.incarnation !== parts.incarnation)
    return { kind: "later", why: "the node that founds the cluster is starting" };
  const registered = await parts.register(request);
  if (registered.kind === "rejected") return { kind: "refused", why: registered.message };
  if (registered.kind === "failed") return { kind: "later", why: registered.message };
  return {
    kind: "joined",
    nodeId: registered.node.nodeId,
    clusterId: me.clusterId,
    members: parts
      .nodes()
      .filter(({ nodeId }) => nodeId !== registered.node.nodeId)
      .map(({ nodeId, peer, incarnation }) => ({ node: nodeId, address: peer, incarnation })),
  };
}
