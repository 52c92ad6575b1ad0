/** One stream that another node opened to this one: its handshake, then its calls. */
import { status, type ServerDuplexStream } from "@grpc/grpc-js";
import { ApiError } from "../../api/errors.ts";
import { requestController } from "../../api/request-signal.ts";
import type { Timers } from "../timers.ts";
import { isMethod, isRequest } from "./checks.ts";
import type { NodeCallContext, NodeCallHandlers, NodeMethod } from "./contract.ts";
import { BadFrame, wireError } from "./errors.ts";
import { encodeFrame, FRAME_BYTES_MAX, FrameReader, type AnswerFrame, type CallerFrame } from "./frames.ts";
import { PROOF_BYTES_MAX, type AcceptingProof, type PeerProof } from "./proof.ts";
import type { NodeCallsEvent } from "./wire.ts";

export interface ServedStreamOptions {
  readonly callsMax: number;
  readonly bytesMax: number;
  readonly backlogBytesMax: number;
}

export interface ServedStreamParts {
  readonly stream: ServerDuplexStream<Buffer, Buffer>;
  readonly proof: PeerProof;
  readonly handlers: NodeCallHandlers;
  readonly timers: Timers;
  readonly onEvent: (event: NodeCallsEvent) => void;
  readonly onEnd: () => void;
}

/** A stranger may hold a stream so long. */
const HANDSHAKE_MS = 5_000;
const LONGEST_MS = 86_400_000;

type Call = CallerFrame & { readonly kind: "call" };

export class ServedStream {
  readonly #options: ServedStreamOptions;
  readonly #parts: ServedStreamParts;
  readonly #accepting: AcceptingProof;
  readonly #reader = new FrameReader();
  readonly #calls = new Map<number, AbortController>();
  readonly #stopTimer: () => void;
  #phase: "hello" | "answer" | "open" | "ended" = "hello";
  #from: number | null = null;
  #bytes = 0;
  #backlog = 0;

