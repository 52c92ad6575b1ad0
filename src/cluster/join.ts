/**
 * How a new node finds its place, over the peer ports: it asks members to be let in, follows them to the catalogue's
 * leader, and goes on asking until it is in. Nodes that all are new see each other, and one of them founds the cluster.
 */
import { setTimeout as pause } from "node:timers/promises";

/** The name of the call. */
export const JOIN = "join";

export interface JoinRequest {
  /** The same for the whole life of the data directory: asking again is not asking for another place. */
  readonly incarnation: string;
  /** null: whichever is free. */
  readonly nodeId: number | null;
  readonly peer: string;
  /** Empty until they are bound: then the node asks again, with the same incarnation. */
  readonly grpc: string;
  readonly http: string;
  readonly version: string;
}

export interface Member {
  readonly node: number;
  readonly address: string;
  readonly incarnation: string;
}

export type JoinAnswer =
  | {
      readonly kind: "joined";
      readonly nodeId: number;
      readonly clusterId: string;
      readonly members: readonly Member[];
    }
  /** Ask this one: it leads the catalogue. */
  | { readonly kind: "ask"; readonly peer: string }
  | { readonly kind: "later"; readonly why: string }
  /** Asking again will not help. */
  | { readonly kind: "refused"; readonly why: string }
  /** Not a member of anything itself. */
  | { readonly kind: "new"; readonly incarnation: string };

export interface Place {
  readonly nodeId: number;
  readonly clusterId: string;
  readonly members: readonly Member[];
}

export interface FindPlaceParts {
  /** Rejects when the node cannot be reached. */
  readonly ask: (address: string, request: JoinRequest) => Promise<JoinAnswer>;
  readonly tell: (message: string) => void;
  readonly signal: AbortSignal;
  /** Milliseconds until the next round. */
  readonly pauseMs: () => number;
}

/** A refusal that only the operator can do something about. */
export class JoinRefused extends Error {
  override readonly name = "JoinRefused";
}

/** Resolves with this node's place; null: it is to found the cluster. Throws {@link JoinRefused} or the signal's reason. */
export async function findPlace(
  me: JoinRequest,
  options: { readonly addresses: readonly string[]; readonly expect: number },
  parts: FindPlaceParts,
): Promise<Place | null> {
  let told = "";
  for (;;) {
    const found = await askAll(me, options.addresses, parts);
    if (found.kind === "place") return found.place;
    const { strangers, why } = found;
    if (options.expect > 1 && strangers.size + 1 >= options.expect) {
      // All of them see the same nodes, so all agree who is first; the others ask it to be let in.
      if ([...strangers].every((other) => me.incarnation < other)) return null;
    }
    if (why !== told) parts.tell(`not in the cluster yet: ${why}`);
    told = why;
    await pause(parts.pauseMs(), undefined, { signal: parts.signal });
  }
}

type Round =
  | { readonly kind: "place"; readonly place: Place }
  | { readonly kind: "none"; readonly strangers: ReadonlySet<string>; readonly why: string };

async function askAll(me: JoinRequest, addresses: readonly string[], parts: FindPlaceParts): Promise<Round> {
  const strangers = new Set<string>();
  const asked = new Set<string>();
  const reasons: string[] = [];
  const queue = [...addresses];
  for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
    if (asked.has(address)) continue;
    asked.add(address);
    parts.signal.throwIfAborted();
    let answer: JoinAnswer;
    try {
      answer = await parts.ask(address, me);
    } catch (error) {
      reasons.push(`${address}: ${error instanceof Error ? error.message : String(error)}`);
      continue;
    }
    switch (answer.kind) {
      case "joined":
        return { kind: "place", place: answer };
      case "refused":
        throw new JoinRefused(`${address} does not let this node in: ${answer.why}`);
      case "ask":
        queue.unshift(answer.peer);
        break;
      case "later":
        reasons.push(`${address}: ${answer.why}`);
        break;
      case "new":
        // One's own address may be in the list that all nodes are given.
        if (answer.incarnation !== me.incarnation) strangers.add(answer.incarnation);
        reasons.push(`${address} is new itself`);
        break;
    }
  }
  return { kind: "none", strangers, why: reasons.join("; ") };
}

export function encodeJoin(value: JoinRequest | JoinAnswer): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** Throws TypeError for bytes that no node of ours sent. */
export function decodeJoinRequest(body: Uint8Array): JoinRequest {
  const read = parse(body);
  const { incarnation, nodeId, peer, grpc, http, version } = read;
  const texts = [incarnation, peer, grpc, http, version];
  const known = nodeId === null || (Number.isSafeInteger(nodeId) && (nodeId as number) > 0);
  if (!known || texts.some((text) => typeof text !== "string" || text.length > 512)) {
    throw new TypeError("a request to join that cannot be understood");
  }
  return { incarnation, nodeId, peer, grpc, http, version } as JoinRequest;
}

export function decodeJoinAnswer(body: Uint8Array): JoinAnswer {
  const read = parse(body);
  const kinds = ["joined", "ask", "later", "refused", "new"];
  if (!kinds.includes(read["kind"] as string)) throw new TypeError("an answer that cannot be understood");
  // Its kind tells the rest: it comes from a node that has proved the cluster's secret.
  return read as unknown as JoinAnswer;
}

function parse(body: Uint8Array): Record<string, unknown> {
  const read: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  if (typeof read !== "object" || read === null || Array.isArray(read)) throw new TypeError("not an object");
  return read as Record<string, unknown>;
}
