/** The one method of the peer port: a stream of frames in both directions, each a MessagePack value. */
import type { ChannelOptions, ServiceDefinition } from "@grpc/grpc-js";

export const STREAM_PATH = "/flotilla.v1.Peers/Stream";

const same = (frame: Buffer): Buffer => frame;

export const frameCodec = { serialize: same, deserialize: same } as const;

export const PEER_SERVICE = {
  Stream: {
    path: STREAM_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} as const satisfies ServiceDefinition;

/** A dial makes a connection of its own; who opens many more on one is a stranger. */
const STREAMS_PER_CONNECTION = 64;

/**
 * Notices a peer that is silently gone: the two together are the longest that it takes. A full window goes before a
 * ping, so most of it is for the answer: a link that carries the window of messages in that time (some 350 KiB/s) is
 * never taken for gone, however long the queue to it.
 */
export const KEEPALIVE = { everyMs: 1_000, answerWithinMs: 3_000 } as const;

/** Each dial makes a channel of its own and paces itself. */
export function channelOptions(frameBytesMax: number): ChannelOptions {
  return {
    "grpc.max_receive_message_length": frameBytesMax,
    "grpc.max_send_message_length": frameBytesMax,
    "grpc.keepalive_time_ms": KEEPALIVE.everyMs,
    "grpc.keepalive_timeout_ms": KEEPALIVE.answerWithinMs,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.max_concurrent_streams": STREAMS_PER_CONNECTION,
    "grpc.enable_retries": 0,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
  };
}
