/** HTTPS servers whose certificate is replaced while they serve: open connections keep theirs, new ones get the new. */
import type { RequestListener, Server } from "node:http";
import { createServer, type Server as HttpsServer } from "node:https";
import type { TlsFiles, TlsMaterial } from "../auth/tls-files.ts";
import type { HttpOptions } from "./options.ts";

export interface ServerTls {
  readonly files: TlsFiles;
  /** Whether clients need a certificate by one of the authorities. */
  readonly verifyClients: boolean;
}

const secrets = ({ cert, key, ca }: TlsMaterial) => ({
  cert,
  key,
  ...(ca === null ? {} : { ca }),
  minVersion: "TLSv1.2" as const,
});

export class SecureServers implements Disposable {
  readonly #tls: ServerTls;
  readonly #http: HttpOptions;
  readonly #servers = new Set<HttpsServer>();
  readonly #stop: () => void;

  constructor(tls: ServerTls, http: HttpOptions) {
    this.#tls = tls;
    this.#http = http;
    this.#stop = tls.files.onChange((material) => {
      for (const server of this.#servers) server.setSecureContext(secrets(material));
    });
  }

  /** A host name may stand for several addresses: the framework asks for one server each. */
  create(handler: RequestListener): Server {
    const http = this.#http;
    const server = createServer(
      {
        ...secrets(this.#tls.files.value),
        requestCert: this.#tls.verifyClients,
        rejectUnauthorized: this.#tls.verifyClients,
        handshakeTimeout: http.headersTimeoutMs,
        ...timings(http),
      },
      handler,
    );
    server.setTimeout(idleTimeoutMs(http));
    // Whoever listens to errors of clients has to do it: an answer would wait for the handshake, and so for ever.
    server.on("tlsClientError", (_error, socket) => void socket.destroy());
    if (http.requestsPerConnection > 0) server.maxRequestsPerSocket = http.requestsPerConnection;
    this.#servers.add(server);
    server.once("close", () => this.#servers.delete(server));
    return server;
  }

  [Symbol.dispose](): void {
    this.#stop();
  }
}

/** Silence on a socket also means that we are working: it may last as long as the longest deadline. */
export const idleTimeoutMs = (http: HttpOptions): number => http.deadlineMaxMs + http.sendTimeoutMs;

/** What Node's own server is told of time and size. */
export function timings(http: HttpOptions) {
  const headersTimeout = Math.min(http.headersTimeoutMs, http.receiveTimeoutMs);
  return {
    requestTimeout: http.receiveTimeoutMs,
    keepAliveTimeout: http.keepAliveTimeoutMs,
    headersTimeout,
    maxHeaderSize: http.headerBytes,
    // Node looks for late requests at intervals; a quarter of what is allowed is exact enough.
    connectionsCheckingInterval: Math.max(25, headersTimeout / 4),
  };
}
