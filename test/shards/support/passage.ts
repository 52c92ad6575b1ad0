/** A way to one port that can be slow, or lose everything without a word, as a network does: no end, no reset, no refusal. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class Passage implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: number;
  readonly #connections = new Set<Connection>();
  readonly #bytesPerSecond: number;
  #lossy = false;

  private constructor(target: number, bytesPerSecond: number) {
    this.#target = target;
    this.#bytesPerSecond = bytesPerSecond;
    this.#server = createServer((near) => this.#accept(near));
  }
  /** To a port of this machine; the rate is that of each connection and direction. */
  static async to(address: string, bytesPerSecond = Infinity): Promise<Passage> {
    const passage = new Passage(Number(address.slice(address.lastIndexOf(":") + 1)), bytesPerSecond);
    passage.#server.listen(0, "127.0.0.1");
    await once(passage.#server, "listening");
    return passage;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  /**
   * From now on nothing comes through, on connections that stand and on new ones. Resolves when both sides have
   * given up all those that stand now.
   */
  async lose(): Promise<void> {
    this.#lossy = true;
    await Promise.all([...this.#connections].map(async (connection) => await connection.lose()));
  }
  /** New connections pass again. Old ones do not: what was lost of them is not sent again. */
  heal(): void {
    this.#lossy = false;
  }

  #accept(near: Socket): void {
    const far = connect({ host: "127.0.0.1", port: this.#target, noDelay: true });
    const connection = new Connection([near.setNoDelay(true), far], this.#bytesPerSecond);
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    if (this.#lossy) void connection.lose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class Connection {
  readonly closed: Promise<unknown>;
  readonly #sockets: readonly [near: Socket, far: Socket];
  readonly #bytesPerSecond: number;
  #lossy = false;

  constructor([near, far]: readonly [near: Socket, far: Socket], bytesPerSecond: number) {
    this.#sockets = [near, far];
    this.#bytesPerSecond = bytesPerSecond;
    this.closed = Promise.all([this.#join(near, far), this.#join(far, near)]);
  }
  async lose(): Promise<void> {
    this.#lossy = true;
    await this.closed;
  }
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** What is lost is read all the same: so does a kernel, and only who reads learns of the end. */
  async #join(from: Socket, to: Socket): Promise<void> {
    from.on("data", (bytes: Buffer) => {
      if (!this.#lossy) to.write(bytes);
      if (this.#bytesPerSecond === Infinity) return;
      from.pause();
      setTimeout(() => from.resume(), (bytes.length / this.#bytesPerSecond) * 1000);
    });
    await new Promise<void>((resolve) => {
      from.on("error", () => from.destroy());
      from.on("close", () => {
        if (!this.#lossy) to.destroy();
        resolve();
      });
    });
  }
}
