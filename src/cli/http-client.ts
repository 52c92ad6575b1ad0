/**
 * A lean HTTP/1.1 client for this program's own tools. It keeps connections open, takes bodies that are already
 * serialised and does nothing else: in a benchmark, client and server share the processor.
 */
import { connect as connectTcp, isIP } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export type HttpClientErrorCode =
  "BAD_URL" | "CONNECT_FAILED" | "CONNECTION_LOST" | "TIMED_OUT" | "BAD_RESPONSE";

/** The request got no answer. Except after CONNECT_FAILED and BAD_URL its outcome is unknown. */
export class HttpClientError extends Error {
  override readonly name = "HttpClientError";
  readonly code: HttpClientErrorCode;
  constructor(code: HttpClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** Value of a header by its lower-case name. */
  header(name: string): string | undefined;
}

export interface HttpClientOptions {
  /** `http://` or `https://`, host, port; a path is a prefix of every request's. */
  readonly url: string;
  readonly apiKey?: string | undefined;
  /** PEM of the authorities that vouch for the server; the system's when it is missing. */
  readonly ca?: string | undefined;
  /** Connections open at once; further requests wait for one. */
  readonly connections?: number;
  /** Silence after which a request is given up. */
  readonly timeoutMs?: number;
}

const CONNECTIONS_DEFAULT = 8;
/** Longer than a node's own deadline (`http.deadline_ms`): its answer then says more than its silence. */
const TIMEOUT_MS_DEFAULT = 75_000;
/** An answer's headers; past this it is not one of a Flotilla node. */
const HEAD_BYTES_MAX = 64 * 1024;

/** Requests on a bounded number of kept-alive connections. Never repeats a request by itself. */
export class HttpClient implements Disposable {
  readonly #url: URL;
  readonly #timeoutMs: number;
  readonly #connectionsMax: number;
  readonly #fixedHead: string;
  readonly #ca: string | undefined;
  readonly #idle: Connection[] = [];
  readonly #all = new Set<Connection>();
  readonly #waiting: ((connection: Connection) => void)[] = [];

  constructor(options: HttpClientOptions) {
    this.#url = parseUrl(options.url);
    this.#ca = options.ca;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
    this.#connectionsMax = options.connections ?? CONNECTIONS_DEFAULT;
    const key = options.apiKey === undefined ? "" : `api-key: ${headerValue(options.apiKey)}\r\n`;
    this.#fixedHead = `host: ${this.#url.host}\r\n${key}`;
  }

  /** The bytes of a request, for those that are sent many times. */
  encode(
    method: string,
    path: string,
    body?: string | Buffer,
    headers: Readonly<Record<string, string>> = {},
  ): Buffer {
    let head = `${method} ${this.#url.pathname.replace(/\/$/, "")}${path} HTTP/1.1\r\n${this.#fixedHead}`;
    for (const [name, value] of Object.entries(headers)) head += `${name}: ${headerValue(value)}\r\n`;
    if (body === undefined) return Buffer.from(`${head}\r\n`, "latin1");
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    head += `content-type: application/json\r\ncontent-length: ${bytes.length}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head, "latin1"), bytes]);
  }

  /** Sends encoded bytes and resolves with the whole answer, whatever its status. Throws {@link HttpClientError}. */
  async exchange(request: Buffer): Promise<HttpAnswer> {
    const connection = await this.#acquire();
    try {
      return await connection.exchange(request);
    } finally {
      this.#release(connection);
    }
  }

  request(
    method: string,
    path: string,
    body?: string | Buffer,
    headers?: Readonly<Record<string, string>>,
  ): Promise<HttpAnswer> {
    return this.exchange(this.encode(method, path, body, headers));
  }

  /** Closes every connection; requests in flight fail with CONNECTION_LOST. */
  [Symbol.dispose](): void {
    for (const connection of this.#all) connection.close();
  }

  #acquire(): Connection | Promise<Connection> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.usable) return idle;
      this.#all.delete(idle);
    }
    if (this.#all.size < this.#connectionsMax) return this.#open();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #open(): Connection {
    const connection = new Connection(this.#url, { timeoutMs: this.#timeoutMs, ca: this.#ca });
    this.#all.add(connection);
    return connection;
  }

  #release(connection: Connection): void {
    let next: Connection = connection;
    if (!connection.usable) {
      this.#all.delete(connection);
      if (this.#waiting.length === 0) return;
      next = this.#open();
    }
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#idle.push(next);
    else waiter(next);
  }
}

/** `host:port` alone is taken as http. */
function parseUrl(text: string): URL {
  try {
    const url = new URL(text.includes("://") ? text : `http://${text}`);
    if (url.protocol === "http:" || url.protocol === "https:") return url;
  } catch (cause) {
    throw new HttpClientError("BAD_URL", `"${text}" is not an address like http://127.0.0.1:6333`, { cause });
  }
  throw new HttpClientError("BAD_URL", `"${text}": http:// and https:// can be spoken`);
}

function headerValue(value: string): string {
  if (/^[\t\x20-\x7e]*$/.test(value)) return value;
  throw new HttpClientError("BAD_URL", "a header's value has characters that cannot be sent");
}

interface Pending {
  readonly resolve: (answer: HttpAnswer) => void;
  readonly reject: (error: HttpClientError) => void;
}

/** An address is no server name (RFC 6066, section 3): the certificate is held against it all the same. */
function serverName(host: string): { readonly servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}

/** One line, whatever the system or the library for TLS makes of it. */
function reasonOf(cause: Error): string {
  if (/wrong version number|packet length too long/i.test(cause.message))
    return "it does not speak TLS; does its address begin with http://?";
  return cause.message.replace(/\s+/g, " ").trim();
}

/** One socket, one request at a time. */
class Connection {
  readonly #socket: Socket;
  readonly #where: string;
  readonly #timeoutMs: number;
  #connected = false;
  #usable = true;
  #received: Buffer = Buffer.alloc(0);
  #pending: Pending | null = null;

