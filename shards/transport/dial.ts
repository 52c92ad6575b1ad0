/** One stream to a peer, from the first byte to the moment both sides have proved themselves. */
import { Client, type ChannelCredentials, type ClientDuplexStream, status } from "@grpc/grpc-js";
import { beginHello, type Hello } from "./handshake.ts";
import { channelOptions, frameCodec, STREAM_PATH } from "./wire.ts";

export type DialFailure = "refused" | "unreachable" | "denied";

export class DialError extends Error {
  override readonly name = "DialError";
  readonly kind: DialFailure;
  constructor(kind: DialFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

export interface DialOptions {
  readonly address: string;
  readonly secret: string;
  readonly credentials: ChannelCredentials;
  readonly hello: Omit<Hello, "version" | "nonce">;
  /** From the first byte to the proof. */
  readonly timeoutMs: number;
  readonly frameBytesMax: number;
}

/** An open stream; frames come to `onFrame`, its end, for whatever reason, to `onEnd`, once. */
export interface PeerStream {
  readonly incarnation: string;
  onFrame: (frame: Buffer) => void;
  onEnd: (failure: Error) => void;
  /** Calls back when the frame has left this process's memory. */
  write(frame: Buffer, sent?: () => void): void;
  close(): void;
}

/** Resolves once both sides are proved; rejects with {@link DialError}. */
export function dial(options: DialOptions): Promise<PeerStream> {
  const { address, secret, credentials, timeoutMs, frameBytesMax } = options;
  const dialling = beginHello(secret, options.hello);
  return new Promise((resolve, reject) => {
    const client = new Client(address, credentials, channelOptions(frameBytesMax));
    const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
      STREAM_PATH,
      frameCodec.serialize,
      frameCodec.deserialize,
    );
    let stream: PeerStream | null = null;
    let ended = false;
    const end = (failure: DialError): void => {
      if (ended) return;
      ended = true;
      clearTimeout(late);
      call.cancel();
      client.close();
      if (stream === null) reject(failure);
      else stream.onEnd(failure);
    };
    const late = setTimeout(
      () => end(new DialError("unreachable", `${address} did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    call.on("error", (error: Error & { code?: number; details?: string }) => end(failureOf(address, error)));
    call.on("end", () => end(new DialError("unreachable", `${address} ended the stream`)));
    call.on("data", (frame: Buffer) => {
      if (ended) return;
      try {
        if (stream !== null) return stream.onFrame(frame);
        const { incarnation, proof } = dialling.answer(frame);
        call.write(proof);
        clearTimeout(late);
        stream = {
          incarnation,
          onFrame: () => undefined,
          onEnd: () => undefined,
          write: (out, sent) => void call.write(out, sent),
          close: () => end(new DialError("unreachable", "closed here")),
        };
        resolve(stream);
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        end(new DialError("denied", `${address}: ${why}`, { cause }));
      }
    });
    call.write(dialling.hello);
  });
}

/** A refused connection says that nobody listens; grpc tells it in words only. */
function failureOf(address: string, error: Error & { code?: number; details?: string }): DialError {
  const details = error.details ?? error.message;
  if (/ECONNREFUSED/.test(details))
    return new DialError("refused", `${address} refuses connections`, { cause: error });
  const denied = error.code === status.PERMISSION_DENIED || error.code === status.FAILED_PRECONDITION;
  return new DialError(denied ? "denied" : "unreachable", `${address}: ${details}`, { cause: error });
}
