/**
 * A network between real nodes that can be made bad. Each node advertises proxies instead of its own ports; a proxy
 * knows who connected, so every direction between two nodes is a {@link Wire} with faults of its own:
 *
 *     node a ──▶ proxy of b ──▶ node b        bytes a sends b: wire a→b, whoever opened the connection
 *            ◀──            ◀──               bytes b sends a: wire b→a
 *
 * A cut wire holds bytes back, as a network does that loses packets which TCP repeats until it heals.
 */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { senderOf } from "./sender.ts";

export interface Wire {
  /** Nothing passes until it is whole again. */
  readonly cut: boolean;
  readonly delayMs: number;
  /** null: as fast as it goes. */
  readonly bytesPerSecond: number | null;
}

const WHOLE: Wire = { cut: false, delayMs: 0, bytesPerSecond: null };
/** A sender is made to wait when a wire holds this much back; a kernel's buffers do the same. */
const HELD_BYTES_MAX = 1 << 20;

export class Network implements AsyncDisposable {
  readonly #wires = new Map<string, Wire>();
  readonly #flows = new Set<Flow>();
  readonly #proxies: Proxy[] = [];
  readonly #pids = new Map<number, number>();

  /** A port in front of one of node `owner`'s; it leads nowhere until it is aimed. */
  async proxy(owner: number): Promise<Proxy> {
    const proxy = new Proxy(owner, this);
    this.#proxies.push(proxy);
    await proxy.listen();
    return proxy;
  }
  /** Process `pid` is node `node`, until another one is. */
  tell(node: number, pid: number): void {
    this.#pids.set(node, pid);
  }
  nodeAt(fromPort: number, toPort: number): number | null {
    const pid = senderOf(fromPort, toPort, [...this.#pids.values()]);
    for (const [node, its] of this.#pids) if (its === pid) return node;
    return null;
  }

  wire(from: number | null, to: number | null): Wire {
    return this.#wires.get(`${from}>${to}`) ?? WHOLE;
  }
  /** Changes what happens to bytes from one node to another, also those that wait already. */
  set(from: number, to: number, fault: Partial<Wire>): void {
    this.#wires.set(`${from}>${to}`, { ...this.wire(from, to), ...fault });
    for (const flow of this.#flows) flow.pump();
  }
  /** Cuts both directions between a node and the others. */
  isolate(node: number, others: readonly number[]): void {
    for (const other of others) {
      this.set(node, other, { cut: true });
      this.set(other, node, { cut: true });
    }
  }
  heal(): void {
    this.#wires.clear();
    for (const flow of this.#flows) flow.pump();
  }
  /** Breaks every connection that is open between two nodes; both may connect again. */
  reset(one: number, other: number): void {
    for (const flow of [...this.#flows]) if (flow.isBetween(one, other)) flow.close();
  }

  add(flow: Flow): void {
    this.#flows.add(flow);
  }
  remove(flow: Flow): void {
    this.#flows.delete(flow);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const flow of [...this.#flows]) flow.close();
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
  }
}

export class Proxy {
  readonly #owner: number;
  readonly #network: Network;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #target: number | null = null;

  constructor(owner: number, network: Network) {
    this.#owner = owner;
    this.#network = network;
    this.#server = createServer((socket) => this.#accept(socket));
  }
  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }
  /** The port connections go to from now on. */
  aim(port: number): void {
    this.#target = port;
  }
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(near: Socket): void {
    this.#keep(near);
    const sender = this.#network.nodeAt(near.remotePort ?? 0, this.#port);
    if (this.#target === null) {
      near.destroy();
      return;
    }
    const far = connect({ host: "127.0.0.1", port: this.#target, noDelay: true });
    near.setNoDelay(true);
    this.#keep(far);
    new Flow(this.#network, { source: near, sink: far, from: sender, to: this.#owner });
    new Flow(this.#network, { source: far, sink: near, from: this.#owner, to: sender });
  }
  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
  }
}

interface FlowEnds {
  readonly source: Socket;
  readonly sink: Socket;
  /** null: not one of the nodes, or gone before it could be told. */
  readonly from: number | null;
  readonly to: number | null;
}

/** One direction of one connection: what came in leaves in order, when its wire lets it. */
class Flow {
  readonly #network: Network;
  readonly #ends: FlowEnds;
  readonly #held: { readonly bytes: Buffer; readonly cameMs: number }[] = [];
  #heldBytes = 0;
  /** With a rate: when the next bytes may leave. */
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #sourceEnded = false;

  constructor(network: Network, ends: FlowEnds) {
    this.#network = network;
    this.#ends = ends;
    network.add(this);
    const { source, sink } = ends;
    source.on("data", (bytes: Buffer) => {
      this.#held.push({ bytes, cameMs: performance.now() });
      this.#heldBytes += bytes.length;
      if (this.#heldBytes > HELD_BYTES_MAX) source.pause();
      this.pump();
    });
    source.on("end", () => {
      this.#sourceEnded = true;
      this.pump();
    });
    sink.on("drain", () => this.pump());
    // An error is followed by "close", which ends both sides.
    source.on("error", () => this.close());
    source.on("close", () => this.close());
  }

  isBetween(one: number, other: number): boolean {
    const { from, to } = this.#ends;
    return (from === one && to === other) || (from === other && to === one);
  }

  /** Lets through what may pass now, and looks again when more may. */
  pump(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const { source, sink, from, to } = this.#ends;
    const wire = this.#network.wire(from, to);
    if (wire.cut || sink.writableNeedDrain) return;
    for (let head = this.#held[0]; head !== undefined; head = this.#held[0]) {
      const now = performance.now();
      const due = Math.max(head.cameMs + wire.delayMs, this.#freeAtMs);
      if (due > now) {
        this.#timer = setTimeout(() => this.pump(), Math.ceil(due - now));
        return;
      }
      this.#held.shift();
      this.#heldBytes -= head.bytes.length;
      if (wire.bytesPerSecond !== null)
        this.#freeAtMs = now + (head.bytes.length / wire.bytesPerSecond) * 1000;
      if (!sink.write(head.bytes)) break;
    }
    if (this.#heldBytes <= HELD_BYTES_MAX) source.resume();
    if (this.#sourceEnded && this.#held.length === 0) sink.end();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#network.remove(this);
    // A sender that died behind a cut is not heard of on the other side before it heals; here it is, which is kinder.
    this.#ends.source.destroy();
    this.#ends.sink.destroy();
  }
}
