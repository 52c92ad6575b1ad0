/** How tests look at nodes that speak TLS: what each port presents and whom it lets in, and a REST client. */
import { connect as connectTls, type TLSSocket } from "node:tls";
import { Agent, request } from "undici";
import { Client, type Answer } from "../../support/client.ts";
import type { Member } from "../cluster-process.ts";

export const PORTS = ["http", "grpc", "peer"] as const;
export type Port = (typeof PORTS)[number];

/** PEM. */
export interface Trust {
  readonly ca: Buffer;
  /** Shown to who asks for it. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export interface Look {
  /** SHA-256 of the certificate that was presented; null: none that is trusted. */
  readonly fingerprint: string | null;
  /** `served`: the port spoke to us above TLS. Else why not, in OpenSSL's words. */
  readonly outcome: string;
}

const HTTP2_PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

export function portOf(member: Member, port: Port): number {
  return Number(new RegExp(`${port}=\\S+:(\\d+)`).exec(member.process.readyLine)?.[1]);
}

/** Makes one new connection and waits until the port has said something, or has closed it. */
export async function look(member: Member, port: Port, trust: Trust): Promise<Look> {
  return await new Promise((resolve) => {
    let fingerprint: string | null = null;
    let failed: NodeJS.ErrnoException | null = null;
    const socket: TLSSocket = connectTls({
      host: "127.0.0.1",
      port: portOf(member, port),
      ALPNProtocols: [port === "http" ? "http/1.1" : "h2"],
      ...trust,
    });
    socket.once("secureConnect", () => {
      fingerprint = socket.getPeerCertificate().fingerprint256;
      socket.write(port === "http" ? "GET /healthz HTTP/1.0\r\n\r\n" : HTTP2_PREFACE);
    });
    socket.once("data", () => {
      resolve({ fingerprint, outcome: "served" });
      socket.destroy();
    });
    socket.on("error", (error) => (failed = error));
    socket.once("close", () => resolve({ fingerprint, outcome: failed?.code ?? "closed" }));
  });
}

/** A REST client that makes a new connection for each request, so that each is a handshake with what is newest. */
export class SecureClient extends Client {
  readonly #origin: string;
  readonly #ca: Buffer;

  constructor(member: Member, ca: Buffer) {
    super(member.process.url);
    this.#origin = `https://127.0.0.1:${portOf(member, "http")}`;
    this.#ca = ca;
  }

  override async call(
    method: string,
    path: string,
    body?: object,
    headers: Readonly<Record<string, string>> = {},
    signal: AbortSignal | null = null,
  ): Promise<Answer> {
    const agent = new Agent({ connect: { ca: this.#ca }, pipelining: 0 });
    try {
      const answer = await request(`${this.#origin}${path}`, {
        method: method as "GET",
        headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal,
        dispatcher: agent,
      });
      const text = await answer.body.text();
      return {
        status: answer.statusCode,
        body: (text.startsWith("{") ? JSON.parse(text) : {}) as Answer["body"],
        index: String(answer.headers["x-flotilla-index"] ?? "") || null,
      };
    } finally {
      await agent.close();
    }
  }
}

/** What a client may meet that is repeated without a thought: the node went away, or asks for it. */
const REPEATED_CODES = new Set(["ECONNREFUSED", "ECONNRESET", "UND_ERR_SOCKET"]);
const WRITE_SECONDS = 4;

/**
 * Writes single points one after the other, each until it is acknowledged, on the next node that runs. What no client
 * could repeat ends it: see `stop`.
 */
export class RepeatingWriter {
  readonly acknowledged = new Set<number>();
  /** Tries that were repeated, in words. */
  readonly repeated: string[] = [];
  readonly #members: () => readonly Member[];
  readonly #collection: string;
  readonly #ca: () => Buffer;
  readonly #run: Promise<void>;
  #stopped = false;

  constructor(collection: string, parts: { members: () => readonly Member[]; ca: () => Buffer }) {
    this.#collection = collection;
    this.#members = parts.members;
    this.#ca = parts.ca;
    this.#run = this.#writeAll();
    // Seen by who stops it; until then a rejection is nobody's.
    this.#run.catch((error: unknown) => this.repeated.push(`ended: ${String(error)}`));
  }

  /** Rejects when a write failed in a way that repeating cannot mend. */
  async stop(): Promise<ReadonlySet<number>> {
    this.#stopped = true;
    await this.#run;
    return this.acknowledged;
  }

  async #writeAll(): Promise<void> {
    for (let id = 1, turn = 0; !this.#stopped; turn++) {
      const members = this.#members();
      const member = members[turn % members.length];
      if (member === undefined) throw new Error("no node runs");
      const why = await this.#write(member, id);
      if (why === null) this.acknowledged.add(id++);
      else this.repeated.push(`point ${id} on node ${member.number}: ${why}`);
    }
  }

  /** null: acknowledged; else why it has to be repeated. */
  async #write(member: Member, id: number): Promise<string | null> {
    const path = `/collections/${this.#collection}/points?timeout=${WRITE_SECONDS}`;
    const points = [{ id, vector: [id % 97, 1, 2, 3] }];
    try {
      const { status, body } = await new SecureClient(member, this.#ca()).call("PUT", path, { points });
      if (status === 200) return null;
      if (status === 503 || status === 504) return `${status} ${JSON.stringify(body)}`;
      throw new Error(`point ${id} on node ${member.number}: ${status} ${JSON.stringify(body)}`);
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (REPEATED_CODES.has(code)) return code;
      throw error;
    }
  }
}
