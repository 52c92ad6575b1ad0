/**
 * HTTP/2 lets a sender have 64 KiB unacknowledged by default, which a stream of pieces fills eight times a piece: every
 * time both sides wait for each other. The library's clients have an option for it, its servers have none, so a served
 * stream is looked up inside the call. Where that fails, transfers are slower, nothing else.
 */
import { streamOf } from "./http2-stream.ts";

/**
 * Bytes under way on one stream and one connection. All of them go before the answer to a ping (wire.ts), so that they
 * decide how slow a link may be. Snapshots need a window of pieces, and go on where they stood should theirs be too slow.
 */
export const FLOW_WINDOW_BYTES = { messages: 1 << 20, bulk: 4 << 20 } as const;

/** True when the window has so many bytes now. */
export function widenWindow(call: object, bytes: number): boolean {
  const stream = streamOf(call);
  const session = stream?.session;
  if (session === undefined || session.destroyed) return false;
  if (session.localSettings.initialWindowSize === bytes) return true;
  session.settings({ initialWindowSize: bytes });
  session.setLocalWindowSize(bytes);
  return true;
}
