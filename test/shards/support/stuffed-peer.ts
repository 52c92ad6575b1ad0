/** A peer that lets others in, answers their pings, and then reads nothing of what they send until it is told to. */
import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { greet, readHello } from "../../../shards/transport/handshake.ts";

const PREFIX_BYTES = 5;

export class StuffedPeer implements AsyncDisposable {
  readonly #server: Http2Server;
  readonly #secret: string;
  readonly #streams = new Set<ServerHttp2Stream>();
  #stuffed = true;
  /** Sizes of the messages that it has read whole. */
  readonly read: number[] = [];
  onRead: () => void = () => undefined;

  private constructor(secret: string) {
    this.#secret = secret;
    this.#server = createServer();
    this.#server.on("stream", (stream) => this.#greet(stream));
  }
  static async open(secret: string): Promise<StuffedPeer> {
    const peer = new StuffedPeer(secret);
    peer.#server.listen(0, "127.0.0.1");
    await once(peer.#server, "listening");
    return peer;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  /** Reads what waits, and all that comes. */
  unstuff(): void {
    this.#stuffed = false;
    for (const stream of this.#streams) stream.resume();
  }

  #greet(stream: ServerHttp2Stream): void {
    this.#streams.add(stream);
    stream.on("error", () => stream.close());
    stream.on("close", () => this.#streams.delete(stream));
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    let bytes = Buffer.alloc(0);
    let messages = 0;
    stream.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (;;) {
        if (bytes.length < PREFIX_BYTES) return;
        const end = PREFIX_BYTES + bytes.readUInt32BE(1);
        if (bytes.length < end) return;
        const message = bytes.subarray(PREFIX_BYTES, end);
        bytes = bytes.subarray(end);
        messages++;
        if (messages === 1) stream.write(framed(greet(this.#secret, readHello(message), "stuffed").welcome));
        else if (messages === 2 && this.#stuffed) stream.pause();
        else if (messages > 2) {
          this.read.push(message.length);
          this.onRead();
        }
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) stream.session?.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
