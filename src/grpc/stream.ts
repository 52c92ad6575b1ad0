/** Streams of requests: each message is carried out before the next one, and answered in its turn. */
import type { Readable } from "node:stream";
import { ApiError } from "../api/errors.ts";
import { asApiError, statusOf } from "./status.ts";

/** What a bidirectional call of gRPC's is, as far as it matters here. */
export type RequestStream = Readable & {
  readonly cancelled: boolean;
  write(answer: Buffer): boolean;
  end(): unknown;
};

/** Messages of a stream that are here: the one being carried out, and one that is received meanwhile. */
const MESSAGES_HERE = 2;

/**
 * Ends with the first failure, whose status the client gets after the answers before it. No more than
 * {@link MESSAGES_HERE} messages are taken from the network before their answers are on their way: beyond that the
 * client waits. `stopping`: ends with NOT_READY after the message being carried out.
 */
export async function serveStream(
  call: RequestStream,
  stopping: AbortSignal,
  carryOut: (message: Buffer, number: number) => Promise<Buffer>,
): Promise<void> {
  const intake = new Intake(call);
  let idle = true;
  const stop = (): void => {
    if (!idle) return;
    fail(call, shuttingDown());
    // Ends the loop below, which waits for a message.
    call.push(null);
  };
  stopping.addEventListener("abort", stop, { once: true });
  try {
    let number = 0;
    // Not destroyed on return: the stream still has to carry the status of a message that fails.
    for await (const message of call.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      idle = false;
      const answer = await carryOut(message, ++number);
      intake.done();
      if (!call.write(answer)) await drained(call);
      idle = true;
      if (stopping.aborted) throw shuttingDown();
    }
    call.end();
  } catch (error) {
    fail(call, asApiError(error));
  } finally {
    stopping.removeEventListener("abort", stop);
  }
}

export const shuttingDown = (): ApiError =>
  new ApiError("NOT_READY", "Service unavailable: this node is shutting down");

/** What was answered before goes out first. A client that left is told nothing. */
function fail(call: RequestStream, error: ApiError): void {
  if (!call.cancelled) call.emit("error", statusOf(error));
}

/** Stands between the stream's buffer, which would take sixteen messages, and the network. */
class Intake {
  readonly #pull: (size: number) => void;
  #here = 0;
  #wanted: number | null = null;

  constructor(call: RequestStream) {
    this.#pull = call._read.bind(call);
    call._read = (size) => this.#read(size);
  }

  done(): void {
    this.#here--;
    const wanted = this.#wanted;
    this.#wanted = null;
    if (wanted !== null) this.#read(wanted);
  }

  #read(size: number): void {
    if (this.#here >= MESSAGES_HERE) {
      this.#wanted = size;
      return;
    }
    this.#here++;
    this.#pull(size);
  }
}

function drained(call: RequestStream): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      call.removeListener("drain", go);
      call.removeListener("cancelled", go);
      resolve();
    };
    call.on("drain", go);
    call.on("cancelled", go);
  });
}
