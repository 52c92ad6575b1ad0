import type {
  CapturedSnapshot,
  GroupMessage,
  NodeId,
  PeerEnvelope,
  PeerState,
  TransportReceiver,
} from "../../../shards/index.ts";

/** Keeps what a transport brings; {@link until} waits for the event that makes something true. */
export class Recorder implements TransportReceiver {
  readonly batches: { readonly envelope: PeerEnvelope; readonly messages: readonly GroupMessage[] }[] = [];
  readonly snapshots: { readonly message: GroupMessage; readonly staged: CapturedSnapshot }[] = [];
  readonly peers: { readonly node: NodeId; readonly state: PeerState }[] = [];
  readonly #waiting = new Set<() => void>();

  messages(envelope: PeerEnvelope, messages: readonly GroupMessage[]): void {
    this.batches.push({ envelope, messages });
    this.changed();
  }
  snapshot(_: PeerEnvelope, message: GroupMessage, staged: CapturedSnapshot): void {
    this.snapshots.push({ message, staged });
    this.changed();
  }
  peer(node: NodeId, state: PeerState): void {
    this.peers.push({ node, state });
    this.changed();
  }

  get all(): readonly GroupMessage[] {
    return this.batches.flatMap(({ messages }) => messages);
  }
  saw(state: PeerState): boolean {
    return this.peers.some((peer) => peer.state === state);
  }
  /** Something else that tests wait for has happened. */
  changed(): void {
    for (const check of [...this.#waiting]) check();
  }
  async until(isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    await new Promise<void>((resolve) => {
      const check = (): void => {
        if (!isSo()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
    });
  }
}
