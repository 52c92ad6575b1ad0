/**
 * How both ends of a new stream prove that they know the cluster's secret and belong to this cluster. Four messages:
 *
 *   dialling ── hello ────────▶ accepting
 *            ◀─ challenge ─────
 *            ── answer ───────▶
 *            ◀─ an empty one: welcome
 *
 * The bytes are the implementation's own; each is refused above {@link PROOF_BYTES_MAX}.
 */
export const PROOF_BYTES_MAX = 4 << 10;

export interface PeerProof {
  /** For one stream that this node opens to `node`. */
  dial(node: number): DiallingProof;
  /** For one stream that somebody opened to this node. */
  accept(): AcceptingProof;
}

export interface DiallingProof {
  readonly hello: Uint8Array;
  /** Throws when the other end does not know the secret, or is not the node that was dialled. */
  answer(challenge: Uint8Array): Uint8Array;
}

export interface AcceptingProof {
  /** Throws when the hello cannot be understood or speaks of another cluster. */
  challenge(hello: Uint8Array): Uint8Array;
  /** The node at the other end. Throws when it does not know the secret. */
  verify(answer: Uint8Array): number;
}
