/** The peer port: lets in who proves to know the secret and means this node, and hands each stream to its purpose. */
import type { Http2Stream } from "node:http2";
import { Server, type ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import { WireError } from "./codec.ts";
import { limitFirstFrames } from "./first-frames.ts";
import { FLOW_WINDOW_BYTES, widenWindow } from "./flow-window.ts";
import { greet, PROTOCOL_VERSION, readHello, type Greeting, type Hello } from "./handshake.ts";
import { streamOf } from "./http2-stream.ts";
import type { RefusalReason } from "./peer-events.ts";
import { channelOptions, PEER_SERVICE } from "./wire.ts";

export interface Identity {
  readonly cluster: string;
  readonly node: number;
  readonly incarnation: string;
}

/** One proved stream, from the listener's side. */
export interface Accepted {
  readonly hello: Hello;
  write(frame: Buffer): void;
  /** Ends it with a reason for the other side, or orderly. */
  end(why?: string): void;
}

/** What becomes of the frames of one stream. Throwing from `frame` closes it. */
export interface StreamHandler {
  frame(frame: Buffer): void;
  ended(): void;
}

export interface ListenerParts {
  readonly secret: string;
  /** null while this node does not know who it is: only calls are answered then. */
  readonly identity: () => Identity | null;
  readonly incarnation: () => string;
  readonly accept: (stream: Accepted) => StreamHandler | null;
  readonly refused: (sender: number | null, why: RefusalReason) => void;
  readonly badFrame: (sender: number | null, error: Error) => void;
}

/** A stranger that says nothing is not kept, nor is a connection without a stream: a dial makes both at once. */
const HANDSHAKE_MS = 5_000;
/** For a stranger that was refused to end his side too, before it is ended for him. */
const LINGER_MS = 1_000;
/** Streams at once: three per peer, and some who are being refused. */
const STREAMS_MAX = 1_024;
/** Of those, how many may still have to prove themselves: whoever dials can open as many as he likes. */
const UNPROVED_MAX = 128;
/** A hello is some hundred bytes, a proof fewer; those two are what a stranger says. */
const HANDSHAKE_FRAMES = 2;
const HANDSHAKE_FRAME_BYTES = 4_096;

export class Listener {
  readonly #server: Server;
  readonly #parts: ListenerParts;
  #streams = 0;
  #unproved = 0;

  constructor(options: { readonly frameBytesMax: number }, parts: ListenerParts) {
    this.#parts = parts;
    this.#server = new Server({
      ...channelOptions(options.frameBytesMax),
      "grpc.max_connection_idle_ms": HANDSHAKE_MS,
    });
    this.#server.addService(PEER_SERVICE, {
      Stream: (call: ServerDuplexStream<Buffer, Buffer>) => this.#serve(call),
    });
  }

  /** Rejects with the system's words (EADDRINUSE, ...). */
  bind(address: string, credentials: ServerCredentials): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, credentials, (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }

  close(): void {
    this.#server.forceShutdown();
  }

  #serve(call: ServerDuplexStream<Buffer, Buffer>): void {
    const stream = streamOf(call);
    if (stream === undefined) {
      // Without it a stranger could fill the memory: better no peers than that, and every test would say so.
      call.emit("error", { code: status.INTERNAL, details: "the stream cannot be watched" });
      return;
    }
    if (this.#streams >= STREAMS_MAX || this.#unproved >= UNPROVED_MAX) {
      call.emit("error", { code: status.RESOURCE_EXHAUSTED, details: "too many streams" });
      linger(stream);
      return;
    }
    this.#streams++;
    this.#unproved++;
    // However it ends, the stream gives its places back once each.
    const places = { proved: () => this.#unproved--, released: () => this.#streams-- };
    const session = new Session(call, this.#parts, { stream, places });
    limitFirstFrames(call, {
      frames: HANDSHAKE_FRAMES,
      bytesMax: HANDSHAKE_FRAME_BYTES,
      exceeded: (why) => session.exceeded(why),
    });
    const done = (): void => session.end();
    call.on("data", (frame: Buffer) => session.frame(frame));
    call.on("end", done);
    call.on("cancelled", done);
    call.on("error", done);
    call.on("close", done);
  }
}

/** Gives back what a stream counts against. */
interface Places {
  readonly proved: () => void;
  readonly released: () => void;
}

