/** Certificates of a node, handed to what connects nodes: the gRPC port here, the peer port on its own thread. */
import { TlsCredentials, type TlsIdentity } from "../../shards/adapters.ts";
import type { PeerTls } from "./contracts.ts";

/** What the watched files of a node hold now. */
interface Material {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
  readonly ca: Uint8Array | null;
  readonly peerCa: Uint8Array | null;
}

export interface TlsSource {
  readonly value: Material;
  onChange(listener: (material: Material) => void): () => void;
}

/** On the peer port nobody but the nodes' own authorities counts, where there are any. */
export function peerTls({ cert, key, ca, peerCa }: Material): PeerTls {
  return { cert, key, ca: peerCa ?? ca, mutual: peerCa !== null };
}

/** On the gRPC port clients and nodes meet: the authorities of both count. Follows the files as long as they are watched. */
export function grpcTls(source: TlsSource): TlsCredentials {
  const credentials = new TlsCredentials(grpcIdentity(source.value));
  source.onChange((material) => credentials.replace(grpcIdentity(material)));
  return credentials;
}

function grpcIdentity({ cert, key, ca, peerCa }: Material): TlsIdentity {
  const given = [ca, peerCa].filter((pem) => pem !== null);
  // A file need not end with a line break, and PEM blocks must not share a line.
  const all = given.length === 0 ? null : Buffer.concat(given.flatMap((pem) => [pem, Buffer.from("\n")]));
  return { cert, key, ca: all };
}
