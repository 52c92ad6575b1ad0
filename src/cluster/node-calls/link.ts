/**
 * This node's stream to one other node: dialled at once, redialled whenever it breaks, and all calls to that node on it.
 *
 *   dialling ── welcome ──▶ open ── broken ──▶ down ── backoff ──▶ dialling
 *
 * Calls made while dialling wait for how it ends; while the link is down they are refused at once, so that whoever
 * routes can try another node instead of waiting.
 */
import { Client, Metadata, type ChannelCredentials, type ClientDuplexStream } from "@grpc/grpc-js";
import { isReply } from "./checks.ts";
import type { Timers } from "../timers.ts";
import type { NodeMethod, ReplyOf, RequestOf } from "./contract.ts";
import { BadFrame, NodeCallError, thrownError } from "./errors.ts";
import { encodeFrame, FRAME_BYTES_MAX, FrameReader, type Frame } from "./frames.ts";
import { PROOF_BYTES_MAX, type DiallingProof, type PeerProof } from "./proof.ts";
import { CHANNEL_OPTIONS, STREAM, type NodeCallsEvent } from "./wire.ts";

export interface NodeCallOptions {
  /** From now on; the other node is told and stops by itself. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /**
   * After the deadline or an abort, wait so many milliseconds more for what the other node then answers, because it
   * knows how far it came. Default 0.
   */
  readonly graceMs?: number;
}

export interface LinkOptions {
  readonly node: number;
  /** `host:port` */
  readonly address: string;
  /** Unanswered calls, and bytes of their requests, before further ones are refused with OVERLOADED. */
  readonly callsMax: number;
  readonly bytesMax: number;
}

export interface LinkParts {
  readonly proof: PeerProof;
  readonly credentials: ChannelCredentials;
  readonly timers: Timers;
  /** 0 to 1, for jitter. */
  readonly random: () => number;
  readonly onEvent: (event: NodeCallsEvent) => void;
}

/** A handshake takes two round trips. */
const DIAL_MS = 2_000;
const BACKOFF_MS = { first: 50, longest: 500 } as const;
/** What a timer takes. */
const LONGEST_MS = 86_400_000;

interface Pending {
  readonly method: NodeMethod;
  readonly bytes: number;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly graceMs: number;
  /** What is to be written; null: it was. */
  unsent: readonly Buffer[] | null;
  stopWaiting: () => void;
}

type Stream = ClientDuplexStream<Buffer, Buffer>;

interface Dialled {
  readonly client: Client;
  readonly stream: Stream;
  readonly proof: DiallingProof;
  readonly reader: FrameReader;
  readonly stopTimer: () => void;
  phase: "hello" | "answer" | "open";
}

export class NodeLink implements Disposable {
  readonly #options: LinkOptions;
  readonly #parts: LinkParts;
  readonly #pending = new Map<number, Pending>();
  #bytes = 0;
  #nextId = 1;
  #dialled: Dialled | null = null;
  #closed = false;
  #failures = 0;
  #downBecause = "it was not dialled yet";
  #stopRedial: () => void = () => undefined;

  constructor(options: LinkOptions, parts: LinkParts) {
    this.#options = options;
    this.#parts = parts;
    this.#dial();
  }

