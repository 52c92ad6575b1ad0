/** Transports as nodes of one cluster open them, and what tests ask of them. */
import { onTestFinished } from "vitest";
import { openPeerTransport, type PeerEvent, type PeerTransport } from "../../../shards/adapters.ts";
import type { PeerTransportLimits } from "../../../shards/adapters.ts";
import { GroupId, LogIndex, NodeId, Term } from "../../../shards/index.ts";
import type { GroupMessage } from "../../../shards/index.ts";
import { Recorder } from "./recorder.ts";
import { scratch } from "./scratch.ts";

export interface Node {
  readonly transport: PeerTransport;
  readonly seen: Recorder;
  readonly events: PeerEvent[];
  readonly staging: string;
}

export interface NodeOptions {
  readonly seen?: Recorder;
  readonly secret?: string;
  readonly cluster?: string;
  readonly incarnation?: string;
  readonly address?: string;
  readonly limits?: Partial<PeerTransportLimits>;
}

/** A transport on a port of its own; `id` null: without identity. The test's end closes it. */
export async function node(id: number | null, options: NodeOptions = {}): Promise<Node> {
  const { seen = new Recorder(), secret = "secret", address = "127.0.0.1:0", limits } = options;
  const events: PeerEvent[] = [];
  const staging = scratch();
  const transport = await openPeerTransport(
    { address, secret, stagingPath: staging, ...(limits === undefined ? {} : { limits }) },
    {
      onCall: async (name, bytes) => {
        if (name === "fail") throw new Error("it cannot be done");
        return Uint8Array.from(bytes).reverse();
      },
      onEvent: (event) => {
        events.push(event);
        seen.changed();
      },
    },
  );
  onTestFinished(async () => await transport[Symbol.asyncDispose]());
  if (id !== null) {
    const { cluster = "test", incarnation = `incarnation-${id}` } = options;
    transport.identify({ cluster, node: NodeId(id), incarnation, advertise: transport.address });
    transport.start(seen);
  }
  return { transport, seen, events, staging };
}

export const at = (id: number, { transport }: Node, incarnation: string | null = null) => ({
  node: NodeId(id),
  address: transport.address,
  incarnation,
});
export const has = (events: readonly PeerEvent[], expected: Partial<Record<string, unknown>>): boolean =>
  events.some((event) => Object.entries(expected).every(([key, value]) => Object(event)[key] === value));
/** So many bytes from node 1 to node 2. */
export const proposal = (bytes: number): GroupMessage => ({
  group: GroupId(1),
  message: {
    kind: "propose",
    from: NodeId(1),
    to: NodeId(2),
    term: Term(1),
    entries: [{ kind: "normal", data: new Uint8Array(bytes) }],
  },
});
/** One entry of so many bytes behind `prevIndex`, from node 1 to node 2. */
export const append = (prevIndex: number, bytes: number, group = 1): GroupMessage => ({
  group: GroupId(group),
  message: {
    kind: "append",
    from: NodeId(1),
    to: NodeId(2),
    term: Term(1),
    prevIndex: LogIndex(prevIndex),
    prevTerm: Term(1),
    entries: [{ term: Term(1), index: LogIndex(prevIndex + 1), kind: "normal", data: new Uint8Array(bytes) }],
    commit: LogIndex(0),
  },
});
export const heartbeat: GroupMessage = {
  group: GroupId(1),
  message: {
    kind: "heartbeat",
    from: NodeId(1),
    to: NodeId(2),
    term: Term(1),
    commit: LogIndex(1),
    readToken: "",
  },
};
