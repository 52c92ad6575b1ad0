import type { Transport } from "../ports.ts";

/** The transport of a node without peers: whatever is sent is lost, as to a peer that is down. */
export function noPeers(): Transport {
  return {
    start: () => undefined,
    send: () => undefined,
    sendSnapshot: async () => false,
  };
}
