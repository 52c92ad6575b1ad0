/** Certificate, key and authorities as files: read once for every port that uses them, and again when they change. */
import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { KeyFileError } from "./token-keys.ts";
import { WatchedFiles } from "./watched-files.ts";

export interface TlsPaths {
  /** PEM: the certificate of this node, then those between it and an authority. */
  readonly certFile: string;
  readonly keyFile: string;
  /** PEM: authorities that certificates of others are checked against; null: none. */
  readonly caFile: string | null;
  /** PEM: authorities that certificates of other nodes are checked against; null: {@link caFile}. */
  readonly peerCaFile?: string | null;
}

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | null;
  readonly peerCa: Buffer | null;
  /** When the certificate ends, in milliseconds since 1970. */
  readonly notAfterMs: number;
}

/** The material in use now, and word of every change. Its owner disposes it. */
export type TlsFiles = WatchedFiles<TlsMaterial>;

/** Throws {@link KeyFileError} for what is no PEM, for a key of another certificate, and for one that has ended. */
export function openTlsFiles(
  paths: TlsPaths,
  parts: { readonly everyMs: number; trouble(error: Error): void },
): TlsFiles {
  const { certFile, keyFile, caFile, peerCaFile = null } = paths;
  const files = [certFile, keyFile, caFile, peerCaFile].filter((path) => path !== null);
  return new WatchedFiles(
    { paths: files, everyMs: parts.everyMs },
    { parse: (contents) => material(paths, contents), trouble: parts.trouble },
  );
}

function material(
  { certFile, keyFile, caFile, peerCaFile = null }: TlsPaths,
  contents: readonly Buffer[],
): TlsMaterial {
  const left = [...contents];
  const next = (): Buffer => left.shift() ?? Buffer.alloc(0);
  const [cert, key] = [next(), next()];
  const ca = caFile === null ? null : authorities(caFile, next());
  const peerCa = peerCaFile === null ? null : authorities(peerCaFile, next());
  let notAfterMs: number;
  try {
    notAfterMs = Date.parse(new X509Certificate(cert).validTo);
    createSecureContext({ cert, key });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyFileError(`${certFile} and ${keyFile} cannot be used for TLS: ${why}`, { cause });
  }
  if (notAfterMs <= Date.now()) {
    const ended = new Date(notAfterMs).toISOString();
    throw new KeyFileError(`${certFile} cannot be used for TLS: the certificate ended at ${ended}`);
  }
  return { cert, key, ca, peerCa, notAfterMs };
}

/** TLS itself takes a file without any certificate in silence, and then trusts nobody. */
function authorities(path: string, pem: Buffer): Buffer {
  try {
    new X509Certificate(pem);
    return pem;
  } catch (cause) {
    throw new KeyFileError(`${path} holds no certificate of an authority in PEM`, { cause });
  }
}
