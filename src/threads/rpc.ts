/**
 * Typed calls between two threads over one MessagePort.
 *
 *   call ─ enqueue ─┐  one postMessage per turn      ┌─ inbox ─ handler ─ reply
 *   call ─ enqueue ─┴────────────────────────────────┴─ in slices of a few ms
 *
 * Frames of one turn travel in one flat array: a message costs some 5 us to send however small it is. The first frame
 * after a quiet moment leaves at once, so that coalescing costs a lone request nothing. What arrives is worked off in
 * slices, so that a burst of calls cannot hold the thread's turn.
 */
import { receiveMessageOnPort, type MessagePort, type Transferable } from "node:worker_threads";

/** The methods one side answers. `reply` is `void` for messages nobody waits for. */
export type Contract = Readonly<Record<string, { readonly request: unknown; readonly reply: unknown }>>;

/** What a handler may know of the call it answers. */
export interface CallContext {
  /** Aborts when the caller gave up. Made on first use, which must be before the handler first waits. */
  readonly signal: AbortSignal;
  /** Hands over the buffer instead of copying it; the handler must not touch it after its reply. */
  transfer(buffer: ArrayBufferLike): void;
}

export type Handlers<Local extends Contract> = {
  readonly [M in keyof Local]: (
    request: Local[M]["request"],
    context: CallContext,
  ) => Local[M]["reply"] | Promise<Local[M]["reply"]>;
};

export interface CallOptions {
  /** Rejects the call with the signal's reason and tells the other side; what it did meanwhile stays done. */
  readonly signal?: AbortSignal;
  /** The signal is only passed on: the call ends with what the handler then answers, which knows how far it came. */
  readonly awaitsAnswer?: boolean;
  /**
   * Sent however many calls are unanswered: what the node itself needs, of which there are a few for each shard. A shard
   * whose opening was refused would stay closed, and a refused apply stops its group.
   */
  readonly essential?: boolean;
  /** Buffers given away: empty here from now on. */
  readonly transfer?: readonly ArrayBufferLike[];
}

/** Of such a call. */
export const ESSENTIAL = { essential: true } as const satisfies CallOptions;

export interface RpcOptions {
  /** Who is at the other end, for messages: "the consensus thread". */
  readonly peer: string;
  /** Unanswered calls before further ones, unless essential, are refused with OVERLOADED (`queue.calls`). */
  readonly callsMax: number;
  /** Longest time, in ms, spent on arrived frames before the thread's other work gets its turn. */
  readonly sliceMs?: number;
}

/**
 * A call that had no answer of its own. `OVERLOADED`: refused here, nothing was sent. `THREAD_GONE`: the other thread
 * ended; whether it carried the call out is unknown. Anything else is the other side's error, with its code.
 */
