/**
 * The network between nodes: one listener, and towards each peer one stream for messages. Bulk has connections of its
 * own, so that it never holds up a heartbeat: one for entries in bulk, opened when there are any, and one for each
 * snapshot while it lasts.
 */
import { credentials, ServerCredentials, type ChannelCredentials } from "@grpc/grpc-js";
import type {
  CapturedSnapshot,
  GroupMessage,
  NodeId,
  PeerEnvelope,
  PeerState,
  Transport,
  TransportReceiver,
} from "../ports.ts";
import { NodeId as asNodeId } from "../raft/types.ts";
import { sendSnapshot, SnapshotReceiver } from "../snapshot/stream.ts";
import { StagingArea } from "../snapshot/staging-area.ts";
import { bytes, decodeMessages, list, pack, text, unpack } from "./codec.ts";
import { dial, DialError, type PeerStream } from "./dial.ts";
import { EntryLane } from "./entry-lane.ts";
import { Listener, type Accepted, type Identity, type StreamHandler } from "./listener.ts";
import type { PeerEvent } from "./peer-events.ts";
import { PeerLink } from "./peer-link.ts";
import { endingInSilence } from "./silence.ts";

export interface PeerTransportLimits {
  /** Bytes that wait for one peer. */
  readonly queueBytesMax: number;
  /** Messages of one turn are cut into frames of about this size. */
  readonly frameBytes: number;
  /** Largest frame taken: one append with the largest entry, and room. */
  readonly frameBytesMax: number;
  readonly snapshotBytesPerSecond: number;
  /** A receiver of a snapshot that says nothing for so long is given up; it may have to read all of it once to verify. */
  readonly snapshotSilenceMs: number;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  /** From dialling to both proofs. */
  readonly connectMs: number;
}

const MIB = 1 << 20;

export const PEER_TRANSPORT_DEFAULTS: PeerTransportLimits = {
  queueBytesMax: 64 * MIB,
  frameBytes: 4 * MIB,
  frameBytesMax: 40 * MIB,
  snapshotBytesPerSecond: 256 * MIB,
  snapshotSilenceMs: 900_000,
  reconnectMinMs: 10,
  reconnectMaxMs: 500,
  connectMs: 2_000,
};

export interface PeerCredentials {
  readonly server: ServerCredentials;
  readonly client: ChannelCredentials;
}

export interface PeerTransportOptions {
  /** HOST:PORT; port 0 takes a free one. */
  readonly address: string;
  readonly secret: string;
  /** Directory for snapshots on their way in. */
  readonly stagingPath: string;
  readonly credentials?: PeerCredentials;
  readonly limits?: Partial<PeerTransportLimits>;
}

export interface PeerTransportParts {
  /** Answers what another node asks; what it throws reaches the asker as words. */
  readonly onCall: (name: string, body: Uint8Array) => Promise<Uint8Array>;
  readonly onEvent: (event: PeerEvent) => void;
}

export interface PeerIdentity {
  readonly cluster: string;
  readonly node: NodeId;
  readonly incarnation: string;
  /** Where others reach this node. */
  readonly advertise: string;
}

export interface KnownPeer {
  readonly node: NodeId;
  readonly address: string;
  readonly incarnation: string | null;
}

export interface PeerTransport extends Transport, AsyncDisposable {
  /** `HOST:PORT` as bound. */
  readonly address: string;
  /** Once, before {@link Transport.start}: until then only calls are answered. */
  identify(identity: PeerIdentity): void;
  setPeers(peers: readonly KnownPeer[]): void;
}

/** Resolves when it listens; rejects with the system's words when it cannot. */
export async function openPeerTransport(
  options: PeerTransportOptions,
  parts: PeerTransportParts,
): Promise<PeerTransport> {
  const transport = new GrpcPeers(options, parts);
  await transport.listen();
  return transport;
}

interface Peer {
  /** Where it is dialled: as the catalogue says, or where it said itself that it is. */
  address: string;
  /** What {@link PeerTransport.setPeers} said last; repeating it does not undo what the peer said since. */
  given: string;
  incarnation: string | null;
  link: PeerLink;
  readonly lane: EntryLane;
  /** Made with the first entries in bulk; until it stands they go by the other one. */
  bulk: PeerLink | null;
}

class GrpcPeers implements PeerTransport {
  readonly #options: PeerTransportOptions;
  readonly #parts: PeerTransportParts;
  readonly #limits: PeerTransportLimits;
  readonly #credentials: PeerCredentials;
  readonly #listener: Listener;
  readonly #area: StagingArea;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #bulk = new Set<PeerStream>();
  #identity: PeerIdentity | null = null;
  #receiver: TransportReceiver | null = null;
  #port = 0;

