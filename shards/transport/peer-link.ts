import type { GroupMessage, NodeId, PeerState } from "../ports.ts";
import { encodeMessages, sizeOfMessage } from "./codec.ts";
import { dial, DialError, type DialOptions, type PeerStream } from "./dial.ts";
import type { PeerEvent } from "./peer-events.ts";

export interface PeerLinkOptions {
  readonly node: NodeId;
  /** Bytes that wait to leave; more are dropped, which Raft survives. */
  readonly queueBytesMax: number;
  /** Messages are cut into frames of about this size. */
  readonly frameBytes: number;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
}

export interface PeerLinkParts {
  readonly dial: () => Omit<DialOptions, "credentials"> & Pick<DialOptions, "credentials">;
  readonly changed: (state: PeerState) => void;
  readonly event: (event: PeerEvent) => void;
  /** From 0 to below 1. */
  readonly random: () => number;
}

/** A stream of messages to one peer, dialled again whenever it breaks. */
export class PeerLink {
  readonly #options: PeerLinkOptions;
  readonly #parts: PeerLinkParts;
  #stream: PeerStream | null = null;
  #retry: NodeJS.Timeout | null = null;
  #queued = 0;
  #failures = 0;
  #closed = false;
  #dialling = false;

  constructor(options: PeerLinkOptions, parts: PeerLinkParts) {
    this.#options = options;
    this.#parts = parts;
    this.#dial();
  }

  get connected(): boolean {
    return this.#stream !== null;
  }
  /** Something waits to leave. */
  get isBusy(): boolean {
    return this.#queued > 0;
  }

  send(messages: readonly GroupMessage[]): void {
    const { node, queueBytesMax, frameBytes } = this.#options;
    const stream = this.#stream;
    if (stream === null) {
      this.#parts.event({ kind: "messagesDropped", to: node, why: "disconnected", count: messages.length });
      return;
    }
    let from = 0;
    let bytes = 0;
    for (let at = 0; at <= messages.length; at++) {
      const message = messages[at];
      const size = message === undefined ? 0 : sizeOfMessage(message);
      if (at > from && (message === undefined || bytes + size > frameBytes)) {
        if (this.#queued > 0 && this.#queued + bytes > queueBytesMax) {
          const count = messages.length - from;
          this.#parts.event({ kind: "messagesDropped", to: node, why: "queueFull", count });
          return;
        }
        this.#write(stream, messages.slice(from, at));
        from = at;
        bytes = 0;
      }
      bytes += size;
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#stream?.close();
  }

  #write(stream: PeerStream, messages: readonly GroupMessage[]): void {
    const frame = encodeMessages(messages);
    this.#queued += frame.length;
    stream.write(frame, () => {
      if (this.#stream === stream) this.#queued -= frame.length;
    });
  }

  #dial(): void {
    if (this.#closed || this.#dialling) return;
    this.#dialling = true;
    dial(this.#parts.dial()).then(
      (stream) => {
        this.#dialling = false;
        this.#opened(stream);
      },
      (error: unknown) => {
        this.#dialling = false;
        if (error instanceof DialError) this.#failed(error);
        else throw error;
      },
    );
  }

  #opened(stream: PeerStream): void {
    if (this.#closed) return stream.close();
    this.#stream = stream;
    this.#queued = 0;
    const openedMs = performance.now();
    stream.onEnd = () => {
      this.#stream = null;
      if (this.#closed) return;
      // A stream that breaks as soon as it stands is a failure like any other, not to be repeated in a circle.
      const stood = performance.now() - openedMs >= this.#options.reconnectMaxMs;
      this.#failures = stood ? 0 : this.#failures + 1;
      this.#parts.changed("lost");
      // At once: whether somebody still listens there is what tells a dead process from a broken wire.
      if (this.#failures <= 1) this.#dial();
      else this.#dialLater();
    };
    this.#parts.changed("connected");
  }

  #failed(error: DialError): void {
    if (this.#closed) return;
    this.#failures++;
    if (error.kind === "denied")
      this.#parts.event({ kind: "refusedByPeer", node: this.#options.node, why: error.message });
    this.#parts.changed(error.kind === "refused" ? "refused" : "unreachable");
    this.#dialLater();
  }

  #dialLater(): void {
    const { reconnectMinMs, reconnectMaxMs } = this.#options;
    const most = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(10, this.#failures));
    this.#retry = setTimeout(() => this.#dial(), most * (0.5 + this.#parts.random() / 2));
  }
}
