import type {
  CapturedSnapshot,
  GroupMessage,
  NodeId,
  PeerEnvelope,
  PeerState,
  Transport,
  TransportReceiver,
} from "../../shards/ports.ts";
import { Naming } from "./decisions.ts";
import type { SimProcess } from "./process.ts";
import { MemorySnapshot, SNAPSHOT_FILE, sha256 } from "./snapshot.ts";
import type { Timeline } from "./timeline.ts";
import type { Marks } from "./marks.ts";

/** What becomes of one message: delivered once per delay (two: a duplicate; none: lost). */
export interface MessageFate {
  readonly delaysUs: readonly number[];
}
/** What becomes of one transmission of a snapshot, chunk by chunk. */
export type StreamFate = { readonly chunkUs: number; readonly ends: StreamEnd };
/** `late`: it arrives whole, and once more long after. */
export type StreamEnd = "whole" | "broken" | "corrupted" | "late";

export interface Endpoint {
  readonly node: NodeId;
  readonly cluster: string;
  readonly incarnation: string;
  readonly process: SimProcess;
}

export interface NetworkParts {
  readonly timeline: Timeline;
  readonly marks: Marks;
  readonly messageFate: (name: string) => MessageFate;
  readonly streamFate: (name: string) => StreamFate;
  readonly sends: (from: NodeId, carried: GroupMessage) => void;
  readonly delivers: (name: string, to: NodeId) => void;
}

/** Messages a clogged direction holds; what comes on top is lost. */
const CLOG_QUEUE_MAX = 64;
/** Bytes of one chunk of a snapshot stream. */
const CHUNK_BYTES = 200;

type Direction = `${number}>${number}`;

/**
 * The network between all nodes. Each direction of each pair can be cut (what is on its way arrives nowhere) or
 * clogged (it waits, up to a bound). Messages of one turn travel separately, so they may overtake each other.
 */
export class SimNetwork {
  readonly #parts: NetworkParts;
  readonly #endpoints = new Map<NodeId, Endpoint & { receiver: TransportReceiver | null }>();
  readonly #naming = new Naming();
  readonly #cut = new Set<Direction>();
  readonly #clogged = new Map<Direction, (() => void)[]>();
  /** Microseconds that everything takes longer. */
  readonly #slow = new Map<Direction, number>();
  /** The incarnation a sender learnt of a receiver; kept over the receiver's restarts, as a connection cache would. */
  readonly #learnt = new Map<Direction, string>();

  constructor(parts: NetworkParts) {
    this.#parts = parts;
  }

