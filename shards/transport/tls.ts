/**
 * TLS for gRPC, on both ends of a connection, from material that may be replaced at any time: connections that stand
 * go on, new ones use what is newest.
 */
import { isIP, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { CallCredentials, ChannelCredentials, experimental, type ServerCredentials } from "@grpc/grpc-js";

type Provider = experimental.CertificateProvider;
type CaListener = Parameters<Provider["addCaCertificateListener"]>[0];
type IdentityListener = Parameters<Provider["addIdentityCertificateListener"]>[0];

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

export class TlsCredentials {
  readonly #provider: Replaceable;
  readonly #client: ClientCredentials;

  constructor(identity: TlsIdentity) {
    this.#provider = new Replaceable(identity);
    this.#client = new ClientCredentials(identity);
  }

  /** For connections made from now on. */
  replace(identity: TlsIdentity): void {
    this.#provider.replace(identity);
    this.#client.replace(identity);
  }

  /** `verifyClients`: who dials without a certificate by one of the authorities is not let in. */
  server({ verifyClients }: { readonly verifyClients: boolean }): ServerCredentials {
    // The library's parameters are named the other way round than they are used: the first is the identity.
    return experimental.createCertificateProviderServerCredentials(
      this.#provider,
      verifyClients ? this.#provider : null,
      verifyClients,
    );
  }

  /** The other side must have a certificate by one of the authorities, for the host that is dialled; it sees ours. */
  client(): ChannelCredentials {
    return this.#client;
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
    this.#context ??= createSecureContext({
      cert: Buffer.from(this.#identity.cert),
      key: Buffer.from(this.#identity.key),
      ca: authorities(this.#identity),
    });
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

/** What certificates are checked against. A file need not end with a line break, and PEM blocks must not share a line. */
function authorities({ ca, cert }: TlsIdentity): Buffer {
  return Buffer.concat([Buffer.from(ca ?? rootCertificates.join("\n")), Buffer.from("\n"), cert]);
}

/**
 * Tells each listener what there is, and again when it is replaced. Never from within adding it: the library
 * subscribes before it is ready to hear.
 */
class Replaceable implements Provider {
  readonly #ca = new Set<CaListener>();
  readonly #identity = new Set<IdentityListener>();
  #now: TlsIdentity;

  constructor(identity: TlsIdentity) {
    this.#now = identity;
  }

  replace(identity: TlsIdentity): void {
    this.#now = identity;
    for (const listener of this.#ca) this.#tellCa(listener);
    for (const listener of this.#identity) this.#tellIdentity(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#ca.add(listener);
    queueMicrotask(() => {
      if (this.#ca.has(listener)) this.#tellCa(listener);
    });
  }
  removeCaCertificateListener(listener: CaListener): void {
    this.#ca.delete(listener);
  }
  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.add(listener);
    queueMicrotask(() => {
      if (this.#identity.has(listener)) this.#tellIdentity(listener);
    });
  }
  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.delete(listener);
  }

  #tellCa(listener: CaListener): void {
    listener({ caCertificate: authorities(this.#now) });
  }
  #tellIdentity(listener: IdentityListener): void {
    listener({ certificate: Buffer.from(this.#now.cert), privateKey: Buffer.from(this.#now.key) });
  }
}