  get address(): string {
    return this.#options.address;
  }
  get state(): "dialling" | "open" | "down" {
    if (this.#dialled === null) return "down";
    return this.#dialled.phase === "open" ? "open" : "dialling";
  }
  get inFlight(): number {
    return this.#pending.size;
  }

  /** Throws {@link NodeCallError}, or the ApiError that the other node threw. */
  call<M extends NodeMethod>(
    method: M,
    request: RequestOf<M>,
    options: NodeCallOptions,
  ): Promise<ReplyOf<M>> {
    const id = this.#nextId;
    const timeoutMs = Math.min(Math.max(0, options.timeoutMs), LONGEST_MS);
    const refusal = this.#refusal(options.signal);
    if (refusal !== null) return Promise.reject(refusal);
    const unsent = encodeFrame({ kind: "call", id, method, timeoutMs, request });
    if (unsent === null) {
      return Promise.reject(this.#error("TOO_LARGE", `a call has at most ${FRAME_BYTES_MAX} bytes`));
    }
    const bytes = unsent.reduce((sum, message) => sum + message.byteLength, 0);
    if (this.#bytes > 0 && this.#bytes + bytes > this.#options.bytesMax) {
      const why = `calls of ${this.#bytes} bytes are unanswered, and ${this.#options.bytesMax} are allowed`;
      return Promise.reject(this.#error("OVERLOADED", why));
    }
    this.#nextId++;
    return new Promise((resolve, reject) => {
      const { graceMs = 0, signal } = options;
      const onAbort = (): void => this.#giveUp(id, "ABORTED", signal.reason);
      const stopTimer = this.#parts.timers.after(timeoutMs, () => this.#giveUp(id, "DEADLINE"));
      signal.addEventListener("abort", onAbort, { once: true });
      const pending: Pending = {
        method,
        bytes,
        resolve: (reply) =>
          isReply(method, reply)
            ? resolve(reply)
            : reject(this.#error("BAD_REPLY", `the answer to ${method} is not what it should be`, true)),
        reject,
        graceMs,
        unsent,
        stopWaiting: () => {
          stopTimer();
          signal.removeEventListener("abort", onAbort);
        },
      };
      this.#pending.set(id, pending);
      this.#bytes += bytes;
      if (this.#dialled?.phase === "open") this.#send(this.#dialled.stream, pending);
    });
  }

  /** Fails what is pending and dials no more. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopRedial();
    const dialled = this.#dialled;
    if (dialled !== null) this.#lost(dialled, "this node closed the connection");
  }

  #refusal(signal: AbortSignal): Error | null {
    if (signal.aborted) return this.#error("ABORTED", "the caller gave up", false, signal.reason);
    if (this.#dialled === null) return this.#error("UNREACHABLE", `no connection: ${this.#downBecause}`);
    const { callsMax } = this.#options;
    return this.#pending.size < callsMax
      ? null
      : this.#error("OVERLOADED", `${callsMax} calls are unanswered, which is the limit`);
  }

  #error(code: string, why: string, sent = false, cause?: unknown): NodeCallError {
    const { node } = this.#options;
    return new NodeCallError({ code, node, sent }, `node ${node}: ${why}`, { cause });
  }

  #send(stream: Stream, pending: Pending): void {
    for (const message of pending.unsent ?? []) stream.write(message);
    pending.unsent = null;
  }

  #settle(id: number): Pending | null {
    const pending = this.#pending.get(id);
    if (pending === undefined) return null;
    this.#pending.delete(id);
    this.#bytes -= pending.bytes;
    pending.stopWaiting();
    return pending;
  }

  #giveUp(id: number, code: "ABORTED" | "DEADLINE", cause?: unknown): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    const sent = pending.unsent === null;
    const end = (): void => {
      const why = code === "ABORTED" ? "the caller gave up" : `no answer to ${pending.method} in time`;
      this.#settle(id)?.reject(this.#error(code, why, sent, cause));
    };
    pending.stopWaiting();
    if (sent && this.#dialled?.phase === "open") {
      for (const message of encodeFrame({ kind: "cancel", id }) ?? []) this.#dialled.stream.write(message);
      if (pending.graceMs > 0) {
        pending.stopWaiting = this.#parts.timers.after(pending.graceMs, end);
        return;
      }
    }
    end();
  }

  // ------------------------------------------------------------------------------------------------ the connection

  #dial(): void {
    const { node, address } = this.#options;
    const client = new Client(address, this.#parts.credentials, CHANNEL_OPTIONS);
    const stream: Stream = client.makeBidiStreamRequest<Buffer, Buffer>(
      STREAM.path,
      STREAM.requestSerialize,
      STREAM.responseDeserialize,
      new Metadata(),
    );
    const proof = this.#parts.proof.dial(node);
    const dialled: Dialled = {
      client,
      stream,
      proof,
      reader: new FrameReader(),
      stopTimer: this.#parts.timers.after(DIAL_MS, () => this.#lost(dialled, `no welcome in ${DIAL_MS} ms`)),
      phase: "hello",
    };
    this.#dialled = dialled;
    stream.on("data", (message: Buffer) => this.#received(dialled, message));
    stream.on("error", (error) => this.#lost(dialled, error.message));
    stream.on("end", () => this.#lost(dialled, "the other node closed the stream"));
    stream.write(Buffer.from(proof.hello));
  }

  #received(dialled: Dialled, message: Buffer): void {
    if (this.#dialled !== dialled) return;
    try {
      switch (dialled.phase) {
        case "hello":
          this.#prove(dialled, message);
          return;
        case "answer":
          this.#open(dialled);
          return;
        case "open": {
          const frame = dialled.reader.read(message);
          if (frame !== null) this.#take(frame);
          return;
        }
      }
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      this.#parts.onEvent({ kind: "badFrame", node: this.#options.node, why: error.message });
      this.#lost(dialled, error.message);
    }
  }

  #prove(dialled: Dialled, challenge: Buffer): void {
    try {
      if (challenge.byteLength > PROOF_BYTES_MAX) throw new BadFrame("the challenge is too long");
      dialled.stream.write(Buffer.from(dialled.proof.answer(challenge)));
      dialled.phase = "answer";
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#parts.onEvent({ kind: "refused", node: this.#options.node, why });
      this.#lost(dialled, why);
    }
  }

  #open(dialled: Dialled): void {
    dialled.stopTimer();
    dialled.phase = "open";
    this.#failures = 0;
    this.#parts.onEvent({ kind: "connected", node: this.#options.node, side: "dialled" });
    for (const pending of this.#pending.values()) this.#send(dialled.stream, pending);
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case "reply":
        this.#settle(frame.id)?.resolve(frame.reply);
        return;
      case "fail":
        this.#settle(frame.id)?.reject(thrownError(frame.error, this.#options.node));
        return;
      case "call":
      case "cancel":
        throw new BadFrame("calls go the other way on this stream");
    }
  }

  #lost(dialled: Dialled, why: string): void {
    if (this.#dialled !== dialled) return;
    this.#dialled = null;
    this.#downBecause = why;
    dialled.stopTimer();
    // Nobody listens any more to what closing makes the stream say.
    dialled.stream.removeAllListeners();
    dialled.stream.on("error", () => undefined);
    dialled.stream.cancel();
    dialled.client.close();
    const { node } = this.#options;
    if (dialled.phase === "open") {
      this.#parts.onEvent({ kind: "disconnected", node, side: "dialled", why });
    }
    for (const id of [...this.#pending.keys()]) {
      const pending = this.#settle(id);
      const sent = pending?.unsent === null;
      pending?.reject(this.#error("UNREACHABLE", why, sent));
    }
    if (this.#closed) return;
    const backoffMs = Math.min(BACKOFF_MS.longest, BACKOFF_MS.first * 2 ** Math.min(this.#failures++, 10));
    const delayMs = backoffMs * (0.5 + this.#parts.random() / 2);
    this.#stopRedial = this.#parts.timers.after(delayMs, () => this.#dial());
  }
}