  /** The transport of one process; replaces the one of the process before it. */
  attach(endpoint: Endpoint): Transport {
    const slot = { ...endpoint, receiver: null as TransportReceiver | null };
    this.#endpoints.set(endpoint.node, slot);
    return {
      start: (receiver) => {
        slot.receiver = receiver;
        this.#announce(endpoint.node, "connected");
      },
      send: (to, messages) => {
        for (const message of messages) this.#send(endpoint, to, message);
      },
      sendSnapshot: (to, message, snapshot) => this.#stream(endpoint, to, message, snapshot),
    };
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** Messages sent from now on take so much longer; 0: no longer. */
  slow(from: NodeId, to: NodeId, byUs: number): void {
    if (byUs > 0) this.#slow.set(`${from}>${to}`, byUs);
    else this.#slow.delete(`${from}>${to}`);
  }

  clog(from: NodeId, to: NodeId): void {
    const direction: Direction = `${from}>${to}`;
    if (!this.#clogged.has(direction)) this.#clogged.set(direction, []);
  }

  mend(from: NodeId, to: NodeId): void {
    this.#cut.delete(`${from}>${to}`);
  }

  unclog(from: NodeId, to: NodeId): void {
    const direction: Direction = `${from}>${to}`;
    const held = this.#clogged.get(direction);
    this.#clogged.delete(direction);
    for (const deliver of held ?? []) deliver();
  }

  /** Every direction works again; what was held arrives now. */
  heal(): void {
    this.#cut.clear();
    this.#slow.clear();
    const held = [...this.#clogged.values()].flat();
    this.#clogged.clear();
    for (const deliver of held) deliver();
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  /** Tells `observer` what its connection to `peer` came to, if its process listens. */
  report(observer: NodeId, peer: NodeId, state: PeerState): void {
    const slot = this.#endpoints.get(observer);
    if (slot === undefined || slot.receiver === null) return;
    const { receiver, process } = slot;
    process.enter(() => {
      receiver.peer(peer, state);
    });
  }

  /** A stranger's message arrives: under an envelope nobody here may accept. */
  inject(to: NodeId, envelope: PeerEnvelope, message: GroupMessage): boolean {
    const slot = this.#endpoints.get(to);
    if (slot === undefined || slot.receiver === null || !slot.process.alive || slot.process.paused)
      return false;
    const { receiver, process } = slot;
    process.enter(() => {
      receiver.messages(envelope, [message]);
    });
    return true;
  }

  /** The process is gone: peers that can reach its machine are refused, the others hear nothing. */
  died(node: NodeId): void {
    this.#announce(node, "lost");
    this.#parts.timeline.after(REFUSAL_US, () => {
      if (this.#endpoints.get(node)?.process.alive !== true) this.#announce(node, "refused");
    });
  }

  #announce(node: NodeId, state: PeerState): void {
    for (const observer of this.#endpoints.keys()) {
      if (observer === node || this.isCut(observer, node) || this.isCut(node, observer)) continue;
      this.report(observer, node, state);
    }
  }

  #send(from: Endpoint, to: NodeId, carried: GroupMessage): void {
    if (!from.process.alive) return;
    this.#parts.sends(from.node, carried);
    const name = this.#naming.nth(messageName(carried));
    const { delaysUs } = this.#parts.messageFate(name);
    if (delaysUs.length === 0) this.#parts.marks.hit("message lost");
    if (delaysUs.length > 1) this.#parts.marks.hit("message duplicated");
    const envelope = this.#envelope(from, to);
    const slowUs = this.#slow.get(`${from.node}>${to}`) ?? 0;
    if (slowUs > 0) this.#parts.marks.hit("direction slow");
    for (const delayUs of delaysUs) {
      this.#parts.timeline.after(delayUs + slowUs, () => {
        this.#arrive(name, from.node, to, (receiver) => {
          receiver.messages(envelope, [carried]);
        });
      });
    }
  }

  #envelope(from: Endpoint, to: NodeId): PeerEnvelope {
    return {
      cluster: from.cluster,
      sender: from.node,
      receiver: to,
      receiverIncarnation: this.#learnt.get(`${from.node}>${to}`) ?? null,
    };
  }

  #arrive(name: string, from: NodeId, to: NodeId, deliver: (receiver: TransportReceiver) => void): boolean {
    const direction: Direction = `${from}>${to}`;
    const held = this.#clogged.get(direction);
    if (held !== undefined) {
      this.#parts.marks.hit("direction clogged");
      if (held.length >= CLOG_QUEUE_MAX) return false;
      held.push(() => {
        this.#arrive(name, from, to, deliver);
      });
      return true;
    }
    const slot = this.#endpoints.get(to);
    if (this.#cut.has(direction) || slot === undefined || slot.receiver === null || !slot.process.alive)
      return false;
    this.#learnt.set(direction, slot.incarnation);
    const { receiver, process } = slot;
    process.enter(() => {
      this.#parts.delivers(name, to);
      deliver(receiver);
    });
    return true;
  }

  async #stream(
    from: Endpoint,
    to: NodeId,
    carried: GroupMessage,
    snapshot: CapturedSnapshot,
  ): Promise<boolean> {
    this.#parts.sends(from.node, carried);
    const name = this.#naming.nth(messageName(carried));
    const fate = this.#parts.streamFate(name);
    const file = snapshot.files.find((candidate) => candidate.name === SNAPSHOT_FILE);
    if (file === undefined) return false;
    const bytes = new Uint8Array(file.bytes);
    for (let offset = 0; offset < file.bytes; offset += CHUNK_BYTES) {
      bytes.set(await snapshot.read(file.name, offset, CHUNK_BYTES), offset);
      await from.process.sleep(fate.chunkUs);
      const half = offset * 2 >= file.bytes;
      if ((half && fate.ends === "broken") || this.isCut(from.node, to)) {
        this.#parts.marks.hit("snapshot stream broken");
        return false;
      }
    }
    if (fate.ends === "corrupted") bytes[0] = (bytes[0] ?? 0) ^ 1;
    if (sha256(bytes) !== file.sha256) {
      this.#parts.marks.hit("snapshot stream corrupted");
      return false;
    }
    const staged = new MemorySnapshot(snapshot.index, bytes);
    const envelope = this.#envelope(from, to);
    this.#parts.marks.hit("snapshot arrived");
    if (fate.ends === "late") {
      const again = new MemorySnapshot(snapshot.index, bytes);
      this.#parts.timeline.after(LATE_STREAM_US, () => {
        this.#parts.marks.hit("snapshot arrived late");
        this.#arrive(name, from.node, to, (receiver) => {
          receiver.snapshot(envelope, carried, again);
        });
      });
    }
    return this.#arrive(name, from.node, to, (receiver) => {
      receiver.snapshot(envelope, carried, staged);
    });
  }
}

/** From a process's end until a new connection to it is refused. */
const REFUSAL_US = 4_000;
const LATE_STREAM_US = 90_000;

/** Group, from, to, type, term and the index that matters: what a person would call this message. */
export function messageName({ group, message }: GroupMessage): string {
  return `g${group}:${message.from}>${message.to}:${message.kind}:t${message.term}:i${indexOf(message)}`;
}

function indexOf(message: GroupMessage["message"]): number {
  switch (message.kind) {
    case "append":
      return message.prevIndex + message.entries.length;
    case "appendAccepted":
      return message.match;
    case "appendRejected":
      return message.index;
    case "voteRequest":
    case "preVoteRequest":
      return message.lastIndex;
    case "heartbeat":
      return message.commit;
    case "snapshot":
      return message.meta.index;
    case "readIndexResponse":
      return message.index;
    case "quiesce":
      return message.lastIndex;
    default:
      return 0;
  }
}