  constructor(url: URL, { timeoutMs, ca }: { readonly timeoutMs: number; readonly ca: string | undefined }) {
    this.#where = url.host;
    this.#timeoutMs = timeoutMs;
    const secure = url.protocol === "https:";
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
    const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
    const onConnect = () => {
      this.#connected = true;
    };
    this.#socket = secure
      ? connectTls({ host, port, ...serverName(host), ...(ca === undefined ? {} : { ca }) }, onConnect)
      : connectTcp({ host, port, noDelay: true }, onConnect);
    this.#socket.on("data", (chunk) => this.#receive(chunk));
    this.#socket.on("error", (cause) => this.#fail(this.#lost(cause)));
    this.#socket.on("close", () => this.#fail(this.#lost()));
    this.#socket.on("timeout", () => this.#timedOut());
  }

  get usable(): boolean {
    return this.#usable;
  }

  exchange(request: Buffer): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      if (!this.#usable) {
        reject(this.#lost());
        return;
      }
      this.#pending = { resolve, reject };
      this.#socket.setTimeout(this.#timeoutMs);
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let answer: ParsedAnswer | null;
    try {
      answer = parseAnswer(this.#received);
    } catch (cause) {
      this.#fail(
        new HttpClientError("BAD_RESPONSE", `${this.#where}: ${(cause as Error).message}`, { cause }),
      );
      return;
    }
    if (answer === null) return;
    // An interim answer (100 Continue) is followed by the real one.
    this.#received = this.#received.subarray(answer.bytes);
    if (answer.status < 200) {
      if (this.#received.length > 0) this.#receive(Buffer.alloc(0));
      return;
    }
    const pending = this.#pending;
    this.#pending = null;
    this.#socket.setTimeout(0);
    if (answer.close) {
      this.#usable = false;
      this.#socket.end();
    }
    pending?.resolve(answer);
  }

  #lost(cause?: Error): HttpClientError {
    const options = cause === undefined ? undefined : { cause };
    return this.#connected
      ? new HttpClientError(
          "CONNECTION_LOST",
          `${this.#where} closed the connection before it answered`,
          options,
        )
      : new HttpClientError(
          "CONNECT_FAILED",
          `no connection to ${this.#where}: ${cause === undefined ? "closed" : reasonOf(cause)}`,
          options,
        );
  }

  #timedOut(): void {
    if (this.#pending === null) return;
    const code = this.#connected ? "TIMED_OUT" : "CONNECT_FAILED";
    this.#fail(new HttpClientError(code, `${this.#where} was silent for ${this.#timeoutMs} ms`));
  }

  #fail(error: HttpClientError): void {
    this.#usable = false;
    const pending = this.#pending;
    this.#pending = null;
    this.#socket.destroy();
    pending?.reject(error);
  }
}

interface ParsedAnswer extends HttpAnswer {
  /** Length of the whole answer. */
  readonly bytes: number;
  /** The server will not take another request on this connection. */
  readonly close: boolean;
}

/** null while bytes are missing. Throws on what is not HTTP/1.1. */
function parseAnswer(received: Buffer): ParsedAnswer | null {
  const headEnd = received.indexOf("\r\n\r\n");
  if (headEnd === -1) {
    if (received.length > HEAD_BYTES_MAX) throw new Error(`no end of headers within ${HEAD_BYTES_MAX} bytes`);
    return null;
  }
  const head = received.toString("latin1", 0, headEnd);
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1];
  if (status === undefined) throw new Error(`not an HTTP/1.1 answer: ${JSON.stringify(head.slice(0, 40))}`);
  const header = (name: string) => new RegExp(`\\r\\n${name}:[ \\t]*([^\\r]*)`, "i").exec(head)?.[1]?.trim();
  const rest = { status: Number(status), header, close: /\r\nconnection:[ \t]*close/i.test(head) };
  const start = headEnd + 4;
  const length = /\r\ncontent-length:[ \t]*(\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    const end = start + Number(length);
    return received.length < end ? null : { ...rest, body: received.subarray(start, end), bytes: end };
  }
  if (/\r\ntransfer-encoding:[ \t]*chunked/i.test(head)) {
    const chunked = parseChunks(received, start);
    return chunked === null ? null : { ...rest, ...chunked };
  }
  if (rest.status < 200 || rest.status === 204 || rest.status === 304)
    return { ...rest, body: Buffer.alloc(0), bytes: start };
  throw new Error("an answer with neither content-length nor chunks");
}

function parseChunks(
  received: Buffer,
  start: number,
): { readonly body: Buffer; readonly bytes: number } | null {
  const parts: Buffer[] = [];
  for (let at = start; ;) {
    const lineEnd = received.indexOf("\r\n", at);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(received.toString("latin1", at, lineEnd), 16);
    if (!Number.isSafeInteger(size) || size < 0) throw new Error("a chunk whose size is not a number");
    const from = lineEnd + 2;
    if (received.length < from + size + 2) return null;
    if (size === 0) return { body: Buffer.concat(parts), bytes: from + 2 };
    parts.push(received.subarray(from, from + size));
    at = from + size + 2;
  }
}