  constructor(options: PeerTransportOptions, parts: PeerTransportParts) {
    this.#options = options;
    this.#parts = parts;
    this.#limits = { ...PEER_TRANSPORT_DEFAULTS, ...options.limits };
    this.#credentials = options.credentials ?? {
      server: ServerCredentials.createInsecure(),
      client: credentials.createInsecure(),
    };
    this.#area = new StagingArea(options.stagingPath);
    this.#listener = new Listener(
      { frameBytesMax: this.#limits.frameBytesMax },
      {
        secret: options.secret,
        identity: () => this.#known(),
        incarnation: () => this.#identity?.incarnation ?? "",
        accept: (stream) => this.#accept(stream),
        refused: (sender, why) => parts.onEvent({ kind: "refusedPeer", sender, why }),
        badFrame: (sender, error) => parts.onEvent({ kind: "badFrame", sender, error }),
      },
    );
  }

  async listen(): Promise<void> {
    this.#port = await this.#listener.bind(this.#options.address, this.#credentials.server);
  }

  get address(): string {
    const { address } = this.#options;
    return `${address.slice(0, address.lastIndexOf(":"))}:${this.#port}`;
  }

  identify(identity: PeerIdentity): void {
    this.#identity = identity;
  }

  start(receiver: TransportReceiver): void {
    this.#receiver = receiver;
  }

  setPeers(peers: readonly KnownPeer[]): void {
    const wanted = new Map(peers.map((peer) => [peer.node, peer]));
    for (const [node, peer] of this.#peers) {
      if (wanted.has(node)) continue;
      this.#peers.delete(node);
      hangUp(peer);
    }
    for (const { node, address, incarnation } of peers) {
      if (address === "" || node === this.#identity?.node) continue;
      const known = this.#peers.get(node);
      if (known?.given === address && known.incarnation === incarnation) continue;
      if (known?.address === address && known.incarnation === incarnation) known.given = address;
      else this.#aim(node, { address, given: address, incarnation });
    }
  }

  send(to: NodeId, messages: readonly GroupMessage[]): void {
    const peer = this.#peers.get(to);
    if (peer === undefined)
      return this.#parts.onEvent({
        kind: "messagesDropped",
        to,
        why: "disconnected",
        count: messages.length,
      });
    const { prompt, bulk } = peer.lane.sort(messages, peer.bulk?.isBusy ?? false);
    if (bulk.length === 0) return peer.link.send(messages);
    if (peer.link.connected) peer.bulk ??= this.#openBulk(to, peer);
    if (peer.bulk?.connected !== true) return peer.link.send(messages);
    if (prompt.length > 0) peer.link.send(prompt);
    peer.bulk.send(bulk);
  }

  async sendSnapshot(to: NodeId, message: GroupMessage, snapshot: CapturedSnapshot): Promise<boolean> {
    const { group } = message;
    const ended = (ok: boolean, why: string): boolean => {
      this.#parts.onEvent({ kind: "snapshotEnded", direction: "out", group, ok, why });
      return ok;
    };
    if (!this.#peers.has(to)) return ended(false, `node ${to} is not known`);
    let stream: PeerStream | null = null;
    try {
      stream = await dial(this.#dialOptions(to, "bulk"));
      this.#bulk.add(stream);
      const ok = await sendSnapshot(endingInSilence(stream, this.#limits.snapshotSilenceMs), {
        message,
        snapshot,
        bytesPerSecond: this.#limits.snapshotBytesPerSecond,
        progress: (sent, total) =>
          this.#parts.onEvent({
            kind: "snapshotProgress",
            direction: "out",
            group,
            node: to,
            bytes: sent,
            total,
          }),
      });
      return ended(ok, ok ? "verified" : "refused by the receiver");
    } catch (error) {
      return ended(false, error instanceof Error ? error.message : String(error));
    } finally {
      if (stream !== null) {
        this.#bulk.delete(stream);
        stream.close();
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers.values()) hangUp(peer);
    this.#peers.clear();
    for (const stream of this.#bulk) stream.close();
    this.#listener.close();
    await Promise.resolve();
  }

  #known(): Identity | null {
    return this.#receiver === null ? null : this.#identity;
  }

  #aim(node: NodeId, { address, given, incarnation }: Pick<Peer, "address" | "given" | "incarnation">): void {
    const old = this.#peers.get(node);
    const lane = new EntryLane(() => performance.now());
    // In the table first: the link dials while it is made.
    const peer: Omit<Peer, "link"> & { link?: PeerLink } = { address, given, incarnation, lane, bulk: null };
    this.#peers.set(node, peer as Peer);
    if (old !== undefined) hangUp(old);
    peer.link = this.#link(node, "messages", (state) => {
      if (this.#peers.get(node)?.link === peer.link) this.#receiver?.peer(node, state);
    });
  }

  /** What it loses when it breaks the cores find out by asking; whether the peer lives is the other link's to tell. */
  #openBulk(node: NodeId, peer: Peer): PeerLink {
    return this.#link(node, "entries", (state) => {
      if (state === "lost" && this.#peers.get(node) === peer) this.#receiver?.peer(node, "unreachable");
    });
  }

  #link(node: NodeId, purpose: string, changed: (state: PeerState) => void): PeerLink {
    const { queueBytesMax, frameBytes, reconnectMinMs, reconnectMaxMs } = this.#limits;
    return new PeerLink(
      { node, queueBytesMax, frameBytes, reconnectMinMs, reconnectMaxMs },
      {
        dial: () => this.#dialOptions(node, purpose),
        changed,
        event: (event) => this.#parts.onEvent(event),
        random: Math.random,
      },
    );
  }

  #dialOptions(node: NodeId, purpose: string) {
    const peer = this.#peers.get(node);
    const me = this.#identity;
    if (peer === undefined || me === null) throw new DialError("unreachable", `node ${node} is not known`);
    return {
      address: peer.address,
      secret: this.#options.secret,
      credentials: this.#credentials.client,
      timeoutMs: this.#limits.connectMs,
      frameBytesMax: this.#limits.frameBytesMax,
      hello: {
        purpose,
        cluster: me.cluster,
        sender: me.node,
        receiver: node,
        senderIncarnation: me.incarnation,
        receiverIncarnation: peer.incarnation,
        advertise: me.advertise,
      },
    };
  }

  #accept(stream: Accepted): StreamHandler | null {
    switch (stream.hello.purpose) {
      case "messages":
        this.#noteAddress(stream);
        return this.#messages(stream);
      case "entries":
        return this.#messages(stream);
      case "bulk":
        return this.#snapshots(stream);
      case "call":
        return this.#calls(stream);
      default:
        return null;
    }
  }

  /** A member that moved is dialled where it says it is: its own announcement may need us to get through. */
  #noteAddress({ hello }: Accepted): void {
    const node = asNodeId(hello.sender);
    const peer = this.#peers.get(node);
    if (peer === undefined || hello.advertise === "" || hello.advertise === peer.address) return;
    if (peer.incarnation !== null && peer.incarnation !== hello.senderIncarnation) return;
    if (peer.link.connected) return;
    this.#parts.onEvent({ kind: "peerAddress", node, address: hello.advertise });
    this.#aim(node, { ...peer, address: hello.advertise });
  }

  #messages({ hello }: Accepted): StreamHandler {
    const envelope = envelopeOf(hello);
    return {
      frame: (frame) => this.#receiver?.messages(envelope, decodeMessages(unpack(frame))),
      ended: () => undefined,
    };
  }

  #snapshots(stream: Accepted): StreamHandler {
    const envelope = envelopeOf(stream.hello);
    const node = envelope.sender;
    return new SnapshotReceiver({
      area: this.#area,
      write: (frame) => stream.write(frame),
      end: (why) => stream.end(why),
      received: (message, snapshot) => {
        const { group } = message;
        this.#parts.onEvent({ kind: "snapshotEnded", direction: "in", group, ok: true, why: "verified" });
        this.#receiver?.snapshot(envelope, message, snapshot);
      },
      progress: (group, got, total) =>
        this.#parts.onEvent({ kind: "snapshotProgress", direction: "in", group, node, bytes: got, total }),
      failed: (group, error) =>
        this.#parts.onEvent({
          kind: "snapshotEnded",
          direction: "in",
          group: group ?? -1,
          ok: false,
          why: error.message,
        }),
    });
  }

  #calls(stream: Accepted): StreamHandler {
    return {
      frame: (frame) => {
        const [name, body] = list(unpack(frame));
        this.#parts.onCall(text(name), bytes(body)).then(
          (answer) => {
            stream.write(pack([true, answer]));
            stream.end();
          },
          (error: unknown) => {
            stream.write(pack([false, error instanceof Error ? error.message : String(error)]));
            stream.end();
          },
        );
      },
      ended: () => undefined,
    };
  }
}

