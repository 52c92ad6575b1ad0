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
import { bytes, list, pack, text, unpack, whole, WireError } from "./codec.ts";

/** Raised when nodes of different versions could no longer understand each other. */
export const PROTOCOL_VERSION = 1;
const NONCE_BYTES = 24;

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

/** What the dialling side says first, and how it answers the welcome. */
export interface Dialling {
  readonly hello: Buffer;
  /** The other side's incarnation and what to send it; throws WireError when it does not know the secret. */
  answer(welcome: Uint8Array): { readonly incarnation: string; readonly proof: Buffer };
}

export function beginHello(secret: string, fields: Omit<Hello, "version" | "nonce">): Dialling {
  const hello: Hello = { version: PROTOCOL_VERSION, nonce: randomBytes(NONCE_BYTES), ...fields };
  return {
    hello: pack(wireHello(hello)),
    answer(welcome) {
      const [incarnation, nonce, proof] = list(unpack(welcome));
      const said = { incarnation: text(incarnation), nonce: bytes(nonce) };
      if (!isProof(prove(secret, "listener", hello, said), bytes(proof)))
        throw new WireError("it does not know the cluster's secret");
      return { incarnation: said.incarnation, proof: pack([prove(secret, "dialler", hello, said)]) };
    },
  };
}

/** What the listening side says to a hello that it accepts, and how it checks the answer. */
export interface Greeting {
  readonly welcome: Buffer;
  isProved(answer: Uint8Array): boolean;
}

export function greet(secret: string, hello: Hello, incarnation: string): Greeting {
  const said = { incarnation, nonce: randomBytes(NONCE_BYTES) };
  return {
    welcome: pack([incarnation, said.nonce, prove(secret, "listener", hello, said)]),
    isProved: (answer) => isProof(prove(secret, "dialler", hello, said), bytes(list(unpack(answer))[0])),
  };
}

interface Said {
  readonly incarnation: string;
  readonly nonce: Uint8Array;
}

/** By the side that says it last. */
function prove(
  secret: string,
  side: "dialler" | "listener",
  hello: Hello,
  { incarnation, nonce }: Said,
): Buffer {
  return createHmac("sha256", secret)
    .update(pack([side, ...wireHello(hello), incarnation, nonce]))
    .digest();
}

/** In constant time. */
function isProof(expected: Uint8Array, given: Uint8Array): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given);
}

/** Positional, so that both sides hash the same bytes. */
function wireHello(hello: Hello): readonly unknown[] {
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
export function readHello(frame: Uint8Array): Hello {
  const fields = list(unpack(frame));
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