export class ThreadError extends Error {
  override readonly name = "ThreadError";
  readonly code: string;
  readonly details: unknown;
  constructor(code: string, message: string, details?: unknown, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

// Frames are four slots each in one flat array: kind, id, method or code, payload.
const CALL = 0;
const NOTE = 1;
const REPLY = 2;
const FAIL = 3;
const CANCEL = 4;
const SLOTS = 4;

/** A frame sent sooner than this after the last one waits for the end of the turn. */
const QUIET_MS = 0.05;

interface Pending {
  readonly method: string;
  readonly resolve: (reply: never) => void;
  readonly reject: (error: Error) => void;
  readonly stopListening: (() => void) | null;
}

interface Failure {
  readonly message: string;
  readonly stack: string | undefined;
  readonly details: unknown;
}

export class Rpc<Local extends Contract, Remote extends Contract> implements Disposable {
  readonly #port: MessagePort;
  readonly #handlers: Handlers<Local>;
  readonly #options: Required<RpcOptions>;
  readonly #pending = new Map<number, Pending>();
  /** Calls of the other side in progress, once their handler asked for a signal. */
  readonly #controllers = new Map<number, AbortController>();
  /** Calls cancelled before they were looked at: abandoned ones are dropped, others find their signal aborted. */
  readonly #cancelled = new Map<number, "abandoned" | "aborted">();
  /** Frames that arrived and wait for their slice. */
  readonly #inbox: unknown[] = [];
  #inboxAt = 0;
  #drainScheduled = false;
  #outbox: unknown[] = [];
  #transfers: Transferable[] = [];
  #flushScheduled = false;
  #flushedAtMs = 0;
  #nextId = 1;
  #closed: ThreadError | null = null;

  constructor(
    options: RpcOptions,
    parts: { readonly port: MessagePort; readonly handlers: Handlers<Local> },
  ) {
    this.#options = { sliceMs: 5, ...options };
    this.#port = parts.port;
    this.#handlers = parts.handlers;
    this.#port.on("message", (frames: readonly unknown[]) => this.#receive(frames));
    this.#port.on("close", () => this.#end(`${options.peer} ended`));
  }

  /** Calls sent and not yet answered. */
  get inFlight(): number {
    return this.#pending.size;
  }
  /** Frames that arrived and were not yet looked at. */
  get waiting(): number {
    return (this.#inbox.length - this.#inboxAt) / SLOTS;
  }

  /** Takes what arrived in this turn already, instead of in the next one. Not to be called by handlers. */
  look(): void {
    if (this.#closed !== null) return;
    for (
      let next = receiveMessageOnPort(this.#port);
      next !== undefined;
      next = receiveMessageOnPort(this.#port)
    )
      this.#receive(next.message as readonly unknown[]);
  }

  /** Answers what the other side's handler answers; throws {@link ThreadError} or the signal's reason. */
  call<M extends keyof Remote & string>(
    method: M,
    request: Remote[M]["request"],
    options: CallOptions = {},
  ): Promise<Remote[M]["reply"]> {
    const refusal = this.#refusal(options);
    if (refusal !== null) return Promise.reject(refusal);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const { signal } = options;
      let stopListening: (() => void) | null = null;
      if (signal !== undefined) {
        const onAbort = (): void =>
          options.awaitsAnswer === true
            ? this.#enqueue(CANCEL, id, "aborted", null)
            : this.#abandon(id, signal);
        signal.addEventListener("abort", onAbort, { once: true });
        stopListening = () => signal.removeEventListener("abort", onAbort);
      }
      this.#pending.set(id, { method, resolve, reject, stopListening });
      this.#enqueue(CALL, id, method, request, options.transfer);
    });
  }

  /** Sends and forgets; after the other thread's end nothing happens. */
  notify<M extends keyof Remote & string>(method: M, message: Remote[M]["request"]): void {
    if (this.#closed === null) this.#enqueue(NOTE, 0, method, message);
  }

  /** Fails what is pending and closes the port, after what was already queued is sent. */
  [Symbol.dispose](): void {
    if (this.#closed !== null) return;
    this.#flush();
    this.#port.close();
    this.#end(`the connection to ${this.#options.peer} was closed`);
  }

  #refusal({ signal, essential = false }: CallOptions): Error | null {
    if (this.#closed !== null) return this.#closed;
    if (signal?.aborted === true) return asError(signal.reason);
    if (essential || this.#pending.size < this.#options.callsMax) return null;
    return new ThreadError(
      "OVERLOADED",
      `${this.#pending.size} calls to ${this.#options.peer} are unanswered, which is the limit (queue.calls)`,
    );
  }

  #abandon(id: number, signal: AbortSignal): void {
    const pending = this.#settle(id);
    if (pending === null) return;
    this.#enqueue(CANCEL, id, "abandoned", null);
    pending.reject(asError(signal.reason));
  }

  #settle(id: number): Pending | null {
    const pending = this.#pending.get(id);
    if (pending === undefined) return null;
    this.#pending.delete(id);
    pending.stopListening?.();
    return pending;
  }

  #enqueue(
    kind: number,
    id: number,
    name: string,
    payload: unknown,
    transfer?: readonly ArrayBufferLike[],
  ): void {
    this.#outbox.push(kind, id, name, payload);
    if (transfer !== undefined) {
      for (const buffer of transfer) if (buffer instanceof ArrayBuffer) this.#transfers.push(buffer);
    }
    if (this.#flushScheduled) return;
    if (performance.now() - this.#flushedAtMs > QUIET_MS) {
      this.#flush();
    } else {
      this.#flushScheduled = true;
      setImmediate(() => this.#flush());
    }
  }

  #flush(): void {
    this.#flushScheduled = false;
    this.#flushedAtMs = performance.now();
    if (this.#outbox.length === 0 || this.#closed !== null) return;
    const frames = this.#outbox;
    const transfers = this.#transfers;
    this.#outbox = [];
    this.#transfers = [];
    this.#port.postMessage(frames, transfers);
  }

  #receive(frames: readonly unknown[]): void {
    for (let at = 0; at < frames.length; at += SLOTS) {
      if (frames[at] === CANCEL)
        this.#cancel(frames[at + 1] as number, frames[at + 2] as "abandoned" | "aborted");
      else this.#inbox.push(frames[at], frames[at + 1], frames[at + 2], frames[at + 3]);
    }
    if (!this.#drainScheduled) this.#drain();
  }

  /** Overtakes the call it cancels when that still waits in the inbox. */
  #cancel(id: number, how: "abandoned" | "aborted"): void {
    const controller = this.#controllers.get(id);
    if (controller !== undefined) controller.abort(gaveUp());
    else this.#cancelled.set(id, how);
  }

  #drain(): void {
    this.#drainScheduled = false;
    const until = performance.now() + this.#options.sliceMs;
    const inbox = this.#inbox;
    while (this.#inboxAt < inbox.length) {
      const at = this.#inboxAt;
      this.#inboxAt += SLOTS;
      this.#take(inbox[at] as number, inbox[at + 1] as number, inbox[at + 2] as string, inbox[at + 3]);
      if (performance.now() < until) continue;
      if (this.#inboxAt === inbox.length) break;
      this.#drainScheduled = true;
      setImmediate(() => this.#drain());
      return;
    }
    inbox.length = 0;
    this.#inboxAt = 0;
    // Every call that came before its cancellation has been looked at.
    this.#cancelled.clear();
  }

  #take(kind: number, id: number, name: string, payload: unknown): void {
    switch (kind) {
      case CALL:
        if (this.#cancelled.get(id) === "abandoned") this.#cancelled.delete(id);
        else this.#answer(id, name, payload);
        return;
      case NOTE:
        // A fault here has nobody to go to: it ends the thread, and with it the daemon.
        void this.#handlerOf(name)(payload, new Context(null));
        return;
      case REPLY:
        this.#settle(id)?.resolve(payload as never);
        return;
      case FAIL: {
        const { message, stack, details } = payload as Failure;
        const error = new ThreadError(name, message, details);
        if (stack !== undefined) error.stack = stack;
        this.#settle(id)?.reject(error);
        return;
      }
      default:
        throw new TypeError(`frame kind ${kind} from ${this.#options.peer} is not known`);
    }
  }

  #answer(id: number, method: string, request: unknown): void {
    const context = new Context((controller) => {
      if (this.#cancelled.delete(id)) controller.abort(gaveUp());
      else this.#controllers.set(id, controller);
    });
    let reply: unknown;
    try {
      reply = this.#handlerOf(method)(request, context);
    } catch (error) {
      this.#fail(id, error);
      return;
    }
    if (reply instanceof Promise) {
      reply.then(
        (value: unknown) => this.#reply(id, value, context),
        (error: unknown) => this.#fail(id, error),
      );
    } else {
      this.#reply(id, reply, context);
    }
  }

  #handlerOf(method: string): (request: unknown, context: CallContext) => unknown {
    const handler = Object.hasOwn(this.#handlers, method) ? this.#handlers[method] : undefined;
    if (handler === undefined)
      throw new TypeError(`${this.#options.peer} called ${method}, which is unknown`);
    return handler;
  }

  #reply(id: number, value: unknown, context: Context): void {
    this.#controllers.delete(id);
    if (this.#closed === null) this.#enqueue(REPLY, id, "", value, context.transfers);
  }

  #fail(id: number, error: unknown): void {
    this.#controllers.delete(id);
    if (this.#closed !== null) return;
    const known = error instanceof Error ? error : new Error(String(error));
    const code = "code" in known && typeof known.code === "string" ? known.code : known.name;
    const details = "details" in known ? known.details : undefined;
    this.#enqueue(FAIL, id, code, { message: known.message, stack: known.stack, details } satisfies Failure);
  }

  #end(why: string): void {
    if (this.#closed !== null) return;
    this.#closed = new ThreadError("THREAD_GONE", why);
    for (const { method, reject, stopListening } of this.#pending.values()) {
      stopListening?.();
      reject(new ThreadError("THREAD_GONE", `${why} before it answered ${method}`));
    }
    this.#pending.clear();
    for (const controller of this.#controllers.values()) controller.abort(this.#closed);
    this.#controllers.clear();
  }
}

class Context implements CallContext {
  transfers: ArrayBufferLike[] | undefined;
  readonly #register: ((controller: AbortController) => void) | null;
  #controller: AbortController | null = null;

  constructor(register: ((controller: AbortController) => void) | null) {
    this.#register = register;
  }
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      this.#register?.(this.#controller);
    }
    return this.#controller.signal;
  }
  transfer(buffer: ArrayBufferLike): void {
    (this.transfers ??= []).push(buffer);
  }
}

function gaveUp(): ThreadError {
  return new ThreadError("CANCELLED", "the caller gave up");
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
