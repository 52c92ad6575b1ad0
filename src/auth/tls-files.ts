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
}

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | null;
  /** When the certificate ends, in milliseconds since 1970. */
  readonly notAfterMs: number;
}

/** The material in use now, and word of every change. Its owner disposes it. */
export type TlsFiles = WatchedFiles<TlsMaterial>;

/** Throws {@link KeyFileError} when certificate and key do not belong together or cannot be read as PEM. */
export function openTlsFiles(
  paths: TlsPaths,
  parts: { readonly everyMs: number; trouble(error: Error): void },
): TlsFiles {
  const files = [paths.certFile, paths.keyFile, ...(paths.caFile === null ? [] : [paths.caFile])];
  return new WatchedFiles(
    { paths: files, everyMs: parts.everyMs },
    { parse: (contents) => material(paths, contents), trouble: parts.trouble },
  );
}

function material({ certFile, keyFile }: TlsPaths, contents: readonly Buffer[]): TlsMaterial {
  const [cert = Buffer.alloc(0), key = Buffer.alloc(0), ca = null] = contents;
  try {
    const { validTo } = new X509Certificate(cert);
    createSecureContext({ cert, key, ...(ca === null ? {} : { ca }) });
    return { cert, key, ca, notAfterMs: Date.parse(validTo) };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new KeyFileError(`${certFile} and ${keyFile} cannot be used for TLS: ${why}`, { cause });
  }
}