class Session {
  readonly #call: ServerDuplexStream<Buffer, Buffer>;
  readonly #stream: Http2Stream;
  readonly #parts: ListenerParts;
  readonly #late: NodeJS.Timeout;
  readonly #places: Places;
  #unproved = true;
  #greeting: Greeting | null = null;
  #hello: Hello | null = null;
  #handler: StreamHandler | null = null;
  #ended = false;

  constructor(
    call: ServerDuplexStream<Buffer, Buffer>,
    parts: ListenerParts,
    { stream, places }: { readonly stream: Http2Stream; readonly places: Places },
  ) {
    this.#call = call;
    this.#stream = stream;
    this.#parts = parts;
    this.#places = places;
    this.#late = setTimeout(() => this.#refuse("hello", status.DEADLINE_EXCEEDED), HANDSHAKE_MS);
    this.#late.unref();
  }

  frame(frame: Buffer): void {
    if (this.#ended) return;
    try {
      if (this.#handler !== null) {
        this.#handler.frame(frame);
        return;
      }
      if (this.#hello === null) this.#greet(readHello(frame));
      else this.#admit(this.#hello, frame);
    } catch (error) {
      this.#parts.badFrame(
        this.#hello?.sender ?? null,
        error instanceof Error ? error : new Error(String(error)),
      );
      this.#close(status.INVALID_ARGUMENT, "a frame that cannot be understood");
    }
  }

  /** The stream was reset because of it. */
  exceeded(why: string): void {
    if (this.#ended) return;
    this.#parts.badFrame(this.#hello?.sender ?? null, new WireError(why));
    this.end();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#late);
    if (this.#unproved) linger(this.#stream);
    this.#settle();
    this.#places.released();
    this.#handler?.ended();
    this.#call.end();
  }

  #greet(hello: Hello): void {
    const why = this.#mismatch(hello);
    if (why !== null)
      return this.#refuse(why, why === "notReady" ? status.UNAVAILABLE : status.FAILED_PRECONDITION);
    this.#hello = hello;
    this.#greeting = greet(this.#parts.secret, hello, this.#parts.incarnation());
    this.#call.write(this.#greeting.welcome);
  }

  #admit(hello: Hello, answer: Buffer): void {
    if (this.#greeting?.isProved(answer) !== true) return this.#refuse("proof", status.PERMISSION_DENIED);
    clearTimeout(this.#late);
    this.#settle();
    widenWindow(this.#call, FLOW_WINDOW_BYTES[hello.purpose === "bulk" ? "bulk" : "messages"]);
    this.#handler = this.#parts.accept({
      hello,
      write: (frame) => {
        if (!this.#ended) this.#call.write(frame);
      },
      end: (why) => {
        if (why === undefined) this.end();
        else this.#close(status.FAILED_PRECONDITION, why);
      },
    });
    if (this.#handler === null) this.#refuse("hello", status.UNIMPLEMENTED);
  }

  #settle(): void {
    if (this.#unproved) this.#places.proved();
    this.#unproved = false;
  }

  #mismatch(hello: Hello): RefusalReason | null {
    if (hello.version !== PROTOCOL_VERSION) return "version";
    // Who asks to be let in knows neither the cluster nor its members.
    if (hello.purpose === "call") return null;
    const me = this.#parts.identity();
    if (me === null) return "notReady";
    if (hello.cluster !== me.cluster) return "cluster";
    if (hello.receiver !== me.node) return "receiver";
    if (hello.receiverIncarnation !== null && hello.receiverIncarnation !== me.incarnation)
      return "incarnation";
    return null;
  }

  #refuse(why: RefusalReason, code: status): void {
    if (this.#ended) return;
    this.#parts.refused(this.#hello?.sender ?? null, why);
    this.#close(code, REFUSALS[why]);
  }

  #close(code: status, details: string): void {
    if (this.#ended) return;
    this.#call.emit("error", { code, details });
    this.end();
  }
}

const REFUSALS: Readonly<Record<RefusalReason, string>> = {
  version: "it speaks another version of the protocol",
  cluster: "it belongs to another cluster",
  receiver: "another node lives at this address",
  incarnation: "the node's data was wiped since; it is another node now",
  proof: "the cluster's secret is another one",
  notReady: "the node is starting",
  hello: "the handshake was not understood",
};

/** Otherwise a stranger keeps half a stream, and with it his connection, for as long as he likes. */
function linger(stream: Http2Stream): void {
  if (stream.closed) return;
  const lingering = setTimeout(() => stream.close(), LINGER_MS);
  lingering.unref();
  stream.once("close", () => clearTimeout(lingering));
}
