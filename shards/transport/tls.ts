/**
 * TLS for gRPC, on both ends of a connection, from material that may be replaced at any time: connections that stand
 * go on, new ones use what is newest.
 */
import { rootCertificates } from "node:tls";
import { experimental, type ChannelCredentials, type ServerCredentials } from "@grpc/grpc-js";

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

  constructor(identity: TlsIdentity) {
    this.#provider = new Replaceable(identity);
  }

  /** For connections made from now on. */
  replace(identity: TlsIdentity): void {
    this.#provider.replace(identity);
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
    return experimental.createCertificateProviderChannelCredentials(this.#provider, this.#provider);
  }
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
    const { ca, cert } = this.#now;
    const authorities = Buffer.from(ca ?? rootCertificates.join("\n"));
    // A file need not end with a line break, and PEM blocks must not share a line.
    listener({ caCertificate: Buffer.concat([authorities, Buffer.from("\n"), cert]) });
  }
  #tellIdentity(listener: IdentityListener): void {
    listener({ certificate: Buffer.from(this.#now.cert), privateKey: Buffer.from(this.#now.key) });
  }
}