  constructor(options: ServedStreamOptions, parts: ServedStreamParts) {
    this.#options = options;
    this.#parts = parts;
    this.#accepting = parts.proof.accept();
    this.#stopTimer = parts.timers.after(HANDSHAKE_MS, () => this.refuse("the handshake took too long"));
    const { stream } = parts;
    stream.on("data", (message: Buffer) => this.#received(message));
    stream.on("end", () => {
      this.#ended("the other node closed the stream");
      stream.end();
    });
    stream.on("cancelled", () => this.#ended("the connection was closed"));
    stream.on("error", (error) => this.#ended(error.message));
  }

  /** The node at the other end, once it has proved to be that. */
  get from(): number | null {
    return this.#from;
  }

  close(why: string, code: status = status.UNAVAILABLE): void {
    if (this.#phase === "ended") return;
    this.#ended(why);
    // gRPC ends a stream with a status when it hears of an error; destroying it would send none.
    this.#parts.stream.emit("error", Object.assign(new Error(why), { code, details: why }));
  }

  #received(message: Buffer): void {
    const { stream } = this.#parts;
    switch (this.#phase) {
      case "hello":
      case "answer":
        try {
          if (message.byteLength > PROOF_BYTES_MAX) throw new BadFrame("the handshake is too long");
          if (this.#phase === "hello") {
            stream.write(Buffer.from(this.#accepting.challenge(message)));
            this.#phase = "answer";
          } else {
            this.#from = this.#accepting.verify(message);
            this.#phase = "open";
            this.#stopTimer();
            stream.write(Buffer.alloc(0));
            this.#parts.onEvent({ kind: "connected", node: this.#from, side: "accepted" });
          }
        } catch (error) {
          this.refuse(error instanceof Error ? error.message : String(error));
        }
        return;
      case "open":
        try {
          const frame = this.#reader.read(message);
          if (frame?.kind === "call") this.#take(frame, message.byteLength);
          else if (frame?.kind === "cancel")
            this.#calls.get(frame.id)?.abort(new Error("the caller gave up"));
          else if (frame !== null) throw new BadFrame("answers go the other way on this stream");
        } catch (error) {
          if (!(error instanceof BadFrame)) throw error;
          this.#parts.onEvent({ kind: "badFrame", node: this.#from ?? 0, why: error.message });
          this.close(error.message, status.INVALID_ARGUMENT);
        }
        return;
      case "ended":
        return;
    }
  }

  /** Whoever it is does not get in. */
  refuse(why: string): void {
    this.#parts.onEvent({ kind: "refused", node: this.#from, why });
    this.close(`handshake refused: ${why}`, status.UNAUTHENTICATED);
  }

  #take(call: Call, lastBytes: number): void {
    if (this.#calls.has(call.id)) throw new BadFrame(`call ${call.id} was made twice`);
    const { method, request } = call;
    const bytes =
      request instanceof Object && "data" in request ? sizeOf(request.data, lastBytes) : lastBytes;
    const { callsMax, bytesMax } = this.#options;
    if (this.#calls.size >= callsMax || (this.#bytes > 0 && this.#bytes + bytes > bytesMax)) {
      const message = `this node is answering ${this.#calls.size} calls of ${this.#bytes} bytes for another one already`;
      this.#fail(call.id, new ApiError("OVERLOADED", message, { retryAfter: 1 }));
    } else if (!isMethod(method)) {
      this.#fail(call.id, Object.assign(new Error(`there is no method ${method}`), { code: "BAD_CALL" }));
    } else if (!isRequest(method, request)) {
      this.#fail(call.id, Object.assign(new Error(`not a request of ${method}`), { code: "BAD_CALL" }));
    } else {
      void this.#answer({ ...call, method }, bytes);
    }
  }

  async #answer({ id, method, request, timeoutMs }: Call & { readonly method: NodeMethod }, bytes: number) {
    const controller = requestController();
    const late = new Error(`the caller waits ${timeoutMs} ms, which are over`);
    const stopTimer = this.#parts.timers.after(Math.min(timeoutMs, LONGEST_MS), () => controller.abort(late));
    this.#calls.set(id, controller);
    this.#bytes += bytes;
    const context = { signal: controller.signal, from: this.#from ?? 0 };
    try {
      const handler = this.#parts.handlers[method] as (
        asked: unknown,
        of: NodeCallContext,
      ) => Promise<unknown>;
      this.#reply(id, await handler(request, context));
    } catch (error) {
      this.#fail(id, error);
    } finally {
      stopTimer();
      this.#calls.delete(id);
      this.#bytes -= bytes;
    }
  }

  #reply(id: number, reply: unknown): void {
    const fits = this.#write({ kind: "reply", id, reply });
    if (!fits) {
      const message = `an answer between nodes has at most ${FRAME_BYTES_MAX} bytes: ask for less at a time`;
      this.#fail(id, new ApiError("TOO_LARGE", message));
    }
  }

  #fail(id: number, error: unknown): void {
    this.#write({ kind: "fail", id, error: wireError(error) });
  }

  /** false: too large to be sent. */
  #write(frame: AnswerFrame): boolean {
    if (this.#phase !== "open") return true;
    const messages = encodeFrame(frame);
    if (messages === null) return false;
    const { stream } = this.#parts;
    for (const message of messages) {
      this.#backlog += message.byteLength;
      stream.write(message, () => {
        this.#backlog -= message.byteLength;
        if (this.#backlog <= this.#options.backlogBytesMax && stream.isPaused()) stream.resume();
      });
    }
    // Whoever does not take his answers is asked nothing more; the transport then holds him back.
    if (this.#backlog > this.#options.backlogBytesMax) stream.pause();
    return true;
  }

  #ended(why: string): void {
    if (this.#phase === "ended") return;
    const wasOpen = this.#phase === "open";
    this.#phase = "ended";
    this.#stopTimer();
    for (const controller of this.#calls.values()) controller.abort(new Error(why));
    if (wasOpen) {
      this.#parts.onEvent({ kind: "disconnected", node: this.#from ?? 0, side: "accepted", why });
    }
    this.#parts.onEnd();
  }
}

/** The bytes a proposal brought, however many messages they came in. */
function sizeOf(data: unknown, atLeast: number): number {
  return data instanceof Uint8Array ? Math.max(data.byteLength, atLeast) : atLeast;
}
