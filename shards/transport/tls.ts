/**
 * TLS for gRPC, on both ends of a connection, from material that may be replaced at any time: connections that stand
 * go on, new ones use what is newest.
 */
import { isIP, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, rootCertificates } from "node:tls";
import type { SecureContext, SecureContextOptions } from "node:tls";
import { CallCredentials, ChannelCredentials, experimental, ServerCredentials } from "@grpc/grpc-js";

/** PEM; plain data, so that it can be handed to another thread. */
export interface TlsIdentity {
  /** The certificate, then those between it and an authority. */
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
  /**
   * Authorities that the other side's certificate is checked against, beside this node's own: one that vouches for
   * itself may serve all nodes. null: those that Node.js comes with.
   */
  readonly ca: Uint8Array | null;
}

/** From the first byte of a connection to the end of the TLS handshake; Node.js would wait for two minutes. */
const HANDSHAKE_MS = 5_000;

export class TlsCredentials {
  readonly #servers = new Set<ListenerCredentials>();
  readonly #client: ClientCredentials;
  #identity: TlsIdentity;

  constructor(identity: TlsIdentity) {
    this.#identity = identity;
    this.#client = new ClientCredentials(identity);
  }

  /** For connections made from now on. */
  replace(identity: TlsIdentity): void {
    this.#identity = identity;
    this.#client.replace(identity);
    for (const server of this.#servers) server.replace(identity);
  }

  /** `verifyClients`: who dials without a certificate by one of the authorities is not let in. */
  server({ verifyClients }: { readonly verifyClients: boolean }): ServerCredentials {
    const server = new ListenerCredentials(this.#identity, verifyClients);
    this.#servers.add(server);
    return server;
  }

  /** The other side must have a certificate by one of the authorities, for the host that is dialled; it sees ours. */
  client(): ChannelCredentials {
    return this.#client;
  }
}

/** The library's own either cannot be replaced or wait for a handshake as long as Node.js does. */
class ListenerCredentials extends ServerCredentials {
  constructor(identity: TlsIdentity, verifyClients: boolean) {
    const verified = { requestCert: verifyClients, rejectUnauthorized: verifyClients };
    super({ ...verified, handshakeTimeout: HANDSHAKE_MS }, contextOf(identity));
  }

  replace(identity: TlsIdentity): void {
    this.updateSecureContextOptions(contextOf(identity));
  }
  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}

/**
 * The library's own credentials name every host they dial in the handshake (SNI), and RFC 6066 §3 has that for DNS
 * names only: Node.js warns of an address there and will ignore it. Nodes mostly dial addresses, so that this makes
 * its connections itself.
 */
class ClientCredentials extends ChannelCredentials {
  #identity: TlsIdentity;
  #context: SecureContext | null = null;

  constructor(identity: TlsIdentity) {
    super();
    this.#identity = identity;
  }

  replace(identity: TlsIdentity): void {
    this.#identity = identity;
    this.#context = null;
  }

  override _isSecure(): boolean {
    return true;
  }
  override _equals(other: ChannelCredentials): boolean {
    return other === this;
  }
  override _createSecureConnector(
    { path }: experimental.GrpcUri,
    _options: object,
    callCredentials: CallCredentials = CallCredentials.createEmpty(),
  ): experimental.SecureConnector {
    const host = experimental.splitHostPort(path)?.host ?? path;
    return {
      connect: (socket) => this.#secure(socket, host),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => undefined,
    };
  }

  /** Resolves once the certificate of the other side is found good for `host`, be it a name or an address. */
  async #secure(socket: Socket, host: string): Promise<experimental.SecureConnectResult> {
    this.#context ??= createSecureContext(contextOf(this.#identity));
    const secureContext = this.#context;
    return await new Promise((resolve, reject) => {
      const named = isIP(host) === 0 ? { servername: host } : {};
      const secured = connectTls({ socket, secureContext, host, ALPNProtocols: ["h2"], ...named }, () => {
        secured.off("error", reject);
        secured.off("close", closed);
        resolve({ socket: secured, secure: true });
      });
      const closed = (): void => reject(new Error(`${host} closed the connection during the TLS handshake`));
      secured.once("error", reject);
      secured.once("close", closed);
    });
  }
}

function contextOf({ cert, key, ca }: TlsIdentity): SecureContextOptions {
  const authorities = Buffer.from(ca ?? rootCertificates.join("\n"));
  return {
    cert: Buffer.from(cert),
    key: Buffer.from(key),
    // A file need not end with a line break, and PEM blocks must not share a line.
    ca: Buffer.concat([authorities, Buffer.from("\n"), cert]),
  };
}
