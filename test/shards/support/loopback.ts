import type {
  CapturedSnapshot,
  GroupMessage,
  NodeId,
  PeerEnvelope,
  PeerState,
  Transport,
  TransportReceiver,
} from "../../../shards/index.ts";

/** A network of function calls: delivers when pumped, in order, unless a link is cut. */
export class Loopback {
  readonly #receivers = new Map<NodeId, TransportReceiver>();
  readonly #cut = new Set<string>();
  #queue: (() => void)[] = [];
  /** Messages of one send call: what one turn gave one peer. */
  readonly sends: {
    readonly from: NodeId;
    readonly to: NodeId;
    readonly messages: readonly GroupMessage[];
  }[] = [];
  /** What the next envelopes carry instead of the truth. */
  forged: Partial<PeerEnvelope> = {};
  snapshotsFail = false;

  transport(from: NodeId): Transport {
    return { start: (receiver) => void this.#receivers.set(from, receiver), ...this.transportOf(from) };
  }

  /** Speaks in the name of a node. */
  transportOf(from: NodeId): Omit<Transport, "start"> {
    return {
      send: (to, messages) => {
        this.sends.push({ from, to, messages: [...messages] });
        this.#carry(from, to, (receiver, envelope) => receiver.messages(envelope, messages));
      },
      sendSnapshot: (to, message, snapshot) => this.#sendSnapshot(from, to, message, snapshot),
    };
  }

  cut(a: NodeId, b: NodeId): void {
    this.#cut.add(`${a}-${b}`).add(`${b}-${a}`);
  }
  cutOneWay(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}-${to}`);
  }
  isolate(node: NodeId): void {
    for (const other of this.#receivers.keys()) if (other !== node) this.cut(node, other);
  }
  heal(): void {
    this.#cut.clear();
  }
  /** The process is gone: its peers are told what a broken connection tells. */
  gone(node: NodeId, states: readonly PeerState[] = []): void {
    this.#receivers.delete(node);
    for (const receiver of this.#receivers.values()) for (const state of states) receiver.peer(node, state);
  }

  /** Delivers what is on its way; false when there was nothing. */
  pump(): boolean {
    const queue = this.#queue;
    this.#queue = [];
    for (const deliver of queue) deliver();
    return queue.length > 0;
  }

  #carry(
    from: NodeId,
    to: NodeId,
    deliver: (receiver: TransportReceiver, envelope: PeerEnvelope) => void,
  ): void {
    this.#queue.push(() => {
      const receiver = this.#receivers.get(to);
      if (receiver === undefined || this.#cut.has(`${from}-${to}`)) return;
      deliver(receiver, {
        cluster: "test",
        sender: from,
        receiver: to,
        receiverIncarnation: null,
        ...this.forged,
      });
    });
  }

  /** Copies the files, as a real transport stages them. */
  async #sendSnapshot(
    from: NodeId,
    to: NodeId,
    message: GroupMessage,
    source: CapturedSnapshot,
  ): Promise<boolean> {
    if (this.snapshotsFail || this.#cut.has(`${from}-${to}`)) return false;
    const bodies = new Map<string, Uint8Array>();
    for (const file of source.files) bodies.set(file.name, await source.read(file.name, 0, file.bytes));
    const staged: CapturedSnapshot = {
      index: source.index,
      files: source.files,
      read: async (name, offset, length) =>
        (bodies.get(name) ?? new Uint8Array(0)).slice(offset, offset + length),
      [Symbol.asyncDispose]: async () => bodies.clear(),
    };
    this.#carry(from, to, (receiver, envelope) => receiver.snapshot(envelope, message, staged));
    return true;
  }
}
