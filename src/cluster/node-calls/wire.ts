/** The one gRPC method behind the calls between nodes, and what both ends agree on. */
import type { ChannelOptions, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";

const same = (bytes: Buffer): Buffer => bytes;

/** Messages are bytes of our own: the handshake, then frames. */
export const STREAM = {
  path: "/flotilla.v1.NodeCalls/Stream",
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const;

export const NODE_CALLS: ServiceDefinition<UntypedServiceImplementation> = { Stream: STREAM };

/**
 * A peer that vanished without closing (power, cut cable, SIGSTOP) is noticed within about three seconds; one whose
 * process ended is at once. Redialling is our own, so gRPC's is to stay out of the way.
 */
export const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.keepalive_time_ms": 1_000,
  "grpc.keepalive_timeout_ms": 2_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 500,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
};

/** What happens on the streams, for logs and metrics. */
export type NodeCallsEvent =
  | { readonly kind: "connected"; readonly node: number; readonly side: "dialled" | "accepted" }
  | {
      readonly kind: "disconnected";
      readonly node: number;
      readonly side: "dialled" | "accepted";
      readonly why: string;
    }
  /** A handshake failed; `node` is null when the other end did not get as far as saying who it is. */
  | { readonly kind: "refused"; readonly node: number | null; readonly why: string }
  /** Bytes that make no sense came in: the stream was closed. */
  | { readonly kind: "badFrame"; readonly node: number; readonly why: string };
