/** What a core has to hand out with its next Ready, in the order it came up. */
import type { CoreEvent } from "./events.ts";
import type { Message } from "./message.ts";
import type { ConfirmedRead } from "./ready.ts";
import type { NodeId } from "./types.ts";

/** Events nobody asked for are dropped beyond this many, oldest kept: the first ones tell what went wrong. */
const MAX_EVENTS = 1024;

export class Outbox {
  readonly #self: NodeId;
  /** May leave at once. */
  send: Message[] = [];
  /** Leave when what was accepted so far is durable. */
  thenSend: Message[] = [];
  /** Answers to itself, for when what was accepted so far is durable. */
  own: Message[] = [];
  reads: ConfirmedRead[] = [];
  events: CoreEvent[] = [];

  constructor(self: NodeId) {
    this.#self = self;
  }

  /** Promises nothing about this node's disk. */
  now(message: Message): void {
    this.send.push(message);
  }

  /** A vote or an acknowledgement: never before it is durable (raft.md, never 2), not even to itself. */
  whenDurable(message: Message): void {
    if (message.to === this.#self) this.own.push(message);
    else this.thenSend.push(message);
  }

  /** The lists were handed over instead of copied: they are the taker's now, and new ones are begun. */
  renew(): void {
    if (this.send.length > 0) this.send = [];
    if (this.thenSend.length > 0) this.thenSend = [];
    if (this.own.length > 0) this.own = [];
    if (this.reads.length > 0) this.reads = [];
    if (this.events.length > 0) this.events = [];
  }

  event(event: CoreEvent): void {
    if (this.events.length < MAX_EVENTS) this.events.push(event);
  }
}
