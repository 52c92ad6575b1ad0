import type { NodeId } from "../ports.ts";

/** What the transport tells about itself: for logs and metrics. */
export type PeerEvent =
  /** A connection was refused by us; `why` names what did not match. */
  | { readonly kind: "refusedPeer"; readonly sender: number | null; readonly why: RefusalReason }
  /** Messages that could not leave: the peer is away, or its queue is full. */
  | {
      readonly kind: "messagesDropped";
      readonly to: NodeId;
      readonly why: "disconnected" | "queueFull";
      readonly count: number;
    }
  /** A peer sent what cannot be understood; its stream was closed. */
  | { readonly kind: "badFrame"; readonly sender: number | null; readonly error: Error }
  /** A peer proved who it is from an address that is not the known one. */
  | { readonly kind: "peerAddress"; readonly node: NodeId; readonly address: string }
  /** The peer does not let us in; asking again will not help until something changes there. */
  | { readonly kind: "refusedByPeer"; readonly node: NodeId; readonly why: string }
  | {
      readonly kind: "snapshotProgress";
      readonly direction: "in" | "out";
      readonly group: number;
      readonly node: NodeId;
      readonly bytes: number;
      readonly total: number;
    }
  | {
      readonly kind: "snapshotEnded";
      readonly direction: "in" | "out";
      readonly group: number;
      readonly ok: boolean;
      readonly why: string;
    };

export type RefusalReason =
  "version" | "cluster" | "receiver" | "incarnation" | "proof" | "notReady" | "hello";
