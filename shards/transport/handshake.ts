/**
 * How two nodes convince each other that they know the cluster's secret, without sending it: each draws a nonce and
 * answers with an HMAC over everything both have said, in its own role. What was recorded once is of no use later,
 * because the other side's nonce is new each time.
 *
 *     dialler                         listener
 *        hello  (who, to whom, nonce) ──▶
 *        ◀── welcome (who, nonce, proof)
 *        proof ──▶                       then whatever the stream is for
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { bytes, list, pack, text, whole } from "./codec.ts";

/** Raised when nodes of different versions could no longer understand each other. */
export const PROTOCOL_VERSION = 1;

export interface Hello {
  readonly version: number;
  /** What the stream is for. */
  readonly purpose: string;
  /** Empty: a node that has no place in a cluster yet. */
  readonly cluster: string;
  readonly sender: number;
  readonly receiver: number;
  readonly senderIncarnation: string;
  /** null: not known to the sender. */
  readonly receiverIncarnation: string | null;
  /** Where the sender is reached. */
  readonly advertise: string;
  readonly nonce: Uint8Array;
}

export interface Welcome {
  readonly incarnation: string;
  readonly nonce: Uint8Array;
  readonly proof: Uint8Array;
}

export function drawNonce(): Uint8Array {
  return randomBytes(24);
}

/** By the side that says it last: `dialler` or `listener`. */
export function prove(
  secret: string,
  side: "dialler" | "listener",
  hello: Hello,
  welcome: Pick<Welcome, "incarnation" | "nonce">,
): Uint8Array {
  const said = pack([side, ...wireHello(hello), welcome.incarnation, welcome.nonce]);
  return createHmac("sha256", secret).update(said).digest();
}

/** In constant time. */
export function isProof(expected: Uint8Array, given: Uint8Array): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given);
}

/** Positional, so that both sides hash the same bytes. */
export function wireHello(hello: Hello): readonly unknown[] {
  const { version, purpose, cluster, sender, receiver, senderIncarnation, receiverIncarnation } = hello;
  const { advertise, nonce } = hello;
  return [
    version,
    purpose,
    cluster,
    sender,
    receiver,
    senderIncarnation,
    receiverIncarnation,
    advertise,
    nonce,
  ];
}

/** Throws WireError for what no version of ours sends. */
export function readHello(frame: unknown): Hello {
  const fields = list(frame);
  const [version, purpose, cluster, sender, receiver, senderIncarnation, receiverIncarnation] = fields;
  return {
    version: whole(version),
    purpose: text(purpose),
    cluster: text(cluster),
    sender: whole(sender),
    receiver: whole(receiver),
    senderIncarnation: text(senderIncarnation),
    receiverIncarnation: receiverIncarnation === null ? null : text(receiverIncarnation),
    advertise: text(fields[7]),
    nonce: bytes(fields[8]),
  };
}
