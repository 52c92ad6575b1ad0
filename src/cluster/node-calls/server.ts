import type { Server, ServerDuplexStream } from "@grpc/grpc-js";
import { systemTimers, type Timers } from "../timers.ts";
import type { NodeCallHandlers } from "./contract.ts";
import { PROOF_BYTES_MAX, type PeerProof } from "./proof.ts";
import { ServedStream } from "./served-stream.ts";
import { NODE_CALLS, type NodeCallsEvent } from "./wire.ts";

export interface NodeCallsServerOptions {
  /** Calls of one stream in progress before further ones are refused with OVERLOADED. Default 4,096. */
  readonly callsMax?: number;
  /** Bytes of requests in progress of one stream, likewise. Default 64 MiB. */
  readonly bytesMax?: number;
  /** Bytes of answers not yet sent above which a stream reads no further calls. Default 64 MiB. */
  readonly backlogBytesMax?: number;
  /** Streams that have not proved who they are, before further ones are refused. Default 64. */
  readonly handshakesMax?: number;
}

export interface NodeCallsServerParts {
  readonly proof: PeerProof;
  readonly handlers: NodeCallHandlers;
  readonly timers?: Timers;
  readonly onEvent?: (event: NodeCallsEvent) => void;
  /**
   * Resets a stream whose first frames announce more than they may, before a byte of them is gathered. False: it
   * cannot be watched. Default: whatever the gRPC server takes as a message is gathered of strangers too.
   */
  readonly limitFirstFrames?: (call: object, limit: FirstFramesLimit) => boolean;
}

export interface FirstFramesLimit {
  readonly frames: number;
  readonly bytesMax: number;
  /** Told once, when the stream has been reset. */
  readonly exceeded: (why: string) => void;
}

/** Of a stranger: who he says he is, and the answer to our challenge. */
const HANDSHAKE_FRAMES = 2;

/** Answers the calls of other nodes on a gRPC server that somebody else binds and shuts down. */
export class NodeCallsServer implements Disposable {
  readonly #options: Required<NodeCallsServerOptions>;
  readonly #parts: Required<NodeCallsServerParts>;
  readonly #streams = new Set<ServedStream>();
  #closed = false;

  constructor(options: NodeCallsServerOptions, parts: NodeCallsServerParts) {
    this.#options = {
      callsMax: 4_096,
      bytesMax: 64 << 20,
      backlogBytesMax: 64 << 20,
      handshakesMax: 64,
      ...options,
    };
    const defaults = { timers: systemTimers, onEvent: () => undefined, limitFirstFrames: () => true };
    this.#parts = { ...defaults, ...parts };
  }

  /** Before the server is bound. */
  addTo(server: Server): void {
    server.addService(NODE_CALLS, {
      Stream: (stream: ServerDuplexStream<Buffer, Buffer>) => this.#serve(stream),
    });
  }

  /** Ends every stream; what handlers are doing is aborted. Streams that come later are refused. */
  [Symbol.dispose](): void {
    this.#closed = true;
    for (const stream of [...this.#streams]) stream.close("this node is stopping");
  }

  #serve(stream: ServerDuplexStream<Buffer, Buffer>): void {
    const served = new ServedStream(this.#options, {
      ...this.#parts,
      stream,
      onEnd: () => this.#streams.delete(served),
    });
    const strangers = [...this.#streams].filter(({ from }) => from === null).length;
    this.#streams.add(served);
    const watched = this.#parts.limitFirstFrames(stream, {
      frames: HANDSHAKE_FRAMES,
      bytesMax: PROOF_BYTES_MAX,
      exceeded: (why) => served.refuse(why),
    });
    if (!watched) served.refuse("the stream cannot be watched");
    else if (this.#closed) served.close("this node is stopping");
    else if (strangers >= this.#options.handshakesMax) served.close("too many handshakes are in progress");
  }
}
