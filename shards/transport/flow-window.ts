/**
 * HTTP/2 lets a sender have 64 KiB unacknowledged by default, which a stream of pieces fills eight times a piece: every
 * time both sides wait for each other. The library's clients have an option for it, its servers have none, so a served
 * stream is looked up inside the call. Where that fails, transfers are slower, nothing else.
 */
import { streamOf } from "./http2-stream.ts";

/** Bytes under way on one stream and one connection: what a window of pieces needs. */
export const FLOW_WINDOW_BYTES = 4 * 1024 * 1024;

/** True when the window is wider now. */
export function widenWindow(call: object): boolean {
  const stream = streamOf(call);
  const session = stream?.session;
  if (session === undefined || session.destroyed) return false;
  if (session.localSettings.initialWindowSize === FLOW_WINDOW_BYTES) return true;
  session.settings({ initialWindowSize: FLOW_WINDOW_BYTES });
  session.setLocalWindowSize(FLOW_WINDOW_BYTES);
  return true;
}