function hangUp({ link, bulk }: Peer): void {
  link.close();
  bulk?.close();
}

function envelopeOf(hello: Accepted["hello"]): PeerEnvelope {
  return {
    cluster: hello.cluster,
    sender: asNodeId(hello.sender),
    receiver: asNodeId(hello.receiver),
    receiverIncarnation: hello.receiverIncarnation,
  };
}

/** Asks a node over its peer port, member or not; rejects with {@link DialError}, or with what it answered. */
export async function callPeer(
  address: string,
  name: string,
  body: Uint8Array,
  options: { readonly secret: string; readonly timeoutMs: number; readonly credentials?: ChannelCredentials },
): Promise<Uint8Array> {
  const { secret, timeoutMs } = options;
  const stream = await dial({
    address,
    secret,
    credentials: options.credentials ?? credentials.createInsecure(),
    timeoutMs,
    frameBytesMax: PEER_TRANSPORT_DEFAULTS.frameBytesMax,
    hello: {
      purpose: "call",
      cluster: "",
      sender: 0,
      receiver: 0,
      senderIncarnation: "",
      receiverIncarnation: null,
      advertise: "",
    },
  });
  return await new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      stream.close();
      reject(new DialError("unreachable", `${address} did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
    stream.onEnd = (failure) => {
      clearTimeout(late);
      reject(failure);
    };
    stream.onFrame = (frame) => {
      const [ok, answer] = list(unpack(frame));
      clearTimeout(late);
      if (ok === true) resolve(bytes(answer));
      else reject(new Error(String(answer)));
      stream.close();
    };
    stream.write(pack([name, body]));
  });
}
